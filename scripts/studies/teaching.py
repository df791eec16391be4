"""What a teacher's knowledge is worth: the rows of docs/study_teaching.md.

The student is that of configs/walkers.py, its teacher the shipped DeepGaitV2.
All rows see the same clips: the student alone has the teacher too, with weights
of 0.
"""

from collections.abc import Callable
from collections.abc import Mapping
import pathlib
from typing import Any

from ml_collections import ConfigDict

from gaitkd_jax import config as config_lib

TITLE = "What a teacher's knowledge is worth on the embedded data"
STUDENT = "a narrow GaitBase (46,408 parameters)"
HEAD, COMPARED = "objective", "student alone"
AGAINST = f"against the {COMPARED}"
FURTHER = {"GaitKD": "against GaitKD"}
DOCS = "study_teaching"
UNTRAINED = ()
CACHED = 110  # batches: 3,520 sequences, 32 clips of each batch
CURVES = (COMPARED, "GaitKD", "boundary centred", "DIST", "RKD", "best")
_CONFIGS = pathlib.Path(__file__).resolve().parents[2] / "configs"

Row = Callable[[Callable[[str], str]], ConfigDict]
Change = Callable[[ConfigDict], ConfigDict]

ALONE = dict(decision_weight=0.0, boundary_weight=0.0)
CENTRED = dict(boundary_centre="neck", boundary_reduce="mean")


def row(
  method: str = "gaitkd",
  terms: Mapping[str, float] | None = None,
  change: Change | None = None,
  **teacher: Any,
) -> Row:
  """A row.

  Args:
    method: of configs/distill.py.
    terms: weights of further terms, by kind.
    change: of the whole config.
    **teacher: values of the teacher.
  """

  def make(run: Callable[[str], str]) -> ConfigDict:
    del run
    c = config_lib.load(_CONFIGS / "distill.py", method)
    c.teachers.deepgaitv2.update(teacher)
    for kind, weight in (terms or {}).items():
      c.terms[kind] = config_lib.term(kind, weight=weight)
    return change(c) if change else c

  return make


def _chain(variant: str, teacher: str = "", taught_as: str = "") -> Row:
  """A row of configs/chain.py, whose teacher may be the run of another row."""

  def make(run: Callable[[str], str]) -> ConfigDict:
    c = config_lib.load(_CONFIGS / "chain.py", variant)
    if teacher:
      c.teachers[teacher].checkpoint = run(taught_as)
    return c

  return make


def create_rows(change: Change | None = None) -> dict[str, Row]:
  """The objectives, each of a config that `change` changes."""
  rows = {
    COMPARED: row(change=change, **ALONE),
    "GaitKD": row(change=change),
    "decision only": row(change=change, boundary_weight=0.0),
    "boundary as published": row(change=change, decision_weight=0.0),
  }
  methods = {
    "boundary centred": "boundary_centred",
    "GaitKD centred": "gaitkd_centred",
    "DIST": "dist",
    "RKD": "rkd",
    "best": "best",
  }
  return rows | {n: row(m, change=change) for n, m in methods.items()}


ROWS = create_rows() | {
  "assistant (twice the width)": _chain("assistant"),
  "taught by the assistant": _chain(
    "student", "assistant", "assistant (twice the width)"
  ),
  "taught by itself": _chain("again", "itself", COMPARED),
}
