"""The worst and the best probes as silhouettes, with their matches."""

from collections.abc import Callable
from collections.abc import Sequence
import dataclasses

import numpy as np

from gaitkd_jax.evaluation.report import charts
from gaitkd_jax.evaluation.report import markup
from gaitkd_jax.evaluation.report import matches
from gaitkd_jax.evaluation.report import sections

_FRAMES = 8
# Takes a row and a number of frames, and returns as many silhouettes, uint8
# `[frames, h, w]`; None where there are none.
Strips = Callable[[int, int], np.ndarray | None]


def probes(
  extremes: matches.Extremes, names: Sequence[str], strips: Strips
) -> sections.Section:
  """A card for each probe that is shown.

  Args:
    extremes: the probes.
    names: of all sequences.
    strips: see `page.write`.
  """
  every = (*extremes.worst, *extremes.best)
  several = len({shown.condition for shown in every}) > 1
  rows = _Rows(names, strips)
  nothing = "No probe has a right item among those it is compared with."
  if every:
    nothing = "Whatever has a right item to find has one nearest."
  content = _cards(
    "Worst: the right match comes last",
    [_card(shown, rows, several) for shown in extremes.worst],
    nothing,
  ) + _cards(
    "Best: the wrong items are farthest behind",
    [_card(shown, rows, several) for shown in extremes.best],
    "No probe has a right item nearest, and a wrong one behind it.",
  )
  notes = ["As many of each condition."] if several else []
  if every:
    notes.append(
      "A subject is shown again only when there is no other. Beside each name: "
      "its distance to the probe."
    )
  if extremes.unmatched:
    counts = [f"{n:,} in {name}" for name, n in extremes.unmatched.items()]
    notes.append(f"Without any right item to find: {', '.join(counts)}.")
  if every and not rows.pictures:
    notes.append("No silhouettes were at hand: only names are shown.")
  return sections.Section(
    "probes", "Probes", "Worst and best probes", " ".join(notes), content
  )


@dataclasses.dataclass
class _Rows:
  """Makes the rows of cards.

  Attributes:
    names: of all sequences.
    strips: see `page.write`.
    pictures: how many were drawn.
  """

  names: Sequence[str]
  strips: Strips
  pictures: int = 0

  def __call__(self, kind: str, row: int, text: str, more: str = "") -> str:
    """One sequence: its part in the card, its name and its silhouettes."""
    name = self.names[row]
    frames = self.strips(row, _FRAMES)
    picture = ""
    if frames is not None:
      self.pictures += 1
      strip = charts.strip(np.asarray(frames))
      picture = markup.image(*strip, f"{len(frames)} silhouettes of {name}")
    label = f"{name} · {more}" if more else name
    return (
      f'<li class="{kind}"><div><b>{markup.escape(text)}</b>'
      f"<span>{markup.escape(label)}</span></div>{picture}</li>"
    )


def _card(shown: matches.Shown, rows: _Rows, several: bool) -> str:
  """The probe, then its matches in the order of their ranks."""
  found = [(shown.right.rank, "right", shown.right)]
  found += [(match.rank, "wrong", match) for match in shown.wrong]
  items = [rows("probe", shown.row, "Probe")]
  for rank, kind, match in sorted(found, key=lambda item: item[0]):
    text = f"{kind.title()}, rank {rank:,}"
    items.append(rows(kind, match.row, text, markup.distance(match.distance)))
  chip = f"<em>{markup.escape(shown.condition)}</em>" if several else ""
  return (
    f"<article><h4>{chip}right match at rank {shown.right.rank:,} of "
    f"{shown.compared:,}</h4><ul>{''.join(items)}</ul></article>"
  )


def _cards(title: str, cards: list[str], nothing: str) -> str:
  inner = f'<p class="note">{markup.escape(nothing)}</p>'
  if cards:
    inner = f'<div class="cards">{"".join(cards)}</div>'
  return f"<h3>{title}</h3>{inner}"
