"""Training curves: what `metrics.jsonl` holds, in a few charts."""

from collections.abc import Mapping
import json
import math
import os
import types
from typing import Any

import numpy as np

from gaitkd_jax import errors
from gaitkd_jax import storage
from gaitkd_jax import workdir as workdir_lib
from gaitkd_jax.evaluation import metrics as metrics_lib
from gaitkd_jax.evaluation.report import charts

# Steps and values, `[k]` each.
Points = tuple[np.ndarray, np.ndarray]
Series = dict[str, Points]
# Nobody can follow more curves than this in one chart.
_MAX_CURVES = 12
# Counts, norms, speeds and memory are useful during a run, but not after it.
_LEFT_OUT = (
  "active_triplets",
  "data_wait",
  "device_gib",
  "gradient_norm",
  "host_gib",
  "hours_left",
  "seconds_per_step",
  "sequences_per_second",
  "skipped",
  "steps_per_second",
)
_EVALUATIONS = ("eval", "eval_subset")
_OTHERWISE, _OTHERWISE_SHORT = "resumed with other settings", "other settings"
# Charts by group: title, and how `_chart` draws it.
_GROUPS: dict[str, tuple[str, dict[str, Any]]] = {
  "losses": ("losses", {"log_y": True}),
  "eval": ("evaluation (%)", {}),
  "eval_subset": ("evaluation of some subjects (%)", {}),
  "accuracy": ("accuracy in training (%)", {}),
  "learning_rate": ("learning rate", {"lowest": 0}),
}


def read(path: str | os.PathLike[str]) -> Series:
  """Reads a log of metrics.

  Args:
    path: of a file of one JSON object a line, as `writers.JsonlWriter` writes.

  Returns:
    By key, such as "train/loss", steps and values `[k]`; null is NaN.

  Raises:
    errors.UserError: the file cannot be read.
  """
  try:
    lines = storage.read_text(path, "replace").splitlines()
  except OSError as e:
    raise errors.UserError(
      f"{path}: the log of the training cannot be read ({e.strerror}); check "
      "the path"
    ) from e
  points: dict[str, dict[float, float]] = {}
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
  series: Mapping[str, Points],
  primary_metric: metrics_lib.MetricName,
  rules: Mapping[float, str] = types.MappingProxyType({}),
) -> list[charts.Chart]:
  """Charts of losses, accuracy, evaluations and the learning rate.

  Args:
    series: of `read`.
    primary_metric: the protocol's, drawn above the other metrics.
    rules: labels of steps that are marked, see `marks`.
  """
  groups: dict[str, Series] = {}
  for key, points in series.items():
    kind, _, name = key.partition("/")
    if kind == "train" and name and name not in _LEFT_OUT:
      groups.setdefault(_group(name), {})[name] = points
    elif kind in _EVALUATIONS and name and metrics_lib.parse(name).view is None:
      groups.setdefault(kind, {})[name] = points
  # A single point makes no curve.
  return [
    _chart(name, title, groups[name], primary_metric, rules, **looks)
    for name, (title, looks) in _GROUPS.items()
    if name in groups
    and max(len(steps) for steps, _ in groups[name].values()) > 1
  ]


def marks(workdir: str | os.PathLike[str]) -> dict[float, str]:
  """Where a training went on with other settings: what changed, by step."""
  return {
    place.step: f"{_OTHERWISE} ({', '.join(place.changed)})"
    for place in workdir_lib.resumptions(workdir)
  }


def _group(name: str) -> str:
  """The chart that a metric of the training belongs to."""
  head = name.partition("/")[0]
  if "accuracy" in head:
    return "accuracy"
  if head == "learning_rate":
    return head
  return "losses"  # all else is a term of the loss


def _chart(
  name: str,
  title: str,
  group: Series,
  primary_metric: metrics_lib.MetricName,
  rules: Mapping[float, str],
  log_y: bool = False,
  lowest: float | None = None,
) -> charts.Chart:
  """One chart of the curves of a group.

  Args:
    name: of the group.
    title: of the axis.
    group: points by the name of the curve.
    primary_metric: the protocol's.
    rules: labels of steps that are marked.
    log_y: logarithmic axis, if all values are positive.
    lowest: see `charts.lines`.
  """
  first = "loss" if name == "losses" else None
  if name in _EVALUATIONS:
    first = primary_metric.flat
    group = _comparable(group, primary_metric.name)
  names = sorted(group, key=lambda n: (n != first, _order(n)))[:_MAX_CURVES]
  scale = 100 if name == "accuracy" else 1
  curves = [
    charts.Curve(
      n if name in _EVALUATIONS else n.replace("_", " "),
      group[n][0],
      scale * group[n][1],
      emphasis=n == first and len(names) > 1,
    )
    for n in names
  ]
  values = np.concatenate([c.y for c in curves])
  values = values[np.isfinite(values)]
  said = "".join(f"; {label} at step {step:g}" for step, label in rules.items())
  ends = "; ".join(f"{c.label} {_last(c.y)}" for c in curves)
  return charts.lines(
    f"training_{name}",
    f"{title} over steps{said}; last: {ends}",
    curves,
    x_label="step",
    y_label=title,
    log_y=log_y and bool(len(values) and values.min() > 0),
    lowest=lowest,
    rules={step: _along(label) for step, label in rules.items()},
  )


def _along(label: str) -> str:
  """As much of a label as fits along a line: what changed is said first."""
  if len(label) > charts.RULE_LETTERS:
    label = label.replace(_OTHERWISE, _OTHERWISE_SHORT)
  if len(label) > charts.RULE_LETTERS:
    label = f"{label[: charts.RULE_LETTERS - 1]}…"
  return label


def _comparable(group: Series, metric: str) -> Series:
  """One metric of every condition; every metric of a single condition."""
  names = {flat: metrics_lib.parse(flat) for flat in group}
  if len({name.condition for name in names.values()}) < 2:
    return group
  same = {k: v for k, v in group.items() if names[k].name == metric}
  return same or group


def _order(flat: str) -> tuple[int, str]:
  """A key that sorts Rank-1 first, since it is looked at first."""
  name = metrics_lib.parse(flat).name
  return {"rank1": 0, "mAP": 1}.get(name, 2), flat


def _last(values: np.ndarray) -> str:
  finite = values[np.isfinite(values)]
  return f"{finite[-1]:.4g}" if len(finite) else "none"
