"""A map of the embeddings: a point a sequence, near ones near each other.

It is drawn as SVG, not as an image, so that every point has a title.
"""

from collections.abc import Sequence
import re

import numpy as np

from gaitkd_jax.evaluation import results as results_lib
from gaitkd_jax.evaluation.report import charts
from gaitkd_jax.evaluation.report import markup
from gaitkd_jax.evaluation.report import palette
from gaitkd_jax.evaluation.report import projection
from gaitkd_jax.evaluation.report import sections

_COLORS = len(palette.LIGHT.lines)
# Subjects that are told apart: every colour filled, then every one hollow.
_SUBJECTS = 2 * _COLORS
_WIDTH, _HEIGHT, _RIM = 720, 520, 14
_OTHER = "other"
# Outlines about (0, 0), one a condition; the last one is for all that follow.
_SHAPES = (
  "m-4 0a4 4 0 1 0 8 0a4 4 0 1 0-8 0z",  # circle
  "m0-4.8l4.6 8h-9.2z",  # triangle
  "m-3.5-3.5h7v7h-7z",  # square
  "m0-5l5 5l-5 5l-5-5z",  # diamond
  "m0 4.8l4.6-8h-9.2z",  # triangle on its tip
  "m-1.4-4.4h2.8v3h3v2.8h-3v3h-2.8v-3h-3v-2.8h3z",  # cross
)


def draw(evaluation: results_lib.Evaluation, kind: str) -> sections.Section:
  """The part of the page.

  Args:
    evaluation: whose sequences are shown.
    kind: a key of `projection.KINDS`.
  """
  title, package = projection.KINDS[kind]
  labels, ranker = evaluation.labels, evaluation.ranker
  drawn = projection.draw(ranker.subjects, _SUBJECTS)
  content = ""
  try:
    places = projection.project(projection.distances(ranker, drawn.rows), kind)
  except ImportError:
    note = (
      f"Not drawn, for want of {package}: pip install {package} draws it next "
      "time."
    )
  except ValueError as e:
    note = f"Not drawn: {e}."
  else:
    points = _Points(
      labels.names[drawn.rows],
      labels.conditions[drawn.rows],
      ranker.subjects[drawn.rows],
      drawn.subjects,
    )
    names = [labels.subjects[ranker.subjects == s][0] for s in drawn.subjects]
    content = points.content(places, names, title)
    note = _note(title, len(labels), drawn, len(np.unique(ranker.subjects)))
  return sections.Section("map", "Map", "Map of the embeddings", note, content)


def _note(title: str, count: int, drawn: projection.Drawn, people: int) -> str:
  """What is shown, and what it does not mean."""
  shown = len(drawn.rows)
  some = f"{shown:,} of " if shown < count else ""
  note = (
    f"A point is a sequence, of {some}{count:,}, placed by {title} of the "
    "distances that the protocol compares: neighbours are alike. How far "
    "clusters lie apart, how large they are, and the axes mean nothing."
  )
  if people > len(drawn.subjects):
    note += (
      f" In colour the {len(drawn.subjects)} subjects with the most sequences, "
      "drawn by lot among equals; all others are grey dots."
    )
  return note + " Point at one to read its name."


class _Points:
  """Makes the markup of points."""

  def __init__(
    self,
    names: np.ndarray,
    conditions: np.ndarray,
    subjects: np.ndarray,
    told_apart: np.ndarray,
  ):
    """Takes what is known of `[m]` sequences.

    Args:
      names: str `[m]`.
      conditions: str `[m]`.
      subjects: int `[m]`, codes.
      told_apart: the codes that have a colour, ascending.
    """
    self._names = names
    kinds = np.array([kind_of(condition) for condition in conditions])
    found, counts = np.unique(kinds, return_counts=True)
    # If there are too many, the rare ones share the last shape.
    rare = len(found) > len(_SHAPES)
    kept = len(_SHAPES) - 1 if rare else len(found)
    common = np.sort(found[np.argsort(-counts, kind="stable")[:kept]])
    self.kinds = [*common.tolist(), *([_OTHER] if rare else [])]
    places = np.minimum(np.searchsorted(common, kinds), kept - 1)
    self._shapes = np.where(common[places] == kinds, places, kept)
    color = np.searchsorted(told_apart, subjects)
    known = color < len(told_apart)
    known[known] = told_apart[color[known]] == subjects[known]
    self._colors = np.where(known, color, -1)

  def content(
    self, places: np.ndarray, subjects: Sequence[str], title: str
  ) -> str:
    """The map and its legend.

    Args:
      places: `[m, 2]`.
      subjects: names of those that have a colour.
      title: of the projection.
    """
    x, y = _fitted(places)
    groups = []
    for color in range(-1, len(subjects)):
      marks = [
        f'<path d="M{x[i]:.1f} {y[i]:.1f}{self._outline(i)}">'
        f"<title>{markup.escape(self._names[i])}</title></path>"
        for i in np.flatnonzero(self._colors == color).tolist()
      ]
      if marks:
        groups.append(f'<g class="{_style(color)}">{"".join(marks)}</g>')
    alt = (
      f"{title} map of {len(places)} sequences; in colour the subjects "
      + ", ".join(subjects)
    )
    return (
      f'<div class="map"><svg viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" '
      f'aria-label="{markup.escape(alt)}">{"".join(groups)}</svg>'
      f"{self._legend(subjects)}</div>"
    )

  def _outline(self, i: int) -> str:
    """Of a point; sequences of the others are small dots."""
    if self._colors[i] < 0:
      return "m-2 0a2 2 0 1 0 4 0a2 2 0 1 0-4 0z"
    return _SHAPES[self._shapes[i]]

  def _legend(self, subjects: Sequence[str]) -> str:
    """Subjects by colour, and conditions by shape if there are several."""
    rows = [
      _key("Subject", [(s, _style(i), 0) for i, s in enumerate(subjects)])
    ]
    if len(self.kinds) > 1:
      marks = [(kind, "ink", i) for i, kind in enumerate(self.kinds)]
      rows.append(_key("Condition", marks))
    return f'<div class="keys">{"".join(rows)}</div>'


def kind_of(condition: str) -> str:
  """A condition without the number of the walk: "nm-01" and "00-nm" are "nm".

  One that is nothing but numbers is "walk".
  """
  words = re.split(r"[-_]", condition)
  return "-".join(w for w in words if w and not w.isdecimal()) or "walk"


def _fitted(places: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
  """Pixels `[m]` across and down, on one scale for both."""
  low, high = places.min(axis=0), places.max(axis=0)
  room = np.array([_WIDTH - 2 * _RIM, _HEIGHT - 2 * _RIM])
  scale = np.min(room / np.maximum(high - low, 1e-12))
  pixels = (places - (low + high) / 2) * scale
  return _WIDTH / 2 + pixels[:, 0], _HEIGHT / 2 - pixels[:, 1]


def _style(color: int) -> str:
  """The class of a subject in the style sheet."""
  if color < 0:
    return "dot"
  kind = "fill" if color < _COLORS else "hollow"
  return f"{kind} c{color % _COLORS}"


def _key(title: str, marks: Sequence[tuple[str, str, int]]) -> str:
  """A row of the legend; of marks the name, the class and the shape."""
  shown = "".join(
    f'<span><svg class="{kind}" viewBox="-6 -6 12 12" width="14" height="14" '
    f'aria-hidden="true"><path d="M0 0{_SHAPES[shape]}"/></svg>'
    f"{markup.escape(charts.shorten(name, 24))}</span>"
    for name, kind, shape in marks
  )
  return f"<p><b>{title}</b>{shown}</p>"
