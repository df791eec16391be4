r"""Trains as `configs/walkers.py` and tests on recorded walks.

python -m gaitkd_jax.main --config=configs/recorded_walks.py \
  --workdir=runs/recorded_walks --config.data.root=<recorded walks>

The recorded walks lie in CASIA-B's layout; no network is trained on them. For a
model that is already trained:

python -m gaitkd_jax.main --mode=eval --config=configs/recorded_walks.py \
  --workdir=runs/recorded_walks --config.data.root=<recorded walks> \
  --config.eval.checkpoint=runs/walkers

Hardware: two CPU cores, some three minutes. To expect: below; the motion was
recorded, but bodies, clothes, cameras and noise were made.
"""

import pathlib

from ml_collections import ConfigDict

from gaitkd_jax import config as config_lib

_SHIPPED = pathlib.Path(__file__).parent.parent / "shipped_teachers"


def _gaitkd() -> ConfigDict:
  c = config_lib.walkers_gaitkd(_SHIPPED)
  c.eval.data = config_lib.data(
    "casiab",
    root=c.data.get_ref("root"),
    prepared=c.data.get_ref("prepared"),
  )
  return c


def _teacher() -> ConfigDict:
  c = _gaitkd()
  c.model = c.teachers.deepgaitv2.model
  return config_lib.without_teachers(c)


VARIANTS = {
  "": config_lib.Variant(
    _gaitkd,
    expected="Rank-1 38.41 / 33.56 / 24.92 (NM / BG / CL)",
    source="a run of configs/walkers.py, seed 0",
  ),
  "baseline": config_lib.Variant(
    lambda: config_lib.without_teachers(_gaitkd()),
    expected="Rank-1 34.70 / 31.67 / 20.57 (NM / BG / CL)",
    source="a run of configs/walkers_baseline.py, seed 0",
    about="The student alone.",
  ),
  "teacher": config_lib.Variant(
    _teacher,
    expected="Rank-1 56.06 / 52.33 / 43.47 (NM / BG / CL)",
    source="shipped_teachers/walkers",
    about="The teacher's network, to test a checkpoint of it.",
  ),
}


def get_config(variant: str = "") -> ConfigDict:
  """Returns the config of a variant."""
  return config_lib.select(__doc__, VARIANTS, variant)
