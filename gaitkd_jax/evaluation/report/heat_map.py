"""A heat map of percentages by pairs of views."""

from typing import Any

from matplotlib import axes as axes_lib
from matplotlib import axis as axis_lib
from matplotlib import cm
from matplotlib import colors
from matplotlib import figure as figure_lib
from matplotlib import patches
import numpy as np

from gaitkd_jax.evaluation.report import charts
from gaitkd_jax.evaluation.report import palette

# Cells of a wider table are too small for figures.
_MAX_CELLS = 15
# Width in inches: three fit side by side, and one fits a phone.
_HEAT_MAP = 3.65
_LETTER, _LINE = 0.075, 0.13
_LABEL = 14


def draw(
  name: str,
  title: str,
  rows: np.ndarray,
  columns: np.ndarray,
  values: np.ndarray,
  lowest: float,
) -> charts.Chart:
  """Draws Rank-1 of every pair of views.

  Args:
    name: of the file.
    title: the condition.
    rows: str `[v]`, probe views.
    columns: str `[w]`, gallery views.
    values: percent `[v, w]`, NaN where a pair is missing.
    lowest: percent of the palest colour; shared by all conditions.
  """
  layout = _HeatMap(title, rows, columns, values, lowest)
  alt = (
    f"Heat map of Rank-1 by probe view and gallery view, {title}: "
    + _range(values)
  )
  return charts.draw_twice(name, alt, layout.size, layout.draw)


class _HeatMap:
  """Layout and drawing; lengths are in inches.

  Attributes:
    size: width and height.
  """

  def __init__(
    self,
    title: str,
    rows: np.ndarray,
    columns: np.ndarray,
    values: np.ndarray,
    lowest: float,
  ):
    """See `draw`."""
    self._title = title
    self._rows, self._columns = rows, columns
    self._values, self._lowest = values, lowest
    self._across = [charts.shorten(view, _LABEL) for view in columns]
    self._down = [charts.shorten(view, _LABEL) for view in rows]
    self._with_figures = max(values.shape) <= _MAX_CELLS
    letters = _LETTER * max(map(len, self._across))
    left = 0.26 + _LETTER * max(map(len, self._down))
    right, top = (0.08 if self._with_figures else 0.62), 0.34
    self._side = min(0.5, (_HEAT_MAP - left - right) / len(columns))
    self._upright = letters < 0.95 * self._side
    bottom = 0.34 + (0.16 if self._upright else letters)
    inner = self._side * len(columns), max(0.8, self._side * len(rows))
    self.size = left + inner[0] + right, bottom + inner[1] + top
    # Of the cells, as matplotlib takes it: left, bottom, width, height.
    self._box = (
      left / self.size[0],
      bottom / self.size[1],
      inner[0] / self.size[0],
      inner[1] / self.size[1],
    )

  def draw(self, figure: figure_lib.Figure, theme: palette.Theme) -> None:
    """Draws it in a theme."""
    axes = figure.add_axes(self._box)
    shades = colors.LinearSegmentedColormap.from_list("rank1", theme.shades)
    cells = axes.pcolormesh(
      np.ma.masked_invalid(self._values),
      cmap=shades.with_extremes(bad=theme.missing),
      vmin=self._lowest,
      vmax=100,
      edgecolors=theme.page,
      linewidth=1 if self._with_figures else 0,
    )
    axes.set_ylim(len(self._rows), 0)
    axes.set_title(charts.shorten(self._title, 40), loc="left", fontsize=10)
    # Labels of small cells would overlap: not every one is shown.
    step = int(np.ceil(_LINE / self._side))
    _tick(axes.xaxis, self._across, step, rotation=0 if self._upright else 90)
    _tick(axes.yaxis, self._down, step)
    axes.set_xlabel("gallery view")
    axes.set_ylabel("probe view")
    axes.tick_params(length=0)
    for spine in axes.spines.values():
      spine.set_visible(False)
    self._mark_cells(axes, cells, theme)
    if not self._with_figures:
      left, bottom, _, height = self._box
      bar = figure.add_axes(
        (1 - 0.5 / self.size[0], bottom, 0.12 / self.size[0], height)
      )
      figure.colorbar(cells, cax=bar).outline.set_visible(False)

  def _mark_cells(
    self, axes: axes_lib.Axes, cells: cm.ScalarMappable, theme: palette.Theme
  ) -> None:
    """Writes figures into cells, and outlines identical views."""
    for i, j in np.ndindex(self._values.shape):
      value = self._values[i, j]
      if self._with_figures:
        axes.text(
          j + 0.5,
          i + 0.52,
          f"{value:.0f}" if np.isfinite(value) else "–",
          color=_ink_on(cells.to_rgba(value), theme),
          ha="center",
          va="center",
          fontsize=min(8, 29 * self._side),
        )
      if self._rows[i] == self._columns[j]:
        axes.add_patch(
          patches.Rectangle(
            (j + 0.06, i + 0.06),
            0.88,
            0.88,
            fill=False,
            edgecolor=theme.accent,
            linewidth=1.4 if self._with_figures else 0.8,
          )
        )


def _tick(
  axis: axis_lib.Axis, labels: list[str], step: int, **looks: Any
) -> None:
  """Labels every `step`-th cell at its middle."""
  axis.set_ticks(np.arange(0, len(labels), step) + 0.5, labels[::step])
  for label in axis.get_ticklabels():
    label.set(**looks)


def _ink_on(color: np.ndarray, theme: palette.Theme) -> str:
  """The one of two inks that can be read on a colour, `[4]` in [0, 1]."""
  red, green, blue, _ = color
  bright = 0.299 * red + 0.587 * green + 0.114 * blue
  return "#10151c" if bright > 0.55 else "#ffffff"


def _range(values: np.ndarray) -> str:
  """The range of percentages, in words."""
  finite = values[np.isfinite(values)]
  if not len(finite):
    return "no figure"
  return f"{finite.min():.2f} to {finite.max():.2f} percent"
