"""Training curves: what `metrics.jsonl` holds, in a few charts."""

from collections.abc import Mapping
import json
import math
import os
import pathlib

import numpy as np

from gaitkd_jax import errors
from gaitkd_jax.evaluation.report import charts

# Curves of one chart: with more, none can be followed.
_MAX_CURVES = 12
# Counts, norms and speeds: of use while a run is watched, not after it.
_LEFT_OUT = (
  "active_triplets",
  "gradient_norm",
  "seconds_per_step",
  "sequences_per_second",
)


def read(
  path: str | os.PathLike[str],
) -> dict[str, tuple[np.ndarray, np.ndarray]]:
  """Reads a log of figures.

  Args:
    path: of a file of one JSON object a line, as `writers.JsonlWriter` writes.

  Returns:
    By key, such as "train/loss", steps and values `[k]`; null is NaN.

  Raises:
    errors.UserError: the file cannot be read.
  """
  try:
    lines = pathlib.Path(path).read_text(errors="replace").splitlines()
  except OSError as e:
    raise errors.UserError(
      f"{path}: the training's figures cannot be read ({e.strerror}); check "
      "the path"
    ) from e
  points = {}
  for line in lines:
    try:
      row = json.loads(line)
      step = float(row.pop("step"))
      for key, value in row.items():
        value = math.nan if value is None else float(value)
        points.setdefault(key, {})[step] = value
    except (ValueError, KeyError, TypeError, AttributeError):
      continue  # cut off when the program was killed
  result = {}
  for key, by_step in points.items():
    steps = np.array(sorted(by_step))
    result[key] = steps, np.array([by_step[s] for s in steps])
  return result


def draw(
  series: Mapping[str, tuple[np.ndarray, np.ndarray]], main_figure: str
) -> list[charts.Chart]:
  """Charts of losses, accuracy, figures of evaluation and the learning rate.

  Args:
    series: of `read`.
    main_figure: the protocol's, drawn above the other figures.
  """
  groups = {}
  for key, points in series.items():
    kind, _, name = key.partition("/")
    if kind == "train" and name and name not in _LEFT_OUT:
      groups.setdefault(_group(name), {})[name] = points
    elif kind in ("eval", "eval_subset") and name and "/view/" not in name:
      groups.setdefault(kind, {})[name] = points
  result = []
  # One point is no curve.
  groups = {
    name: group
    for name, group in groups.items()
    if max(len(steps) for steps, _ in group.values()) > 1
  }
  for name, (title, looks) in _GROUPS.items():
    if name in groups:
      result.append(_chart(name, title, groups[name], main_figure, looks))
  return result


_GROUPS = {
  "losses": ("losses", {"log_y": True}),
  "eval": ("evaluation (%)", {}),
  "eval_subset": ("evaluation of some subjects (%)", {}),
  "accuracy": ("accuracy in training (%)", {}),
  "learning_rate": ("learning rate", {"lowest": 0}),
}


def _group(name: str) -> str:
  """The chart on which a figure of training goes."""
  head = name.partition("/")[0]
  if "accuracy" in head:
    return "accuracy"
  if head == "learning_rate":
    return head
  return "losses"  # all else is a term of the loss


def _chart(name, title, group, main_figure, looks) -> charts.Chart:
  """One chart of the curves of a group."""
  if name.startswith("eval"):
    group = _comparable(group, main_figure)
  first = {
    "losses": "loss",
    "eval": main_figure,
    "eval_subset": main_figure,
  }.get(name)
  names = sorted(group, key=lambda n: (n != first, _order(n)))[:_MAX_CURVES]
  scale = 100 if name == "accuracy" else 1
  curves = [
    charts.Curve(
      n if name.startswith("eval") else _words(n),
      group[n][0],
      scale * group[n][1],
      emphasis=n == first and len(names) > 1,
    )
    for n in names
  ]
  values = np.concatenate([c.y for c in curves])
  values = values[np.isfinite(values)]
  looks = dict(looks)
  if looks.get("log_y") and not (len(values) and values.min() > 0):
    looks["log_y"] = False
  ends = "; ".join(f"{c.label} {_last(c.y)}" for c in curves)
  return charts.lines(
    f"training_{name}",
    f"{title} over steps; last: {ends}",
    curves,
    x_label="step",
    y_label=title,
    **looks,
  )


def _comparable(group, main_figure: str):
  """The main figure of every condition; every figure of a single condition."""
  if len({name.partition("/")[0] for name in group}) < 2:
    return group
  figure = main_figure.partition("/")[2]
  same = {k: v for k, v in group.items() if k.partition("/")[2] == figure}
  return same or group


def _order(name: str) -> tuple[int, str]:
  """Rank-1 by condition is what is looked at first."""
  figure = name.rpartition("/")[2]
  return {"rank1": 0, "mAP": 1}.get(figure, 2), name


def _last(values: np.ndarray) -> str:
  finite = values[np.isfinite(values)]
  return f"{finite[-1]:.4g}" if len(finite) else "none"


def _words(name: str) -> str:
  return name.replace("_", " ")
