"""Cross-view galleries by hand."""

import numpy as np
import pytest

from gaitkd_jax import errors
from gaitkd_jax.evaluation import protocols
from gaitkd_jax.evaluation import scoring
from tests.helpers import evaluation_sets as sets

CROSS_VIEW = sets.table(
  [
    # The gallery, at 0, 10, 20, ...: of subject A it is seen from two views.
    ("A", "nm-02", "000", 0),
    ("A", "bg-02", "090", 10),
    ("A", "cl-02", "090", 60),
    ("B", "nm-02", "000", 20),
    ("B", "cl-02", "090", 40),
    ("C", "nm-02", "000", 30),
    # Without A from 000: B 20 (2), C 30 (12), B 40, A 10 is at 8: ranks.
    ("A", "nm-01", "000", 18),
    # Without B from 000: B at 40 is first.
    ("B", "nm-01", "000", 41),
    # Without C from 000 there is no C.
    ("C", "nm-01", "000", 30),
    # Without B from 090: B at 20 is behind C at 30.
    ("B", "nm-01", "090", 29),
    # Nobody is D.
    ("D", "nm-01", "018", 0),
    ("A", "cl-01", "000", 10),
  ]
)


def test_cross_view_by_hand():
  results = sets.score("casiab_cross_view", CROSS_VIEW)
  # A at 18: B 20, A 10, C 30, B 40, A 60: precisions 1/2 and 2/5. B at 41: A
  # 60 is at 19, C at 11: B 40 is first. B at 29: C 30, B 20.
  average = np.round(100 * np.mean([(1 / 2 + 2 / 5) / 2, 1]), 2)
  nm = {
    "view/000": 33.33,
    "view/018": 0.0,
    "view/090": 0.0,
    "rank1": (33.33 + 0 + 0) / 3,
    "mAP": (average + 50) / 2,  # nobody of 018 has a match
  }
  # A at 10: A 10, B 20, C 30, B 40, A 60.
  cl = {"view/000": 100.0, "rank1": 100.0, "mAP": 100 * (1 + 2 / 5) / 2}
  assert results == pytest.approx(
    {f"NM/{k}": v for k, v in nm.items()}
    | {f"CL/{k}": v for k, v in cl.items()}
    | {
      "mean/rank1": (nm["rank1"] + cl["rank1"]) / 2,
      "mean/mAP": (nm["mAP"] + cl["mAP"]) / 2,
    }
  )
  results = sets.score("casiab_cross_view", CROSS_VIEW, range(1, 4))
  assert results["NM/rank1"] == pytest.approx(nm["rank1"])
  assert results["NM/rank2"] == pytest.approx((66.67 + 0 + 100) / 3)
  assert results["NM/rank3"] == results["NM/rank2"]


def test_oumvlp_cross_view_by_hand():
  rows = [
    (s, c, v, p)
    for s, c, v, p in [
      ("1", "01", "000", 0),
      ("1", "01", "030", 1),
      ("2", "01", "000", 5),
      ("1", "00", "000", 0),
      ("2", "00", "000", 5),
      ("2", "00", "030", 2),
    ]
  ]
  # Without a gallery of its own view: 1 finds 030 at 1; 2 has no match; 2 from
  # 030 is behind both of 1.
  assert sets.score("oumvlp_cross_view", sets.table(rows)) == pytest.approx(
    {
      "all/view/000": 50.0,
      "all/view/030": 0.0,
      "all/rank1": 25.0,
      "all/mAP": (100 + 33.33) / 2,
    }
  )


def test_cross_view_of_one_view_is_not_guessed():
  kept = CROSS_VIEW.labels.views == "000"
  results = sets.score("casiab_cross_view", sets.take(CROSS_VIEW, kept))
  assert set(results) == {
    f"{name}/{metric}"
    for name in ("NM", "CL", "mean")
    for metric in ("rank1", "mAP")
  }
  assert np.isnan(list(results.values())).all()


def test_cross_view_needs_both_sides():
  probe = np.char.endswith(CROSS_VIEW.labels.conditions, "-01")
  for side, words in ((probe, "gallery condition"), (~probe, "probe cond")):
    with pytest.raises(errors.UserError, match=words) as error:
      sets.score("casiab_cross_view", sets.take(CROSS_VIEW, side))
    assert "\n" not in str(error.value)


def test_who_is_compared():
  protocol = protocols.PROTOCOLS["casiab_cross_view"]
  found = protocol.probe_galleries(CROSS_VIEW.labels)
  assert [(c.condition, c.excluded) for c in found] == [
    ("NM", protocols.Excluded.SUBJECT_IN_VIEW),
    ("CL", protocols.Excluded.SUBJECT_IN_VIEW),
  ]
  assert found[0].probes.tolist() == [6, 7, 8, 9, 10]
  assert found[0].gallery.tolist() == [0, 1, 2, 3, 4, 5]
  np.testing.assert_array_equal(found[0].views, CROSS_VIEW.labels.views)


def test_views_are_not_ranked_one_by_one():
  protocol = protocols.PROTOCOLS["casiab_cross_view"]
  found = scoring.evaluate(protocol, CROSS_VIEW)
  assert [protocol.view_pairs(ranks) for ranks in found.ranks] == [None, None]
