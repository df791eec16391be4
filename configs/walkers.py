"""GaitKD on the embedded data: a narrow GaitBase taught by a DeepGaitV2-P3D.

python -m gaitkd_jax.main --config=configs/walkers.py --workdir=runs/walkers

Needs nothing: `walkers` is generated on this machine, and the teacher lies in
shipped_teachers/walkers (`configs/walkers_teacher.py` made it). Hardware: two
CPU cores, some three minutes. To expect: see README.md, which has the figures
of `scripts/compare.py`. `:smoke` runs three steps in seconds.
"""

import pathlib

from gaitkd_jax import config as config_lib

_TEACHER = pathlib.Path(__file__).parent.parent / "shipped_teachers" / "walkers"


def get_config(variant: str = ""):
  """Returns the config; variants: smoke."""
  c = config_lib.default()
  config_lib.walkers_student(c)
  c.teachers.deepgaitv2 = config_lib.teacher(
    config_lib.deepgaitv2(
      channels=(8, 16, 32, 64), blocks=(0, 1, 1, 1), num_classes=32
    ),
    checkpoint=str(_TEACHER),
  )
  return config_lib.with_variant(c, variant)
