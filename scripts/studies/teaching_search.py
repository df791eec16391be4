"""Which objective to recommend: rows scored on training subjects kept back.

As docs/study_teaching.md, but of the 32 subjects that train the first 24 train
and the other 8 test, so that test walkers and recorded walks are no part of the
choice. The teacher has seen all 32: no row is free of that, and none but the
student alone does without the teacher.
"""

import pathlib
from types import ModuleType

from ml_collections import ConfigDict

from gaitkd_jax import config as config_lib

_HERE = pathlib.Path(__file__).resolve().parent
_teaching: ModuleType = config_lib.load_module(_HERE / "teaching.py")

TITLE = "The search for the best objective"
STUDENT = _teaching.STUDENT + ", trained on 24 walkers and tested on 8 others"
HEAD, COMPARED, AGAINST = _teaching.HEAD, _teaching.COMPARED, _teaching.AGAINST
FURTHER = _teaching.FURTHER
DOCS = "study_teaching_search"
UNTRAINED = ()
CACHED = 82  # batches: 2,640 sequences


def _validate(c: ConfigDict) -> ConfigDict:
  """Trains on 24 of the subjects, and tests on the other 8."""
  c.data.variant, c.model.num_classes = "validation", 24
  c.teachers.deepgaitv2.classes = str(_HERE / "teacher_subjects.txt")
  return c


def _row(method: str = "gaitkd", terms: dict | None = None, **teacher):
  return _teaching.row(method, terms, _validate, **teacher)


def _centred(weight: float, **teacher) -> dict:
  return dict(boundary_weight=weight, **_teaching.CENTRED, **teacher)


ALONE, DECISION = _teaching.ALONE, dict(boundary_weight=0.0)
ROWS = {
  COMPARED: _row(**ALONE),
  "GaitKD": _row(),
  "decision T 8": _row(temperature=8.0, **DECISION),
  "decision T 16": _row(temperature=16.0, **DECISION),
  "decision x 4 T 8": _row(temperature=8.0, decision_weight=4.0, **DECISION),
  "centred 3": _row(**_centred(3.0, decision_weight=0.0)),
  "centred 10": _row(**_centred(10.0, decision_weight=0.0)),
  "centred 30": _row(**_centred(30.0, decision_weight=0.0)),
  "GaitKD centred 3": _row(**_centred(3.0)),
  "GaitKD centred 10": _row(**_centred(10.0)),
  "RKD": _row(terms=dict(rkd=1.0), **ALONE),
  "RKD x 3": _row(terms=dict(rkd=3.0), **ALONE),
  "DIST": _row(terms=dict(dist=1.0), **ALONE),
  "DIST x 3": _row(terms=dict(dist=3.0), **ALONE),
  "RKD + DIST": _row(terms=dict(rkd=1.0, dist=1.0), **ALONE),
  "GaitKD + RKD": _row(terms=dict(rkd=1.0)),
  "GaitKD + DIST": _row(terms=dict(dist=1.0)),
  "instance": _row(terms=dict(instance=1.0), **ALONE),
  "relation": _row(terms=dict(relation=1.0), **ALONE),
  "GaitKD + instance": _row(terms=dict(instance=1.0)),
  "GaitKD + relation": _row(terms=dict(relation=1.0)),
  "similarity": _row(terms=dict(similarity=10.0), **ALONE),
  "centred 10 + RKD": _row(
    terms=dict(rkd=1.0), **_centred(10.0, decision_weight=0.0)
  ),
  "centred 30 + RKD": _row(
    terms=dict(rkd=1.0), **_centred(30.0, decision_weight=0.0)
  ),
  "centred 10 + RKD x 3": _row(
    terms=dict(rkd=3.0), **_centred(10.0, decision_weight=0.0)
  ),
  "GaitKD centred 10 + RKD": _row(terms=dict(rkd=1.0), **_centred(10.0)),
  "centred 10 + DIST": _row(
    terms=dict(dist=1.0), **_centred(10.0, decision_weight=0.0)
  ),
}
