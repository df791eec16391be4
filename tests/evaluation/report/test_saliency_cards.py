"""Saliency in the page: whose, on which frames, and how it is drawn."""

import base64
import io

from matplotlib import image
import numpy as np

from gaitkd_jax.evaluation import report
from gaitkd_jax.evaluation.report import saliency_cards
from tests.helpers import evaluation_sets as sets
from tests.helpers import pages

LABELS = sets.cross(
  [f"{i:03d}" for i in range(8)], ["nm-01", "nm-05", "bg-01"], ["00", "90"]
)
FRAMES, HEIGHT, WIDTH = 12, 9, 6


def looks(row, other):
  """The upper third in one group, and nothing in the other."""
  maps = np.zeros((FRAMES, HEIGHT, WIDTH), np.float32)
  maps[:, :3] = 1 + row
  return report.Looks(
    np.full((FRAMES, HEIGHT, WIDTH), 255, np.uint8),
    {"upper third": maps, "all parts": np.zeros_like(maps)},
  )


def write(path, **changes):
  return pages.write(
    path,
    "casiab",
    LABELS,
    embeddings=sets.embed(LABELS, spread=2),
    **changes,
  )


def test_probes_are_compared_with_what_is_nearest(tmp_path):
  asked = []

  def count(row, other):
    asked.append((row, other))
    return looks(row, other)

  page = write(tmp_path / "7.html", saliency=count, saliency_count=4)
  assert page.sections[-1] == "saliency"
  names = LABELS.names
  same = [LABELS.subjects[a] == LABELS.subjects[b] for a, b in asked]
  # Half of them were taken for someone else.
  assert same == [False, False, True, True]
  for (row, other), right in zip(asked, same, strict=True):
    said = "rightly" if right else "wrongly"
    assert f"{names[row]}, {said} nearest to {names[other]}" in page.text
  rows = [(kind, " ".join(texts)) for kind, texts in page.rows[-8:]]
  assert [kind for kind, _ in rows] == ["wrong"] * 4 + ["right"] * 4
  assert "100 % · 0 % · 0 %" in rows[0][1] and "Upper third" in rows[0][1]
  assert "no gradient" in rows[1][1]


def test_pictures_are_maps_on_silhouettes(tmp_path):
  page = write(tmp_path / "7.html", saliency=looks, saliency_count=1)
  picture = next(i for i in page.images if "saliency of upper" in i["alt"])
  png = base64.b64decode(picture["src"].partition(",")[2])
  pixels = image.imread(io.BytesIO(png))[..., :3]
  # Eight frames and their mean, with a line between any two.
  assert pixels.shape[:2] == (HEIGHT, 9 * WIDTH + 8)
  first = pixels[:, :WIDTH]
  colored = first.max(axis=-1) - first.min(axis=-1)
  assert colored[0].min() > 0.05
  assert colored[-1].max() < 0.01  # grey: the body, where nothing matters
  np.testing.assert_allclose(first[-1], 0.5, atol=0.01)


def test_overlay_is_a_scale_of_its_own():
  maps = np.zeros((1, 4, 5))
  maps[0, 0, 0], maps[0, 0, 1] = 2, 1
  frames = np.zeros((1, 4, 5), np.uint8)
  drawn = saliency_cards.overlay(frames, maps)
  assert drawn.dtype == np.uint8 and drawn.shape == (1, 4, 5, 3)
  np.testing.assert_array_equal(saliency_cards.overlay(frames, 9 * maps), drawn)
  brightness = drawn[0, 0, :3].sum(axis=-1).astype(int)
  assert brightness[0] > brightness[1] > brightness[2] == 0


def test_shares_of_a_height_that_3_does_not_divide():
  maps = np.ones((2, 64, 4))
  assert saliency_cards.shares(maps) == "33 % · 33 % · 33 %"
  maps[:, :32] = 0
  assert saliency_cards.shares(maps) == "0 % · 33 % · 67 %"


def test_without_a_network_a_line_says_so(tmp_path):
  page = write(tmp_path / "7.html", saliency_count=4)
  assert "saliency" in page.sections and "no network here" in page.text
  assert "saliency" not in write(tmp_path / "7.html", saliency=looks).sections
  nothing = write(
    tmp_path / "7.html", saliency=lambda row, other: None, saliency_count=2
  )
  assert "no gradient could be computed" in nothing.text
