"""What scripts/study.py says of a row: means, intervals, and a table."""

from collections.abc import Mapping
import dataclasses

import numpy as np

# Student's t at 97.5 %, by degrees of freedom from 1.
_T = (12.71, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228)


@dataclasses.dataclass(frozen=True)
class Row:
  """What table and plots show of a row in one test.

  Attributes:
    seeds: runs that are finished.
    mean: of Rank-1 over them.
    spread: its standard deviation; NaN for one run.
    gain: mean difference from the row compared with, paired by seed.
    half: half of its 95 % interval; both NaN where there is no pair, `half` for
      one.
    further: `gain` and `half` from further rows.
  """

  seeds: int
  mean: float
  spread: float
  gain: float
  half: float
  further: tuple[tuple[float, float], ...] = ()

  @property
  def interval(self) -> tuple[float, float]:
    """The bounds of the gain; of a single pair the gain itself."""
    half = self.half if np.isfinite(self.half) else 0.0
    return self.gain - half, self.gain + half

  @property
  def error(self) -> float:
    """Half of the 95 % interval of the mean; NaN for one run."""
    return _half(self.spread, self.seeds)


Rows = Mapping[str, Row]


def create_row(ranks: Mapping[int, float], *others: Mapping[int, float]) -> Row:
  """A row.

  Args:
    ranks: Rank-1 by seed, of one or more.
    *others: the same of the rows that it is compared with.
  """
  values = np.array(list(ranks.values()))
  (gain, half), *further = (difference(ranks, other) for other in others)
  return Row(
    seeds=len(values),
    mean=values.mean(),
    spread=values.std(ddof=1) if len(values) > 1 else np.nan,
    gain=gain,
    half=half,
    further=tuple(further),
  )


def difference(
  one: Mapping[int, float], other: Mapping[int, float]
) -> tuple[float, float]:
  """The mean difference by seed, and half of its 95 % interval.

  The half is NaN for one pair; both are where no seed is in both.
  """
  paired = np.array([one[seed] - other[seed] for seed in one if seed in other])
  if len(paired) < 2:
    return (float(paired[0]) if len(paired) else np.nan), np.nan
  return float(paired.mean()), _half(float(paired.std(ddof=1)), len(paired))


def _half(spread: float, count: int) -> float:
  """Half of the 95 % interval of a mean of `count` values."""
  if count < 2:
    return np.nan
  return _T[min(count - 1, len(_T)) - 1] * spread / count**0.5


def table(rows: Rows, head: str, columns: Mapping[str, str]) -> str:
  """Markdown.

  Args:
    rows: by name.
    head: of the names.
    columns: heads of the differences, by the row that is compared with.
  """
  lines = [
    f"| {head} | seeds | Rank-1 | spread | "
    + " | ".join(columns.values())
    + " |",
    "|---|---|---|---|" + "---|" * len(columns),
  ]
  for name, row in rows.items():
    gains = [(row.gain, row.half), *row.further]
    cells = [
      "-" if name == other else f"{gain:+.2f} ± {half:.2f}"
      for other, (gain, half) in zip(columns, gains, strict=True)
    ]
    lines.append(
      f"| {name} | {row.seeds} | {row.mean:.2f} | {row.spread:.2f} | "
      + " | ".join(cells)
      + " |"
    )
  return "\n".join(lines).replace("nan", "-")
