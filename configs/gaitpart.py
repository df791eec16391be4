r"""GaitPart alone, by OpenGait's recipes: the triplet loss only.

python -m gaitkd_jax.main --config=configs/gaitpart.py:casiab \
  --workdir=runs/gaitpart_casiab --config.data.root=<CASIA-B>

Differences: float32 on CASIA-B, else bfloat16, take the place of float16; a
test computes in the same, where OpenGait's is in float32. Hardware: one or more
GPUs or a TPU. Time: not measured. To expect: the list below.
"""

from ml_collections import ConfigDict

from gaitkd_jax import config as config_lib

_LARGE = dict(variant="large", channels=(32, 64, 128, 256), embedding_dim=256)


def _recipe(
  data: str, sequences: int, falls: int, steps: int, **model: object
) -> ConfigDict:
  """The learning rate falls after `falls` steps."""
  c = config_lib.supervised(
    data,
    config_lib.gaitpart(**model),
    config_lib.clip("fixed_ordered", frames=30, skip=10),
  )
  c.losses.cross_entropy.weight = 0.0
  c.batch.sequences = sequences
  config_lib.adam_optim(c, falls, steps=steps)
  return c


VARIANTS = {
  "casiab": config_lib.Variant(
    lambda: _recipe("casiab", 16, 100_000, 120_000),
    expected="Rank-1 96.1 / 90.7 / 78.7 (NM / BG / CL)",
    source=config_lib.OPENGAIT,
  ),
  "oumvlp": config_lib.Variant(
    lambda: _recipe("oumvlp", 16, 150_000, 250_000, **_LARGE),
    expected="Rank-1 88.6",
    source=config_lib.OPENGAIT,
  ),
  "grew": config_lib.Variant(
    lambda: _recipe("grew", 4, 150_000, 250_000, **_LARGE),
    expected="Rank-1 47.6",
    source=config_lib.OPENGAIT_GREW,
  ),
}


def get_config(variant: str = "") -> ConfigDict:
  """Returns the config of a variant."""
  return config_lib.select(__doc__, VARIANTS, variant)
