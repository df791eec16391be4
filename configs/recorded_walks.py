"""Trains as `walkers.py` and tests on recorded walks in CASIA-B's layout.

python -m gaitkd_jax.main --config=configs/recorded_walks.py \
  --workdir=runs/recorded_walks --config.data.root=<recorded walks>

or, for a model that is already trained (variants `baseline` and `teacher` are
the other two networks of the embedded data):

python -m gaitkd_jax.main --mode=eval --config=configs/recorded_walks.py \
  --workdir=runs/recorded_walks --config.data.root=<recorded walks> \
  --config.eval.checkpoint=runs/walkers

Hardware: two CPU cores, some three minutes. To expect: see README.md.
`:smoke` runs three steps in seconds.
"""

import pathlib

from gaitkd_jax import config as config_lib

_TEACHER = pathlib.Path(__file__).parent.parent / "shipped_teachers" / "walkers"


def get_config(variant: str = ""):
  """Returns the config; variants: smoke, baseline, teacher."""
  c = config_lib.default()
  config_lib.walkers_student(c)
  c.eval.data = config_lib.data(
    "casiab",
    root=c.data.get_ref("root"),
    prepared=c.data.get_ref("prepared"),
  )
  c.teachers.deepgaitv2 = config_lib.teacher(
    config_lib.deepgaitv2(
      channels=(8, 16, 32, 64), blocks=(0, 1, 1, 1), num_classes=32
    ),
    checkpoint=str(_TEACHER),
  )
  return config_lib.with_variant(
    c, variant, baseline=config_lib.without_teachers, teacher=_teacher_alone
  )


def _teacher_alone(c):
  c.model = c.teachers.deepgaitv2.model
  config_lib.without_teachers(c)
