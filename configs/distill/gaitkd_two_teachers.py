"""GaitKD with two teachers: the mean of decisions, the sum of boundaries.

python -m gaitkd_jax.main --config=configs/distill/gaitkd_two_teachers.py \
  --workdir=runs/gaitkd_two_teachers

GaitKD's code adds the decisions up; `--config.distillation.decision=sum` does.
`--config.distillation.boundary=vote` lets the teachers agree on a side first.

Embedded data, one process on two CPU cores, some three minutes. To expect:
docs/study.md, where it was run; else not measured. `:gait3d`, `:ccpg` and
`:sustech1k` are the same on a benchmark with the paper's two teachers, on GPUs
or a TPU, not measured; they need `--config.data.root` and
`--config.teachers.deepgaitv2.checkpoint`, and
`--config.teachers.swingait.checkpoint`. With `smoke` behind it (`:smoke`,
`:gait3d_smoke`) a variant runs three steps.
"""

from gaitkd_jax import config as config_lib


def get_config(variant: str = ""):
  """Returns the config; variants: smoke, gait3d, ccpg, sustech1k."""
  return config_lib.distillation(__file__, variant, _change, teachers=2)


def _change(c):
  c.distillation.decision = "mean"
