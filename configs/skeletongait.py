r"""SkeletonGait alone, by OpenGait's recipes: DeepGaitV2-P3D on heat maps.

python -m gaitkd_jax.main --config=configs/skeletongait.py:gait3d \
  --workdir=runs/skeletongait_gait3d --config.data.root=<Gait3D>

The root needs heat maps beside the silhouettes (scripts/make_heatmaps.py).
Differences: bfloat16 takes the place of float16. Hardware: one or more GPUs or
a TPU. Time: not measured. To expect: the list below.
"""

from ml_collections import ConfigDict

from gaitkd_jax import config as config_lib

_ORDERED = ("fixed_ordered", 30, 4)


def _recipe(
  data: str,
  clip: tuple[str, int, int] = _ORDERED,
  augment: ConfigDict | None = None,
  milestones: tuple[int, ...] = (),
  **model: object,
) -> ConfigDict:
  kind, frames, skip = clip
  c = config_lib.supervised(
    data,
    config_lib.deepgaitv2(in_channels=2, **model),
    config_lib.clip(kind, frames=frames, skip=skip),
    augment or config_lib.da_augment(),
  )
  if milestones:
    c.optim.schedule = config_lib.multistep(*milestones)
  return c


VARIANTS = {
  "gait3d": config_lib.Variant(
    lambda: _recipe(
      "gait3d", milestones=(20_000, 30_000, 40_000), blocks=(1, 4, 4, 1)
    ),
    expected="Rank-1 38.1",
    source=config_lib.OPENGAIT,
  ),
  "oumvlp": config_lib.Variant(
    lambda: _recipe("oumvlp", augment=config_lib.augment(flip=0.5)),
    expected="Rank-1 67.4 on OUMVLP-Pose",
    source=config_lib.OPENGAIT,
  ),
  "grew": config_lib.Variant(
    lambda: _recipe("grew", blocks=(1, 4, 4, 1)),
    expected="Rank-1 77.4",
    source=config_lib.OPENGAIT_GREW,
  ),
  "ccpg": config_lib.Variant(
    lambda: _recipe(
      "ccpg", milestones=(20_000, 30_000, 40_000), retrieval="neck"
    ),
    expected="Rank-1 52.4 / 65.4 / 72.8 / 80.9 (CL / UP / DN / BG, without "
    "identical views)",
    source=config_lib.OPENGAIT,
    about="Searched by the features of the neck.",
  ),
  "sustech1k": config_lib.Variant(
    lambda: _recipe("sustech1k", clip=("fixed_unordered", 10, 0)),
    expected="Rank-1 51.46 of all conditions together",
    source=config_lib.OPENGAIT,
  ),
}


def get_config(variant: str = "") -> ConfigDict:
  """Returns the config of a variant."""
  return config_lib.select(__doc__, VARIANTS, variant)
