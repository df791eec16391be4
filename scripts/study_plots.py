"""The plots of scripts/study.py: gains by row, and Rank-1 over steps."""

from collections.abc import Mapping
from collections.abc import Sequence
import io
from typing import Protocol

import numpy as np


class Gain(Protocol):
  """What a plot of gains needs of a row; see `study_rows.Row`."""

  gain: float

  @property
  def interval(self) -> tuple[float, float]:
    """The bounds of the gain."""


# Pixels of the plot: of the names, of a column, of a row, above the rows.
_LEFT, _WIDTH, _HEIGHT, _TOP = 210, 330, 22, 46
_NARROW = 230  # of a column where there are more than two
# Steps (of a training), means, and halves of intervals, `[k]` each.
Curve = tuple[Sequence[int], Sequence[float], Sequence[float]]


def gains(
  tests: Mapping[str, Mapping[str, Gain]], compared: str, against: str
) -> str:
  """An SVG of the gains and their intervals, a column a test.

  Args:
    tests: rows by name, by the title of a test.
    compared: the row that has no gain.
    against: what a gain is called.
  """
  shown = [n for n in next(iter(tests.values())) if n != compared]
  found = [
    max(map(abs, row.interval))
    for rows in tests.values()
    for name, row in rows.items()
    if name != compared and np.isfinite(row.gain)
  ]
  limit = 1.05 * max([1.0, *found])
  column = _WIDTH if len(tests) <= 2 else _NARROW
  width = _LEFT + column * len(tests) + 20
  height = _TOP + _HEIGHT * len(shown) + 40
  parts = [
    f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" '
    f'height="{height}" font-family="sans-serif" font-size="12">',
    '<rect width="100%" height="100%" fill="white"/>',
  ]
  for i, name in enumerate(shown):
    y = _TOP + _HEIGHT * i + 15
    parts.append(
      f'<text x="{_LEFT - 8}" y="{y}" text-anchor="end">{name}</text>'
    )
  for i, (title, rows) in enumerate(tests.items()):
    middle = _LEFT + column * i + column / 2
    scale = (column / 2 - 14) / limit
    bottom = _TOP + _HEIGHT * len(shown)
    parts += _axis(title, middle, bottom, scale, limit, against)
    parts += _intervals([rows.get(name) for name in shown], middle, scale)
  return "\n".join([*parts, "</svg>"]) + "\n"


def _axis(
  title: str,
  middle: float,
  bottom: int,
  scale: float,
  limit: float,
  against: str,
) -> list[str]:
  """The frame of a column: its title, the line of no gain, ticks, a label."""
  parts = [
    f'<text x="{middle}" y="20" text-anchor="middle" font-weight="bold">'
    f"{title}</text>",
    f'<line x1="{middle}" x2="{middle}" y1="{_TOP - 10}" y2="{bottom}" '
    'stroke="#888"/>',
    f'<text x="{middle}" y="{bottom + 28}" text-anchor="middle">Rank-1 '
    f"{against} (points)</text>",
  ]
  tick = 10 if limit > 12 else 5 if limit > 6 else 1
  for value in np.arange(-limit // tick * tick + tick, limit, tick):
    parts.append(
      f'<text x="{middle + value * scale:.1f}" y="{bottom + 13}" '
      f'text-anchor="middle" fill="#666">{value:+.0f}</text>'
    )
  return parts


def _intervals(
  rows: Sequence[Gain | None], middle: float, scale: float
) -> list[str]:
  """A dot and a line a row: green above zero, red below, else grey."""
  parts = []
  for i, row in enumerate(rows):
    if row is None or not np.isfinite(row.gain):
      continue
    y = _TOP + _HEIGHT * i + 11
    low, high = row.interval
    colour = "#1a7f37" if low > 0 else "#cf222e" if high < 0 else "#57606a"
    parts += [
      f'<line x1="{middle + low * scale:.1f}" y1="{y}" '
      f'x2="{middle + high * scale:.1f}" y2="{y}" stroke="{colour}" '
      'stroke-width="2"/>',
      f'<circle cx="{middle + row.gain * scale:.1f}" cy="{y}" r="4" '
      f'fill="{colour}"/>',
    ]
  return parts


def over_steps(tests: Mapping[str, Mapping[str, Curve]]) -> str:
  """An SVG of Rank-1 over the steps of a training, a panel a test.

  Args:
    tests: curves by row, by the title of a test.
  """
  # Half a second, for those who want it.
  import matplotlib

  matplotlib.use("agg")
  import matplotlib.pyplot as plt

  settings = {"svg.fonttype": "none", "svg.hashsalt": "study", "font.size": 9}
  with matplotlib.rc_context(settings):
    figure, axes = plt.subplots(
      1,
      len(tests),
      figsize=(4.6 * len(tests), 3.6),
      squeeze=False,
      layout="constrained",
    )
    for ax, (title, curves) in zip(axes[0], tests.items(), strict=True):
      for name, (steps, means, halves) in curves.items():
        ax.errorbar(
          steps, means, halves, marker="o", ms=3, capsize=2, label=name
        )
      ticks = sorted({s for steps, _, _ in curves.values() for s in steps})
      ax.set(xscale="log", xlabel="steps of the training", title=title)
      ax.set_xticks(ticks, [f"{t:,}" for t in ticks])
      ax.minorticks_off()
      ax.grid(alpha=0.3)
    axes[0][0].set_ylabel("Rank-1 (%)")
    figure.legend(
      *axes[0][0].get_legend_handles_labels(), loc="outside right center"
    )
    file = io.StringIO()
    figure.savefig(file, format="svg", metadata={"Date": None})
    plt.close(figure)
  return file.getvalue()
