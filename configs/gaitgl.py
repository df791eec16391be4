r"""GaitGL alone, by OpenGait's recipes.

python -m gaitkd_jax.main --config=configs/gaitgl.py:casiab \
  --workdir=runs/gaitgl_casiab --config.data.root=<CASIA-B>

Differences: float32 on CASIA-B, else bfloat16, take the place of float16; a
test computes in the same, where OpenGait's is in float32. OpenGait has no
recipe for HID: that here is one of github.com/jackhanyuan/OpenGait, which also
trains on three other data sets. Hardware: one or more
GPUs or a TPU. Time: not measured. To expect: the list below.
"""

from ml_collections import ConfigDict

from gaitkd_jax import config as config_lib


def _recipe(data: str, **model: object) -> ConfigDict:
  c = config_lib.supervised(
    data,
    config_lib.gaitgl(**model),
    config_lib.clip("fixed_ordered", frames=30, skip=0),
  )
  c.losses.cross_entropy.scale = 1.0
  return c


def _casiab() -> ConfigDict:
  c = _recipe("casiab")
  c.losses.cross_entropy.label_smoothing = 0.0
  c.batch.identities, c.batch.sequences = 8, 8
  config_lib.adam_optim(c, 70_000, steps=80_000)
  c.optim.weight_decay = 5e-4
  return c


def _large(data: str, steps: int, neck: bool = False) -> ConfigDict:
  c = _recipe(data, variant="large", channels=(32, 64, 128, 256), neck=neck)
  config_lib.adam_optim(c, 150_000, 200_000, steps=steps)
  return c


def _hid() -> ConfigDict:
  c = _large("hid", steps=170_000)
  c.optim.schedule = config_lib.multistep(120_000, 160_000)
  c.batch.identities, c.batch.sequences = 8, 8
  c.eval.protocol, c.eval.rerank = "hid_submission", False
  return c


VARIANTS = {
  "casiab": config_lib.Variant(
    _casiab,
    expected="Rank-1 97.4 / 94.5 / 83.8 (NM / BG / CL)",
    source=config_lib.OPENGAIT,
  ),
  "oumvlp": config_lib.Variant(
    lambda: _large("oumvlp", steps=210_000),
    expected="Rank-1 89.9",
    source=config_lib.OPENGAIT,
  ),
  "grew": config_lib.Variant(
    lambda: _large("grew", steps=250_000),
    expected="Rank-1 41.5",
    source=config_lib.OPENGAIT_GREW,
  ),
  "grew_bnneck": config_lib.Variant(
    lambda: _large("grew", steps=250_000, neck=True),
    expected="Rank-1 51.7",
    source=config_lib.OPENGAIT_GREW,
    about="With a cosine classifier behind a neck (BNNecks).",
  ),
  "hid": config_lib.Variant(
    _hid,
    about="The large network; it writes what HID's server scores.",
  ),
}


def get_config(variant: str = "") -> ConfigDict:
  """Returns the config of a variant."""
  return config_lib.select(__doc__, VARIANTS, variant)
