r"""The second teacher of the embedded data: a small SkeletonGait++.

python -m gaitkd_jax.main --config=configs/walkers_teacher_maps.py \
  --workdir=runs/walkers_teacher_maps

It sees heat maps of the joints beside the silhouettes, as in GaitKD's own
config with two teachers; both are generated on this machine. What it learned,
without the optimiser, is shipped in shipped_teachers/walkers_maps. Hardware:
two CPU cores. Time: not measured. To expect: below.
"""

from ml_collections import ConfigDict

from gaitkd_jax import config as config_lib

VARIANTS = {
  "": config_lib.Variant(
    config_lib.walkers_teacher_maps,
    expected="Rank-1 92.42 / 90.68 / 84.97 (NM / BG / CL)",
    source="the shipped teacher, seed 0",
  ),
}


def get_config(variant: str = "") -> ConfigDict:
  """Returns the config of a variant."""
  return config_lib.select(__doc__, VARIANTS, variant)
