r"""SwinGait alone, by OpenGait's recipes.

python -m gaitkd_jax.main --config=configs/swingait.py:gait3d \
  --workdir=runs/swingait_gait3d --config.data.root=<Gait3D> \
  --config.train.init_from=runs/deepgaitv2_gait3d

OpenGait starts from a trained DeepGaitV2 (`configs/deepgaitv2.py`), which gives
the first stages and the heads; these learn at a tenth of the transformer's
rate. Without `train.init_from` all weights start at random.

Differences: bfloat16 takes the place of float16; on Gait3D frames are 64 x 64
and cut to 44 columns, where OpenGait's are stored 44 wide. Hardware: one or
more GPUs or a TPU. Time: not measured. To expect: the list below.
"""

from ml_collections import ConfigDict

from gaitkd_jax import config as config_lib


def _recipe(
  data: str, blocks: tuple[int, ...], falls: int, steps: int
) -> ConfigDict:
  """The learning rate falls for `falls` of the steps."""
  c = config_lib.supervised(
    data,
    config_lib.swingait(blocks=blocks),
    config_lib.clip("fixed_ordered", frames=30, skip=4),
    config_lib.da_augment(),
  )
  config_lib.swingait_optim(c, steps=falls)
  c.train.steps = steps
  return c


VARIANTS = {
  "gait3d": config_lib.Variant(
    lambda: _recipe("gait3d", (1, 4, 4, 2), 60_000, 80_000),
    expected="Rank-1 75.0",
    source=config_lib.OPENGAIT,
  ),
  "grew": config_lib.Variant(
    lambda: _recipe("grew", (1, 4, 4, 2), 150_000, 200_000),
    expected="Rank-1 79.3",
    source=config_lib.OPENGAIT_GREW,
  ),
  "ccpg": config_lib.Variant(
    lambda: _recipe("ccpg", (1, 1, 2, 2), 60_000, 80_000)
  ),
  "sustech1k": config_lib.Variant(
    lambda: _recipe("sustech1k", (1, 1, 2, 2), 50_000, 60_000),
    expected="Rank-1 79.7 and Rank-5 91.8 of all conditions together",
    source=config_lib.OPENGAIT,
  ),
}


def get_config(variant: str = "") -> ConfigDict:
  """Returns the config of a variant."""
  return config_lib.select(__doc__, VARIANTS, variant)
