"""The student of `walkers.py` without a teacher.

python -m gaitkd_jax.main --config=configs/walkers_baseline.py \
  --workdir=runs/walkers_baseline

Needs nothing: `walkers` is generated on this machine. Hardware: two CPU cores,
some two minutes. To expect: see README.md, which has the figures of
`scripts/compare.py`. `:smoke` runs three steps in seconds.
"""

from gaitkd_jax import config as config_lib


def get_config(variant: str = ""):
  """Returns the config; variants: smoke."""
  c = config_lib.default()
  config_lib.walkers_student(c)
  return config_lib.with_variant(c, variant)
