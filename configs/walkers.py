"""GaitKD on the embedded data: a narrow GaitBase taught by a DeepGaitV2-P3D.

python -m gaitkd_jax.main --config=configs/walkers.py --workdir=runs/walkers

Needs nothing: `walkers` is generated on this machine, and the teacher lies in
shipped_teachers/walkers. Hardware: two CPU cores, some three minutes. To
expect: below; the student alone is `configs/walkers_baseline.py`, and
scripts/compare.py trains both by several seeds.
"""

import pathlib

from ml_collections import ConfigDict

from gaitkd_jax import config as config_lib

_SHIPPED = pathlib.Path(__file__).parent.parent / "shipped_teachers"
VARIANTS = {
  "": config_lib.Variant(
    lambda: config_lib.walkers_gaitkd(_SHIPPED),
    expected="Rank-1 68.32 / 58.32 / 36.14 (NM / BG / CL)",
    source="scripts/quickstart.sh, seed 0",
  ),
}


def get_config(variant: str = "") -> ConfigDict:
  """Returns the config of a variant."""
  return config_lib.select(__doc__, VARIANTS, variant)
