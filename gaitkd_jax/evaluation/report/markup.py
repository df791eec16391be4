"""Pieces of the page: everything that comes from outside is escaped here."""

import base64
from collections.abc import Iterable
from collections.abc import Mapping
from collections.abc import Sequence
import html
import math
import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
  from gaitkd_jax.evaluation.report import charts

escape = html.escape


def picture(chart: "charts.Chart") -> str:
  """A chart that follows the page from light to dark; paper gets the light.

  Two images, of which the style sheet shows one: a `<picture>` would keep the
  dark one on paper.
  """
  images = "".join(
    image(png, chart.width, chart.height, chart.alt, kind)
    for kind, png in (("light", chart.light), ("dark", chart.dark))
  )
  return f"<figure>{images}</figure>"


def image(png: bytes, width: int, height: int, alt: str, kind: str = "") -> str:
  """An image; `kind` is its class in the style sheet."""
  data = base64.b64encode(png).decode()
  shown = f' class="{kind}"' if kind else ""
  return (
    f'<img{shown} src="data:image/png;base64,{data}" width="{width}"'
    f' height="{height}" alt="{escape(alt)}">'
  )


def number(value: float | None) -> str:
  """Two decimals as in papers; a dash for NaN, nothing for None."""
  if value is None:
    return ""
  if not math.isfinite(value):
    return '<abbr title="no such figure">–</abbr>'
  return f"{value:.2f}"


def distance(value: float) -> str:
  """Four digits, whatever the scale of the embeddings."""
  return f"{value:#.4g}"


def table(
  headings: Sequence[str],
  rows: Iterable[tuple[str, Sequence[float | None]]],
  emphasis: str = "",
  below: Mapping[tuple[str, str], str] | None = None,
) -> str:
  """A table of figures that scrolls sideways if the screen is narrow.

  Args:
    headings: of the columns of figures.
    rows: name and figures.
    emphasis: the name of the row of means, set apart; "" for none.
    below: by name and heading, a small text below the figure.
  """
  below = below or {}
  head = "".join(_heading("col", h) for h in headings)
  body = []
  for name, values in rows:
    kind = ' class="mean"' if emphasis and name == emphasis else ""
    cells = []
    for heading, value in zip(headings, values, strict=True):
      more = below.get((name, heading), "")
      more = f"<small>{escape(more)}</small>" if more else ""
      cells.append(f"<td>{number(value)}{more}</td>")
    body.append(f"<tr{kind}>{_heading('row', name)}{''.join(cells)}</tr>")
  return (
    '<div class="scroll" tabindex="0" role="group" aria-label="table"><table>'
    f'<thead><tr><th scope="col"></th>{head}</tr></thead>'
    f"<tbody>{''.join(body)}</tbody></table></div>"
  )


def section(name: str, title: str, note: str, content: str) -> str:
  """A part of the page.

  Args:
    name: of its anchor.
    title: plain text.
    note: plain text below the title.
    content: markup.
  """
  below = f'<p class="note">{escape(note)}</p>' if note else ""
  return (
    f'<section id="{name}"><hgroup><h2>{escape(title)}</h2>{below}</hgroup>'
    f"{content}</section>\n"
  )


def _heading(scope: str, text: str) -> str:
  """A heading that wraps only if it is long, and never inside "Rank-1"."""
  longest = max(map(len, text.split() or [""]))
  kind = ' class="long"' if longest > 20 else ""
  if longest == len(text) <= 20:  # "000-far" counts as one word
    kind = ' class="whole"'
  shown = re.sub(r"(Rank-\d+)", r'<span class="whole">\1</span>', escape(text))
  return f'<th{kind} scope="{scope}">{shown}</th>'
