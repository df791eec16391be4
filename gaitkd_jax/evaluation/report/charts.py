"""Charts, each drawn for light and for dark pages.

Figures are made by matplotlib's objects: nothing is global but the settings of
`_settings`, which end with the drawing.
"""

from collections.abc import Callable
from collections.abc import Mapping
from collections.abc import Sequence
import dataclasses
import io
import itertools
import types
from typing import Any
import warnings

import matplotlib
from matplotlib import axes as axes_lib
from matplotlib import figure as figure_lib
from matplotlib import image
from matplotlib import ticker
import numpy as np

from gaitkd_jax.evaluation.report import palette

# Twice the density of a plain screen: sharp on phones and on paper.
_DPI = 100
_SCALE = 2
_STYLES = ("-", (0, (5, 1.5)), (0, (1, 1)), (0, (4, 1.2, 1, 1.2)))
_MAX_POINTS = 1500
# What fits along a vertical line of a small chart.
RULE_LETTERS = 51


@dataclasses.dataclass(frozen=True)
class Chart:
  """A chart as PNG bytes.

  Attributes:
    name: of its file, without a suffix.
    alt: what it shows, in words.
    light: for a light page and for paper.
    dark: for a dark page.
    width: in CSS pixels.
    height: in CSS pixels.
  """

  name: str
  alt: str
  light: bytes
  dark: bytes
  width: int
  height: int


@dataclasses.dataclass(frozen=True)
class Curve:
  """A line of `lines`.

  Attributes:
    label: its name.
    x: `[k]`, ascending.
    y: `[k]`; NaN is a gap.
    emphasis: drawn in ink, above all others.
    point: a marked point (x, y) or None.
  """

  label: str
  x: np.ndarray
  y: np.ndarray
  emphasis: bool = False
  point: tuple[float, float] | None = None


def shorten(text: str, length: int) -> str:
  """Cuts the middle out of a text that is longer than `length`."""
  if len(text) <= length:
    return text
  left = (length - 1) // 2
  return f"{text[:left]}…{text[len(text) - (length - 1 - left) :]}"


def lines(
  name: str,
  alt: str,
  curves: list[Curve],
  *,
  x_label: str,
  y_label: str,
  x_ticks: Mapping[float, str] | None = None,
  log_x: bool = False,
  log_y: bool = False,
  lowest: float | None = None,
  highest: float | None = None,
  size: tuple[float, float] = (3.6, 2.7),
  rules: Mapping[float, str] = types.MappingProxyType({}),
) -> Chart:
  """Curves over a shared axis, with the legend below them.

  Args:
    name: of the file.
    alt: what is shown.
    curves: at least one.
    x_label: name of the axis.
    y_label: name of the axis.
    x_ticks: labels by place; None lets matplotlib choose.
    log_x: logarithmic axis.
    log_y: logarithmic axis.
    lowest: bottom of the y axis; None follows the curves.
    highest: top of the y axis; None follows the curves.
    size: inches, without the legend.
    rules: labels of vertical lines, by place on the x axis; at most
      `RULE_LETTERS` long.
  """
  names = [shorten(curve.label, 34) for curve in curves]
  in_row = max(1, min(4, int(size[0] * 12) // (max(map(len, names)) + 7)))
  legend = 0.12 + 0.19 * -(-len(names) // in_row) if len(names) > 1 else 0.0
  whole = size[0], size[1] + legend
  left, bottom, top = 0.56, 0.44 + legend, 0.1
  box = (
    left / whole[0],
    bottom / whole[1],
    1 - (left + 0.14) / whole[0],
    1 - (bottom + top) / whole[1],
  )

  def draw(figure: figure_lib.Figure, theme: palette.Theme) -> None:
    axes = figure.add_axes(box)
    _plot(axes, curves, names, theme)
    if log_x:
      axes.set_xscale("log")
    if log_y:
      axes.set_yscale("log")
    axes.yaxis.set_major_formatter(ticker.FuncFormatter(_plain))
    if log_y:
      axes.yaxis.set_minor_formatter(ticker.NullFormatter())
    if x_ticks is not None:
      axes.set_xticks(list(x_ticks), list(x_ticks.values()))
      axes.xaxis.set_minor_locator(ticker.NullLocator())
    else:
      axes.xaxis.set_major_locator(ticker.MaxNLocator(5, integer=True))
      axes.xaxis.set_major_formatter(ticker.FuncFormatter(_plain))
    axes.margins(x=0.02)
    axes.set_ylim(lowest, highest)
    _rule(axes, rules, theme)
    axes.set_xlabel(x_label)
    axes.set_ylabel(y_label)
    axes.grid(True)
    axes.set_axisbelow(True)
    for side in ("top", "right"):
      axes.spines[side].set_visible(False)
    if legend:
      figure.legend(
        loc="lower left",
        bbox_to_anchor=((left - 0.06) / whole[0], 0),
        ncols=in_row,
        borderaxespad=0.2,
      )

  return draw_twice(name, alt, whole, draw)


def _plot(
  axes: axes_lib.Axes,
  curves: Sequence[Curve],
  names: Sequence[str],
  theme: palette.Theme,
) -> None:
  """Draws curves in different styles and colours."""
  looks = itertools.product(_STYLES, theme.lines)
  for curve, label in zip(curves, names, strict=True):
    style, color = ("-", theme.ink) if curve.emphasis else next(looks)
    axes.plot(
      curve.x,
      curve.y,
      label=label,
      color=color,
      linestyle=style,
      linewidth=2.0 if curve.emphasis else 1.6,
      marker="o" if len(curve.x) <= 12 else None,
      markersize=3,
      zorder=3 if curve.emphasis else 2,
    )
    if curve.point is not None:
      axes.plot(
        *curve.point,
        "o",
        color=color,
        markersize=5,
        markeredgecolor=theme.page,
        zorder=4,
      )


def _rule(
  axes: axes_lib.Axes, rules: Mapping[float, str], theme: palette.Theme
) -> None:
  """Draws vertical lines, with what they mean along them."""
  for place, label in rules.items():
    axes.axvline(place, color=theme.ink, linewidth=0.9, linestyle=":", zorder=4)
    axes.annotate(
      label,
      (place, 1),
      xycoords=("data", "axes fraction"),
      xytext=(2, -2),
      textcoords="offset points",
      rotation=90,
      ha="left",
      va="top",
      fontsize=5.8,
      color=theme.ink,
      bbox={
        "facecolor": theme.page,
        "edgecolor": "none",
        "pad": 0.5,
        "alpha": 0.7,
      },
      zorder=4,
    )


def thinned(x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
  """Thins a curve to about 1,500 points, evenly on a logarithmic axis.

  Args:
    x: `[k]`, positive, ascending.
    y: `[k]`.
  """
  if len(x) <= _MAX_POINTS:
    return x, y
  wanted = np.geomspace(x[0], x[-1], _MAX_POINTS)
  kept = np.unique(np.searchsorted(x, wanted).clip(0, len(x) - 1))
  return x[kept], y[kept]


def strip(frames: np.ndarray) -> tuple[bytes, int, int]:
  """Silhouettes side by side.

  Args:
    frames: uint8 `[s, h, w]`, or `[s, h, w, 3]` in colour.

  Returns:
    PNG bytes, width and height in pixels.
  """
  if frames.ndim == 3:
    frames = np.stack([frames] * 3, axis=-1)
  h = frames.shape[1]
  # A line between frames: without it a wide silhouette runs into the next.
  gap = np.full((h, 1, 3), 80, np.uint8)
  row = [part for frame in frames for part in (frame, gap)][:-1]
  pixels = np.concatenate(row, axis=1)
  file = io.BytesIO()
  image.imsave(file, pixels, format="png")
  return file.getvalue(), pixels.shape[1], h


def _plain(value: float, _: int | None) -> str:
  """A tick without needless digits: 12, 0.3, 20k, 1e-05."""
  if abs(value) >= 10_000 and value % 100 == 0:
    return f"{value / 1000:g}k"
  return f"{value:g}"


def draw_twice(
  name: str,
  alt: str,
  size: tuple[float, float],
  draw: Callable[[figure_lib.Figure, palette.Theme], None],
) -> Chart:
  """Draws a chart in both themes; `size` is in inches of 100 CSS pixels."""

  def png(theme: palette.Theme) -> bytes:
    with matplotlib.rc_context(_settings(theme)), warnings.catch_warnings():
      # Letters that the font lacks are shown as boxes.
      warnings.filterwarnings("ignore", message="Glyph .* missing from")
      figure = figure_lib.Figure(figsize=size, dpi=_DPI * _SCALE)
      draw(figure, theme)
      file = io.BytesIO()
      figure.savefig(file, format="png", metadata={"Software": None})
    return file.getvalue()

  return Chart(
    name,
    alt,
    png(palette.LIGHT),
    png(palette.DARK),
    round(size[0] * _DPI),
    round(size[1] * _DPI),
  )


def _settings(theme: palette.Theme) -> dict[Any, Any]:
  """Matplotlib's settings; all others are its defaults."""
  defaults: dict[Any, Any] = dict(matplotlib.rcParamsDefault)
  del defaults["backend"]  # of pyplot, which is not used
  return defaults | {
    "axes.edgecolor": theme.line,
    "axes.facecolor": theme.page,
    "axes.labelcolor": theme.faint,
    "axes.labelsize": 8.5,
    "axes.titlecolor": theme.ink,
    "axes.titleweight": "bold",
    "figure.facecolor": theme.page,
    "font.family": "DejaVu Sans",
    "font.size": 8.5,
    "grid.color": theme.line,
    "grid.linewidth": 0.6,
    "legend.fontsize": 8.5,
    "legend.frameon": False,
    "legend.handlelength": 1.8,
    "legend.labelcolor": theme.ink,
    "savefig.facecolor": theme.page,
    # Names hold "$" and "_" as they please.
    "text.parse_math": False,
    "text.color": theme.ink,
    "xtick.color": theme.line,
    "xtick.labelcolor": theme.faint,
    "xtick.labelsize": 8,
    "ytick.color": theme.line,
    "ytick.labelcolor": theme.faint,
    "ytick.labelsize": 8,
  }
