"""As scripts/studies/quantisation.py, of a student of four times the width."""

import pathlib

from gaitkd_jax import config as config_lib

_NARROW = config_lib.load_module(
  pathlib.Path(__file__).resolve().parent / "quantisation.py"
)
TITLE = "What few bits cost a wider student on the embedded data"
STUDENT = "the walkers' student with four times its channels"
HEAD, COMPARED, AGAINST = _NARROW.HEAD, _NARROW.COMPARED, _NARROW.AGAINST
FURTHER = _NARROW.FURTHER
DOCS = "study_quantisation_wide"
UNTRAINED = _NARROW.UNTRAINED
ROWS = _NARROW.create_rows(4)
