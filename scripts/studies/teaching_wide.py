"""As scripts/studies/teaching.py, of a student of four times the width."""

import pathlib

from ml_collections import ConfigDict

from gaitkd_jax import config as config_lib

_NARROW = config_lib.load_module(
  pathlib.Path(__file__).resolve().parent / "teaching.py"
)
TITLE = "What a teacher's knowledge is worth to a wider student"
STUDENT = "the walkers' student with four times its channels"
HEAD, COMPARED, AGAINST = _NARROW.HEAD, _NARROW.COMPARED, _NARROW.AGAINST
FURTHER, UNTRAINED = _NARROW.FURTHER, _NARROW.UNTRAINED
DOCS = "study_teaching_wide"
CACHED, CURVES = _NARROW.CACHED, _NARROW.CURVES


def _widen(c: ConfigDict) -> ConfigDict:
  """The embedding keeps its width, which is the teacher's."""
  c.model.channels = tuple(4 * width for width in c.model.channels)
  return c


ROWS = _NARROW.create_rows(_widen)
