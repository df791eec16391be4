"""Charts, as far as they are not only looked at."""

import io

from matplotlib import image
import numpy as np

from gaitkd_jax.evaluation.report import charts


def test_curves_are_thinned_evenly_over_decades():
  x = np.arange(1, 1_000_001) / 1e6
  kept, y = charts.thinned(x, 2 * x)
  assert len(kept) <= 1500
  assert kept[0] == x[0]
  assert kept[-1] == x[-1]
  np.testing.assert_array_equal(y, 2 * kept)
  counts = np.histogram(np.log10(kept), bins=[-3, -2, -1, 0.01])[0]
  assert counts.min() > 200


def test_a_chart_has_the_size_it_says():
  curve = charts.Curve("a", np.arange(3), np.arange(3.0), point=(1, 1))
  chart = charts.lines(
    "name", "words", [curve, curve], x_label="x", y_label="y", log_y=True
  )
  for png in (chart.light, chart.dark):
    pixels = image.imread(io.BytesIO(png))
    assert pixels.shape[:2] == (2 * chart.height, 2 * chart.width)
  assert (chart.name, chart.alt) == ("name", "words")


def test_the_middle_of_a_long_text_is_cut():
  assert charts.shorten("short", 5) == "short"
  assert charts.shorten("0123456789", 5) == "01…89"


def test_a_strip_has_a_line_between_frames():
  frames = np.zeros((3, 5, 2), np.uint8)
  png, width, height = charts.strip(frames)
  assert (width, height) == (8, 5)
  row = image.imread(io.BytesIO(png))[0, :, 0] > 0
  assert np.flatnonzero(row).tolist() == [2, 5]


def test_rules_are_drawn_where_they_belong(monkeypatch):
  monkeypatch.setattr(charts, "_SCALE", 1)
  curve = charts.Curve("a", np.arange(11), np.zeros(11))
  looks = dict(x_label="x", y_label="y", lowest=-1, highest=1)

  def dark(rules):
    chart = charts.lines("name", "words", [curve], rules=rules, **looks)
    pixels = image.imread(io.BytesIO(chart.light))[:, :, :3]
    return pixels.mean(axis=2), chart.width

  plain, width = dark({})
  marked, _ = dark({5.0: "here (seed)"})
  assert plain.shape == marked.shape
  columns = np.flatnonzero((plain - marked > 0.3).sum(axis=0) > 20)
  # The middle of the axes, and the words to the right of it.
  middle = (0.56 + (width / 100 - 0.14)) / 2 * 100
  assert abs(columns[0] - middle) < 4
  assert columns[-1] - middle < 20
