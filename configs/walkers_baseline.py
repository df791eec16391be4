r"""The student of `configs/walkers.py` without a teacher.

python -m gaitkd_jax.main --config=configs/walkers_baseline.py \
  --workdir=runs/walkers_baseline

Needs nothing: `walkers` is generated on this machine. Hardware: two CPU cores,
some two minutes. To expect: below.
"""

from ml_collections import ConfigDict

from gaitkd_jax import config as config_lib

VARIANTS = {
  "": config_lib.Variant(
    config_lib.walkers_student,
    expected="Rank-1 56.65 / 47.64 / 26.45 (NM / BG / CL)",
    source="scripts/quickstart.sh, seed 0",
  ),
}


def get_config(variant: str = "") -> ConfigDict:
  """Returns the config of a variant."""
  return config_lib.select(__doc__, VARIANTS, variant)
