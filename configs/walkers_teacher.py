r"""The teacher of the embedded data: a narrow DeepGaitV2-P3D on `walkers`.

python -m gaitkd_jax.main --config=configs/walkers_teacher.py \
  --workdir=runs/walkers_teacher

What it learned, without the optimiser, is shipped in shipped_teachers/walkers.
Hardware: two CPU cores, some 30 minutes. To expect: below.
"""

from ml_collections import ConfigDict

from gaitkd_jax import config as config_lib

VARIANTS = {
  "": config_lib.Variant(
    config_lib.walkers_teacher,
    expected="Rank-1 91.05 / 87.90 / 69.60 (NM / BG / CL)",
    source="the shipped teacher, seed 0",
  ),
}


def get_config(variant: str = "") -> ConfigDict:
  """Returns the config of a variant."""
  return config_lib.select(__doc__, VARIANTS, variant)
