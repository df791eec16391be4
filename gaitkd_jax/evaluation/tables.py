"""What an evaluation prints."""

from collections.abc import Mapping
from collections.abc import Sequence
import math

from gaitkd_jax.evaluation import metrics as metrics_lib
from gaitkd_jax.evaluation.protocols import left_out as left_out_lib
from gaitkd_jax.evaluation.protocols import verification as verification_lib

# Wider tables than OU-MVLP's 14 views are not read.
MAX_VIEWS = 14
# The metrics of a condition that the table by view stands for.
_OF_VIEWS = {"rank1", "rank1_identical_view", "rank1_all_views"}


def format_table(metrics: Sequence[metrics_lib.Metric]) -> str:
  """Tables of a protocol's metrics, as papers print them.

  Rank-1 by condition and probe view where there are at most 14 views, and all
  metrics by condition where there are more than those of single views.
  """
  conditions = list(dict.fromkeys(m.condition for m in metrics))
  views = sorted({m.view for m in metrics if m.view is not None})
  names = list(dict.fromkeys(m.name for m in metrics if m.view is None))
  overall = {(m.condition, m.name): m.value for m in metrics if m.view is None}
  only_of_views = set(names) <= _OF_VIEWS
  tables = []
  if only_of_views or 0 < len(views) <= MAX_VIEWS:
    shown = views if len(views) <= MAX_VIEWS else []
    cells: dict[tuple[str, str], float | None] = {
      (m.condition, m.view): m.value for m in metrics if m.view is not None
    }
    cells |= {(c, "mean"): overall.get((c, "rank1")) for c in conditions}
    title = "Rank-1 (%) by probe view, identical views left out"
    tables.append([title, *_table(cells, conditions, [*shown, "mean"])])
  if not only_of_views:
    tables.append(["All figures (%)", *_table(overall, conditions, names)])
  if any(name.startswith("reid_") for name in names):
    tables[-1].append(
      "rank1 is the gait protocol (identical views left out); reid_* is the "
      "re-identification protocol: never compare one with the other"
    )
  return "\n\n".join("\n".join(lines) for lines in tables)


def format_verification(
  verification: Sequence[verification_lib.Verification],
) -> str:
  """The table of verification, for one condition or more."""
  cells, columns = {}, ["EER"]
  for one in verification:
    cells[one.condition, "EER"] = one.equal_error
    for point in one.points:
      column = f"TAR@FAR={point.false_accept_rate:g}"
      cells[one.condition, column] = point.true_accepts
      columns.append(column)
  conditions = [one.condition for one in verification]
  return "\n".join(
    [
      "Verification (%): equal error rate, true accepts at false accept rates",
      *_table(cells, conditions, list(dict.fromkeys(columns))),
    ]
  )


def format_difference(
  metric: str,
  one: tuple[str, Sequence[metrics_lib.Metric]],
  other: tuple[str, Sequence[metrics_lib.Metric]],
) -> str:
  """A metric of two networks by condition, and what the other gains.

  Args:
    metric: the name, such as "rank1".
    one: a name and the protocol's metrics.
    other: the same of the other network.
  """
  values = [
    {m.condition: m.value for m in found if (m.name, m.view) == (metric, None)}
    for _, found in (one, other)
  ]
  cells: dict[tuple[str, str], float | None] = {}
  for condition, value in values[0].items():
    cells[condition, one[0]] = value
    cells[condition, other[0]] = values[1][condition]
    cells[condition, "difference"] = values[1][condition] - value
  columns = [one[0], other[0], "difference"]
  title = f"{metric} (%) of the test set"
  return "\n".join([title, *_table(cells, list(values[0]), columns)])


def format_left_out(left_out: Sequence[left_out_lib.LeftOut]) -> str:
  """A line of each thing that the figures say nothing of; "" for none."""
  if not left_out:
    return ""
  lines = [f"  {one.text}" for one in left_out]
  return "\n".join(["Left out of these figures:", *lines])


def _table(
  cells: Mapping[tuple[str, str], float | None],
  rows: Sequence[str],
  columns: Sequence[str],
) -> list[str]:
  """A line of headings and a line for each row; None is left blank."""
  first = max([7, *(len(row) + 1 for row in rows)])
  widths = [max(7, len(column) + 1) for column in columns]

  def line(name: str, texts: Sequence[str]) -> str:
    return f"{name:<{first}}" + "".join(
      f"{text:>{width}}" for text, width in zip(texts, widths, strict=True)
    )

  def text(value: float | None) -> str:
    if value is None:
      return ""
    return f"{value:.2f}" if math.isfinite(value) else "-"

  return [line("", columns)] + [
    line(row, [text(cells.get((row, column))) for column in columns])
    for row in rows
  ]
