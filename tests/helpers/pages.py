"""Pages of evaluations: they are written, and read as a browser does."""

import dataclasses
import html.parser

import numpy as np

from gaitkd_jax import evaluation as evaluation_lib
from gaitkd_jax.evaluation import protocols
from gaitkd_jax.evaluation import report
from gaitkd_jax.evaluation import scoring
from tests.helpers import evaluation_sets as sets

HEIGHT, WIDTH = 6, 4
# A set that is scored by the protocol of GREW.
GREW = sets.cross([f"{i:03d}" for i in range(6)], ["01", "02"], ["x"])


class Page(html.parser.HTMLParser):
  """Tables, images, references and text of a page."""

  def __init__(self, path):
    super().__init__()
    self.tables, self.images, self.references = [], [], []
    self.tags, self.texts, self.sections, self.rows = set(), [], [], []
    self._cell = None
    self.source = path.read_text()
    self.feed(self.source)

  def handle_starttag(self, tag, attrs):
    attrs = dict(attrs)
    self.tags.add(tag)
    if tag == "table":
      self.tables.append([])
    elif tag == "tr":
      self.tables[-1].append([])
    elif tag in ("td", "th"):
      self._cell = ""
    elif tag == "img":
      self.images.append(attrs)
    elif tag == "section":
      self.sections.append(attrs["id"])
    elif tag == "li":
      self.rows.append((attrs.get("class", ""), []))
    for name in ("src", "href", "srcset", "action", "data", "poster"):
      if name in attrs:
        self.references.append(attrs[name])

  def handle_endtag(self, tag):
    if tag in ("td", "th"):
      self.tables[-1][-1].append(self._cell)
      self._cell = None

  def handle_data(self, data):
    self.texts.append(data)
    if self._cell is not None:
      self._cell += data
    if self.rows:
      self.rows[-1][1].append(data)

  @property
  def text(self):
    return " ".join(self.texts)

  def figures(self, index):
    """Text by (row, heading) of a table."""
    head, *rows = self.tables[index]
    return {
      (row[0], heading): cell
      for row in rows
      for heading, cell in zip(head[1:], row[1:], strict=True)
    }


def strips(row, frames):
  """Frames that tell the sequence and the frame."""
  tones = (20 * (row % 11) + np.arange(frames)).astype(np.uint8)
  return np.broadcast_to(tones[:, None, None], (frames, HEIGHT, WIDTH)).copy()


def write(path, protocol, labels, **changes):
  """Writes a page.

  Args:
    path: of the page.
    protocol: its name.
    labels: of the set.
    **changes: `embeddings`, by default such as follow from the labels, and
      `options` of the set; fields of the evaluation; arguments of
      `report.write`.
  """
  embeddings = changes.pop("embeddings", None)
  embeddings = sets.embed(labels) if embeddings is None else embeddings
  chosen = evaluation_lib.Embedded(
    embeddings, labels, changes.pop("options", {})
  )
  evaluation = scoring.evaluate(protocols.find(protocol), chosen)
  fields = {f.name for f in dataclasses.fields(evaluation)} & set(changes)
  evaluation = dataclasses.replace(
    evaluation, **{field: changes.pop(field) for field in fields}
  )
  arguments = {"strips": strips, "metrics_path": None, "metadata": {}}
  return Page(report.write(path, evaluation, **(arguments | changes)))


def grew():
  """The set of GREW's labels, with embeddings."""
  return evaluation_lib.Embedded(sets.embed(GREW), GREW)
