r"""DeepGaitV2-P3D alone, by OpenGait's recipes: the teacher of GaitKD.

python -m gaitkd_jax.main --config=configs/deepgaitv2.py:gait3d \
  --workdir=runs/deepgaitv2_gait3d --config.data.root=<Gait3D>

Differences: but for CASIA-B, bfloat16 takes the place of float16. Hardware: one
or more GPUs or a TPU. Time: not measured. To expect: the list below.
"""

from ml_collections import ConfigDict

from gaitkd_jax import config as config_lib


def _recipe(
  data: str, blocks: tuple[int, ...] = (1, 1, 1, 1), frames: int = 30
) -> ConfigDict:
  return config_lib.supervised(
    data,
    config_lib.deepgaitv2(blocks=blocks),
    config_lib.clip("fixed_ordered", frames=frames, skip=4),
    config_lib.da_augment(),
  )


_3D = "The figure is of 3-D convolutions: --config.model.mode=3d."
VARIANTS = {
  "casiab": config_lib.Variant(lambda: _recipe("casiab")),
  "oumvlp": config_lib.Variant(
    lambda: _recipe("oumvlp"),
    expected="Rank-1 92.0",
    source=config_lib.OPENGAIT,
    about=_3D,
  ),
  "grew": config_lib.Variant(
    lambda: _recipe("grew", blocks=(1, 4, 4, 1)),
    expected="Rank-1 79.4",
    source=config_lib.OPENGAIT_GREW,
    about=_3D,
  ),
  "gait3d": config_lib.Variant(
    lambda: _recipe("gait3d", blocks=(1, 4, 4, 1)),
    expected="Rank-1 74.4",
    source=config_lib.OPENGAIT,
  ),
  "ccpg": config_lib.Variant(lambda: _recipe("ccpg")),
  "sustech1k": config_lib.Variant(
    lambda: _recipe("sustech1k", frames=10),
    expected="Rank-1 82.4 and Rank-5 92.6 of all conditions together",
    source=config_lib.OPENGAIT,
  ),
}


def get_config(variant: str = "") -> ConfigDict:
  """Returns the config of a variant."""
  return config_lib.select(__doc__, VARIANTS, variant)
