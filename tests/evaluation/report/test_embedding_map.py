"""The map in the page: every sequence is a point with a title."""

import re
import sys
from xml.etree import ElementTree

import numpy as np
import pytest

from gaitkd_jax.evaluation.report import embedding_map
from gaitkd_jax.evaluation.report import projection
from tests.helpers import evaluation_sets as sets
from tests.helpers import pages

LABELS = sets.cross(
  [f"{i:03d}" for i in range(14)], ["nm-01", "nm-05", "bg-01"], ["00", "90"]
)


@pytest.fixture
def line(monkeypatch):
  """Sequences on a line, in their order: no t-SNE."""
  monkeypatch.setattr(
    projection,
    "project",
    lambda distance, kind: np.stack([np.arange(len(distance))] * 2, axis=1),
  )


def drawn(page):
  """The map as XML, and the legend's."""
  found = re.search(r'<div class="map">.*?</div></div>', page.source)
  return ElementTree.fromstring(found[0])


def test_points_have_titles(tmp_path, line):
  page = pages.write(
    tmp_path / "7.html", "casiab", LABELS, embedding_map="tsne"
  )
  assert page.sections[-1] == "map"
  svg, legend = drawn(page)
  assert svg.get("role") == "img"
  points = {
    path.find("title").text: (group.get("class"), path.get("d"))
    for group in svg
    for path in group
  }
  assert set(points) == set(LABELS.names) and len(points) == len(LABELS)
  # Two of fourteen subjects are grey, the same as the legend lacks.
  subjects = {name[:3] for name, (kind, _) in points.items() if kind != "dot"}
  keys = ["".join(span.itertext()) for span in legend.iter("span")]
  assert sorted(subjects) == keys[:12] and keys[12:] == ["bg", "nm"]
  assert all(name in svg.get("aria-label") for name in subjects)
  # A subject has one look, and no two have the same.
  looks = {(name[:3], kind) for name, (kind, _) in points.items()}
  looks = {pair for pair in looks if pair[1] != "dot"}
  assert len(looks) == 12 == len({kind for _, kind in looks})
  # A condition has one outline, whatever the number of the walk.
  outlines = {
    (name[4:6], re.sub(r"^M\S+ [\d.]+", "", path))
    for name, (kind, path) in points.items()
    if kind != "dot"
  }
  assert len(outlines) == 2 == len({outline for _, outline in outlines})
  assert "12 subjects with the most sequences" in page.text
  assert "mean nothing" in page.text


def test_points_lie_where_they_were_placed(tmp_path, line):
  page = pages.write(
    tmp_path / "7.html", "casiab", LABELS, embedding_map="tsne"
  )
  svg, _ = drawn(page)
  places = {
    path.find("title").text: [
      float(v) for v in re.findall(r"[\d.]+", path.get("d"))[:2]
    ]
    for path in svg.iter("path")
  }
  x, y = np.array([places[name] for name in LABELS.names]).T
  # On the diagonal, from the lower left to the upper right, evenly.
  assert np.all(np.diff(x) > 0) and np.all(np.diff(y) < 0)
  np.testing.assert_allclose(np.diff(x), -np.diff(y), atol=0.21)
  _, _, width, height = map(int, svg.get("viewBox").split())
  assert 0 < x.min() < x.max() < width and 0 < y.min() < y.max() < height


@pytest.mark.parametrize(
  "kind, module, package",
  [("tsne", "sklearn", "scikit-learn"), ("umap", "umap", "umap-learn")],
)
def test_without_the_library_a_line_says_so(
  tmp_path, monkeypatch, kind, module, package
):
  monkeypatch.setitem(sys.modules, module, None)
  page = pages.write(tmp_path / "7.html", "casiab", LABELS, embedding_map=kind)
  assert "map" in page.sections and 'class="map"' not in page.source
  assert f"pip install {package}" in page.text


def test_real_places(tmp_path):
  pytest.importorskip("sklearn")
  page = pages.write(
    tmp_path / "7.html", "casiab", LABELS, embedding_map="tsne"
  )
  assert len(list(drawn(page)[0].iter("title"))) == len(LABELS)
  again = pages.write(
    tmp_path / "8.html", "casiab", LABELS, embedding_map="tsne"
  )
  assert again.source == page.source


def test_too_few_sequences(tmp_path):
  labels = sets.cross(["a", "b"], ["01", "02"], ["x"])
  page = pages.write(tmp_path / "7.html", "grew", labels, embedding_map="tsne")
  assert "4 sequences make no map" in page.text


def test_names_are_escaped(tmp_path, line):
  evil = '<b>&"'
  subjects = np.char.add(evil, pages.GREW.subjects)
  labels = type(pages.GREW)(subjects, pages.GREW.conditions, pages.GREW.views)
  page = pages.write(tmp_path / "7.html", "grew", labels, embedding_map="tsne")
  titles = [title.text for title in drawn(page)[0].iter("title")]
  assert titles and all(title.startswith(evil) for title in titles)


def test_rare_conditions_share_a_shape(tmp_path, line):
  labels = sets.cross(
    ["a", "b", "c"], [f"nm{i}x-01" for i in range(9)], ["00", "90"]
  )
  page = pages.write(
    tmp_path / "7.html",
    "lists",
    labels,
    embedding_map="tsne",
    options={"probes": labels.names[::2], "gallery": labels.names[1::2]},
  )
  svg, legend = drawn(page)
  keys = ["".join(span.itertext()) for span in legend.iter("span")]
  assert keys[3:] == [*(f"nm{i}x" for i in range(5)), "other"]
  outlines = {
    re.sub(r"^M\S+ [\d.]+", "", path.get("d")) for path in svg.iter("path")
  }
  assert len(outlines) == 6


@pytest.mark.parametrize(
  "condition, kind",
  [
    ("nm-01", "nm"),
    ("00-nm", "nm"),
    ("01", "walk"),
    ("camid0_videoid0", "camid0-videoid0"),
    ("U0_D3", "U0-D3"),
    ("carrying-bag-2", "carrying-bag"),
  ],
)
def test_kinds_of_conditions(condition, kind):
  assert embedding_map.kind_of(condition) == kind
