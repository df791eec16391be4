"""Pieces of the page."""

import pytest

from gaitkd_jax.evaluation.report import charts
from gaitkd_jax.evaluation.report import markup


@pytest.mark.parametrize(
  "value, shown",
  [
    (None, ""),
    (12.345, "12.35"),
    (float("nan"), '<abbr title="no such figure">–</abbr>'),
  ],
)
def test_numbers(value, shown):
  assert markup.number(value) == shown


def test_distances_have_four_digits():
  assert markup.distance(12.34567) == "12.35"
  assert markup.distance(0.0123456) == "0.01235"


def test_a_table_has_its_means_set_apart_and_texts_below():
  text = markup.table(
    ["Rank-1", "EER"],
    [("NM", [1.0, None]), ("mean", [2.0, 3.0])],
    emphasis="mean",
    below={("NM", "Rank-1"): "<5>"},
  )
  assert '<tr class="mean"><th class="whole" scope="row">mean</th>' in text
  assert "<td>1.00<small>&lt;5&gt;</small></td><td></td>" in text
  assert text.count("<tr") == 3


def test_pictures_suit_both_themes():
  chart = charts.Chart("name", 'a "b"', b"light", b"dark", 4, 3)
  text = markup.picture(chart)
  assert text.count('width="4" height="3"') == 2
  assert 'class="light"' in text and 'class="dark"' in text
  assert "a &quot;b&quot;" in text


def test_a_section_is_escaped():
  text = markup.section("id", "<title>", "", "<p>content</p>")
  assert text.startswith('<section id="id"><hgroup><h2>&lt;title&gt;</h2>')
  assert "note" not in text and "<p>content</p>" in text
