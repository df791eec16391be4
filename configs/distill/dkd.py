"""Decoupled distillation, the truth and the rest (DKD, CVPR 2022).

python -m gaitkd_jax.main --config=configs/distill/dkd.py \
  --workdir=runs/dkd

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
  c.terms.dkd = config_lib.term("dkd", weight=config_lib.warm_up(c))
