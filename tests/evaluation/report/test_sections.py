"""The parts of the page, read from metrics."""

import numpy as np
import pytest

from gaitkd_jax.evaluation import metrics as metrics_lib
from gaitkd_jax.evaluation import protocols
from gaitkd_jax.evaluation import scoring
from gaitkd_jax.evaluation.protocols import verification as verification_lib
from gaitkd_jax.evaluation.report import charts
from gaitkd_jax.evaluation.report import sections
from tests.helpers import pages


@pytest.fixture(autouse=True)
def coarse(monkeypatch):
  """Few pixels: most of the time of a chart goes into them."""
  monkeypatch.setattr(charts, "_SCALE", 0.5)


@pytest.mark.parametrize(
  "condition, name, said",
  [
    ("mean", "reid_rank1", "Re-ID Rank-1, mean"),
    ("all", "rank10", "Rank-10"),
    ("NM", "rank1_identical_view", "Rank-1, identical view, NM"),
    ("", "rank1_all_views", "Rank-1, all views"),
    ("CL", "mAP", "mAP, CL"),
  ],
)
def test_spoken(condition, name, said):
  assert sections.spoken(condition, name) == said


def test_notes_suit_the_metrics():
  plain = sections.results([metrics_lib.Metric("all", "rank1", 50.0)])
  assert plain.note == "In percent."
  more = sections.results(
    [
      metrics_lib.Metric("all", "rank1_identical_view", float("nan")),
      metrics_lib.Metric("all", "reid_mAP", 1.0),
      metrics_lib.Metric("all", "rank1", 1.0, "view"),
    ]
  )
  for words in ("identical views", "never compare", "A dash"):
    assert words in more.note
  assert "view</th>" not in more.content.replace("identical view</th>", "")


def test_many_views_make_no_table():
  views = [metrics_lib.Metric("NM", "rank1", 1.0, f"{i}") for i in range(15)]
  assert sections.by_view(views) is None
  assert sections.by_view([]) is None
  table = sections.by_view([*views[:2], metrics_lib.Metric("NM", "rank1", 9.0)])
  assert "<td>1.00</td><td>1.00</td><td>9.00</td>" in table.content


def test_a_cmc_ends_where_the_gallery_does():
  found = scoring.evaluate(protocols.find("grew"), pages.grew())
  section = sections.cmc(found)
  # Six sequences are searched.
  assert "Rank-5<" in section.content and "Rank-10<" not in section.content
  assert [chart.name for chart in section.charts] == ["cmc"]
  assert sections.view_pairs(found) is None


def test_verification_of_nothing():
  assert sections.roc([]) is None
  nan, none = float("nan"), np.full(1, np.nan)
  curve = verification_lib.Curve(none, none, none, 0)
  one = verification_lib.Verification("NM", nan, (), curve)
  section = sections.roc([one])
  assert section.note.startswith("Nothing to verify") and not section.charts
