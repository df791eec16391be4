"""As scripts/studies/teaching.py, of a student of another family.

A two-dimensional DeepGaitV2, whose blocks and neck are its teacher's, though
no layer of it sees more than one frame.
"""

import pathlib

from ml_collections import ConfigDict

from gaitkd_jax import config as config_lib

_GAITBASE = config_lib.load_module(
  pathlib.Path(__file__).resolve().parent / "teaching.py"
)
TITLE = "What a teacher's knowledge is worth to a student of its family"
STUDENT = "a narrow two-dimensional DeepGaitV2"
HEAD, COMPARED, AGAINST = _GAITBASE.HEAD, _GAITBASE.COMPARED, _GAITBASE.AGAINST
FURTHER, UNTRAINED = _GAITBASE.FURTHER, _GAITBASE.UNTRAINED
DOCS = "study_teaching_deepgaitv2"
CACHED, CURVES = _GAITBASE.CACHED, _GAITBASE.CURVES


def _deepgaitv2(c: ConfigDict) -> ConfigDict:
  c.model = config_lib.deepgaitv2(
    mode="2d",
    channels=(8, 16, 32, 32),
    blocks=(0, 1, 1, 1),
    num_classes=c.model.num_classes,
  )
  return c


ROWS = _GAITBASE.create_rows(_deepgaitv2)
