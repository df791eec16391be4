"""What each objective is worth: the rows of docs/study.md.

The student and the teachers are those of configs/distill.py.
"""

from collections.abc import Callable
from collections.abc import Mapping
import pathlib
from typing import Any

from ml_collections import ConfigDict

from gaitkd_jax import config as config_lib

TITLE = "What each objective is worth on the embedded data"
STUDENT = "a narrow GaitBase (46,408 parameters)"
HEAD, COMPARED = "objective", "student alone"
AGAINST, FURTHER = f"against the {COMPARED}", {}
DOCS = "study"
UNTRAINED = ()
_CONFIGS = pathlib.Path(__file__).resolve().parents[2] / "configs"

Row = Callable[[Callable[[str], str]], ConfigDict]


def _config(file: str, variant: str, changes: Mapping[str, Any]) -> Row:
  """A config and what is changed in it; no row starts from another's run."""

  def row(run: Callable[[str], str]) -> ConfigDict:
    del run
    c = config_lib.load(_CONFIGS / f"{file}.py", variant)
    c.update_from_flattened_dict(changes)
    return c

  return row


def _distill(method: str, **changes: Any) -> Row:
  """A method with other values of its teacher."""
  changes = {f"teachers.deepgaitv2.{k}": v for k, v in changes.items()}
  return _config("distill", method, changes)


def _two(**values: Any) -> Row:
  """GaitKD with two teachers, put together in another way."""
  changes = {f"distillation.{k}": v for k, v in values.items()}
  return _config("distill", "gaitkd_two_teachers", changes)


ROWS = {
  COMPARED: _config("walkers_baseline", "", {}),
  "GaitKD": _distill("gaitkd"),
  "decision only": _distill("gaitkd", boundary_weight=0.0),
  "boundary only": _distill("gaitkd", decision_weight=0.0),
  "decision + feature MSE": _distill("feature_mse", decision_weight=1.0),
  "two teachers, sum": _two(decision="sum"),
  "two teachers, mean": _two(decision="mean"),
  "two teachers, mean + vote": _two(decision="mean", boundary="vote"),
  "temperature 1": _distill("gaitkd", temperature=1.0),
  "temperature 2": _distill("gaitkd", temperature=2.0),
  "temperature 8": _distill("gaitkd", temperature=8.0),
  "boundary weight 0.0003": _distill("gaitkd", boundary_weight=0.0003),
  "boundary weight 0.01": _distill("gaitkd", boundary_weight=0.01),
  "boundary weight 0.03": _distill("gaitkd", boundary_weight=0.03),
  "feature MSE": _distill("feature_mse"),
  "plain KD": _distill("kd"),
  "DKD": _distill("dkd"),
  "GDKD": _distill("gdkd"),
  "OFA": _distill("ofa"),
  "DIST": _distill("dist"),
  "RKD": _distill("rkd"),
  "instance + relation bank": _distill("instance_relation"),
  "patch swap (no teacher)": _distill("patch_swap"),
}
