"""What an evaluation prints."""

from collections.abc import Mapping
import math

# Wider tables than OU-MVLP's 14 views are not read.
_MAX_VIEWS = 14
_VIEW_FIGURES = ("rank1", "rank1_identical_view", "rank1_all_views")


def format_table(results: Mapping[str, float]) -> str:
  """Tables of `evaluate_embeddings`' figures, as papers print them.

  Rank-1 by condition and probe view where there are at most 14 views, and all
  figures by condition where there are more than those of single views.
  """
  views = sorted({k.split("/", 2)[2] for k in results if "/view/" in k})
  names = list(dict.fromkeys(k.partition("/")[0] for k in results))
  figures = list(
    dict.fromkeys(k.partition("/")[2] for k in results if "/view/" not in k)
  )
  lines = []
  by_view = 0 < len(views) <= _MAX_VIEWS or set(figures) <= set(_VIEW_FIGURES)
  if by_view:
    shown = views if len(views) <= _MAX_VIEWS else []
    lines.append("Rank-1 (%) by probe view, identical views left out")
    columns = {view: f"view/{view}" for view in shown}
    lines += _table(results, names, columns | {"mean": "rank1"})
  if not set(figures) <= set(_VIEW_FIGURES):
    if by_view:
      lines.append("")
    lines.append("All figures (%)")
    lines += _table(results, names, {figure: figure for figure in figures})
  if any(figure.startswith("reid_") for figure in figures):
    lines.append(
      "rank1 is the gait protocol (identical views left out); reid_* is the "
      "re-identification protocol: never compare one with the other"
    )
  return "\n".join(lines)


def format_verification(figures: Mapping[str, float]) -> str:
  """The table of `protocols.verification.all_figures`."""
  names = list(dict.fromkeys(k.partition("/")[0] for k in figures))
  rates = dict.fromkeys(k.partition("/")[2] for k in figures)
  shown = {k: k for k in rates if not k.startswith("threshold")}
  return "\n".join(
    [
      "Verification (%): equal error rate, true accepts at false accept rates",
      *_table(figures, names, shown),
    ]
  )


def _table(
  results: Mapping[str, float], names: list[str], columns: Mapping[str, str]
) -> list[str]:
  """A line of headings, then a line a name; no value is a blank."""
  first = max([7, *(len(name) + 1 for name in names)])
  widths = [max(7, len(heading) + 1) for heading in columns]

  def line(name, cells):
    return f"{name:<{first}}" + "".join(
      f"{cell:>{width}}" for cell, width in zip(cells, widths, strict=True)
    )

  def cell(name, figure):
    value = results.get(f"{name}/{figure}")
    if value is None:
      return ""
    return f"{value:.2f}" if math.isfinite(value) else "-"

  return [line("", columns)] + [
    line(name, [cell(name, figure) for figure in columns.values()])
    for name in names
  ]
