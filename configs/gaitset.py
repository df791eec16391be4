r"""GaitSet alone, by OpenGait's recipes: the triplet loss only.

python -m gaitkd_jax.main --config=configs/gaitset.py:casiab \
  --workdir=runs/gaitset_casiab --config.data.root=<CASIA-B>

Differences: float32 on CASIA-B, else bfloat16, take the place of float16.
Hardware: one or more GPUs or a TPU. Time: not measured. To expect: the list
below.
"""

from ml_collections import ConfigDict

from gaitkd_jax import config as config_lib


def _recipe(data: str, **model: object) -> ConfigDict:
  c = config_lib.supervised(
    data,
    config_lib.gaitset(**model),
    config_lib.clip("fixed_unordered", frames=30, skip=0),
  )
  c.losses.cross_entropy.weight = 0.0
  return c


def _casiab() -> ConfigDict:
  c = _recipe("casiab")
  c.optim.schedule = config_lib.multistep(10_000, 20_000, 30_000)
  c.train.steps = 40_000
  return c


def _large(data: str, sequences: int) -> ConfigDict:
  c = _recipe(data, channels=(64, 128, 256))
  c.batch.sequences = sequences
  config_lib.adam_optim(c, 150_000, steps=250_000)
  return c


VARIANTS = {
  "casiab": config_lib.Variant(
    _casiab,
    expected="Rank-1 95.8 / 90.0 / 75.4 (NM / BG / CL)",
    source=config_lib.OPENGAIT,
  ),
  "oumvlp": config_lib.Variant(
    lambda: _large("oumvlp", sequences=16),
    expected="Rank-1 87.2",
    source=config_lib.OPENGAIT,
  ),
  "grew": config_lib.Variant(
    lambda: _large("grew", sequences=4),
    expected="Rank-1 48.4",
    source=config_lib.OPENGAIT_GREW,
  ),
}


def get_config(variant: str = "") -> ConfigDict:
  """Returns the config of a variant."""
  return config_lib.select(__doc__, VARIANTS, variant)
