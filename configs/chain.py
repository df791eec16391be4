r"""Chains of teachers: a student taught by a student, or by itself.

python -m gaitkd_jax.main --config=configs/chain.py:assistant \
  --workdir=runs/assistant
python -m gaitkd_jax.main --config=configs/chain.py:student \
  --workdir=runs/chained --config.teachers.assistant.checkpoint=runs/assistant
python -m gaitkd_jax.main --config=configs/chain.py:again --workdir=runs/again \
  --config.teachers.itself.checkpoint=runs/chained

A teacher far above its student may say more than this can follow; an assistant
of a size between them is taught first, and teaches (Mirzadeh et al., arXiv
1902.03393). `again` is a network that learns from an earlier training of its
own (born-again networks, arXiv 1805.04770).

Embedded data. Hardware: two CPU cores, some three minutes each, five for the
assistant. To expect: Rank-1 after 400 steps, five seeds: the assistant 72.75,
its student 61.11, the student taught by itself 57.25; taught by the shipped
teacher 62.74, alone 56.20 (docs/study_teaching.md).
"""

import pathlib

from ml_collections import ConfigDict

from gaitkd_jax import config as config_lib

_SHIPPED = pathlib.Path(__file__).parent.parent / "shipped_teachers"


def _assistant() -> ConfigDict:
  """Twice the student's width; its embedding has the student's."""
  c = config_lib.walkers_gaitkd(_SHIPPED)
  c.model.channels = tuple(2 * width for width in c.model.channels)
  return c


def _student() -> ConfigDict:
  c = config_lib.walkers_student()
  c.teachers.assistant = config_lib.teacher(_assistant().model)
  return c


def _again() -> ConfigDict:
  c = config_lib.walkers_student()
  own = c.model.copy_and_resolve_references()
  c.teachers.itself = config_lib.teacher(own)
  return c


VARIANTS = {
  "assistant": config_lib.Variant(
    _assistant,
    about="The shipped teacher teaches a GaitBase of twice the "
    "width of the student.",
  ),
  "student": config_lib.Variant(
    _student,
    about="The assistant teaches the student.",
  ),
  "again": config_lib.Variant(
    _again,
    about="The student is taught by itself, as it was trained before.",
  ),
}


def get_config(variant: str = "") -> ConfigDict:
  """Returns the config of a variant."""
  return config_lib.select(__doc__, VARIANTS, variant)
