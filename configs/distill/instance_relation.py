"""Instance-level and relation-based distillation, after arXiv 2508.11376.

python -m gaitkd_jax.main --config=configs/distill/instance_relation.py \
  --workdir=runs/instance_relation

Embeddings are aligned, hard ones first; similarities to a memory of past clips
follow the teacher's. Its formulas could not be read: the definitions are ours.

Embedded data, one process on two CPU cores, some three minutes. To expect:
docs/study.md, where it was run; else not measured. `:gait3d`, `:ccpg` and
`:sustech1k` are the same on a benchmark with the paper's teacher, on GPUs or a
TPU, not measured; they need `--config.data.root` and
`--config.teachers.deepgaitv2.checkpoint`. With `smoke` behind it (`:smoke`,
`:gait3d_smoke`) a variant runs three steps.
"""

from gaitkd_jax import config as config_lib


def get_config(variant: str = ""):
  """Returns the config; variants: smoke, gait3d, ccpg, sustech1k."""
  return config_lib.distillation(__file__, variant, _change)


def _change(c):
  config_lib.silence_gaitkd(c)
  c.terms.instance = config_lib.term("instance", weight=1.0)
  c.terms.instance.share = dict(
    kind="linear", start=1.0, end=0.3, steps=c.train.get_ref("steps") // 2
  )
  size = 512 if c.data.name == "walkers" else 4096
  c.terms.relation_bank = config_lib.term(
    "relation_bank", weight=1.0, size=size
  )
