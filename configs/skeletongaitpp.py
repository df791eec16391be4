r"""SkeletonGait++ alone, by OpenGait's recipes: silhouettes and heat maps.

python -m gaitkd_jax.main --config=configs/skeletongaitpp.py:gait3d \
  --workdir=runs/skeletongaitpp_gait3d --config.data.root=<Gait3D>

The root needs heat maps beside the silhouettes (scripts/make_heatmaps.py).
Differences: bfloat16 takes the place of float16; on Gait3D frames are 64 x 64
and cut to 44 columns, where OpenGait's are stored 44 wide. Hardware: one or
more GPUs or a TPU. Time: not measured. To expect: the list below.
"""

from ml_collections import ConfigDict

from gaitkd_jax import config as config_lib


def _recipe(
  data: str,
  blocks: tuple[int, ...],
  frames: int = 30,
  milestones: tuple[int, ...] = (),
) -> ConfigDict:
  c = config_lib.supervised(
    data,
    config_lib.skeletongaitpp(blocks=blocks),
    config_lib.clip("fixed_ordered", frames=frames, skip=4),
    config_lib.da_augment(),
  )
  if milestones:
    c.optim.schedule = config_lib.multistep(*milestones)
  return c


VARIANTS = {
  "gait3d": config_lib.Variant(
    lambda: _recipe(
      "gait3d", (1, 4, 4, 1), milestones=(20_000, 30_000, 40_000)
    ),
    expected="Rank-1 77.6",
    source=config_lib.OPENGAIT,
  ),
  "grew": config_lib.Variant(
    lambda: _recipe("grew", (1, 4, 4, 1)),
    expected="Rank-1 85.8",
    source=config_lib.OPENGAIT_GREW,
  ),
  "ccpg": config_lib.Variant(
    lambda: _recipe("ccpg", (1, 1, 1, 1), milestones=(20_000, 30_000, 40_000)),
    expected="Rank-1 90.1 / 95.0 / 92.9 / 97.0 (CL / UP / DN / BG, without "
    "identical views)",
    source=config_lib.OPENGAIT,
  ),
  "sustech1k": config_lib.Variant(
    lambda: _recipe("sustech1k", (1, 1, 1, 1), frames=10),
    expected="Rank-1 85.6 and Rank-5 95.0 of all conditions together",
    source=config_lib.OPENGAIT,
  ),
}


def get_config(variant: str = "") -> ConfigDict:
  """Returns the config of a variant."""
  return config_lib.select(__doc__, VARIANTS, variant)
