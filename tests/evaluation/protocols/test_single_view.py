"""Galleries of one view each: CASIA-E by hand, pairs of views, CMCs."""

import numpy as np
import pytest

from gaitkd_jax import errors
from gaitkd_jax.evaluation import metrics as metrics_lib
from gaitkd_jax.evaluation import protocols
from gaitkd_jax.evaluation import scoring
from gaitkd_jax.evaluation.protocols import ranks as ranks_lib
from gaitkd_jax.evaluation.protocols import single_view
from tests.helpers import evaluation_sets as sets


def casiae(views):
  """Subject 1 is found from all views, 2 from none, in high and low walks."""
  return sets.table(
    [
      (subject, condition, view, place)
      for view in views
      for subject, condition, place in (
        ("1", "H-scene1-nm-1", 0),
        ("2", "L-scene1-nm-2", 10),
        ("1", "H-scene2-nm-1", 1),
        ("1", "L-scene3_s-nm-2", 1),
        ("2", "H-scene3-bg-1", 1),
        ("1", "H-scene2-cl-2", 1),
        ("2", "L-scene3-cl-1", 1),
        ("3", "H-scene1-bg-1", 1),  # no gallery: only nm is
        ("3", "H-scene2-nm-3", 1),  # no probe: there is no third take
      )
    ]
  )


def test_casiae_by_hand():
  results = sets.score("casiae", casiae(("000", "090", "270")))
  assert {k: v for k, v in results.items() if k.endswith("/rank1")} == {
    "NM/rank1": 100.0,
    "BG/rank1": 0.0,
    "CL/rank1": 50.0,
    "mean/rank1": 50.0,
  }
  assert {k.rpartition("/")[2] for k in results if "/view/" in k} == {
    "000",
    "090",
  }
  with pytest.raises(errors.UserError, match="probe condition"):
    sets.score("casiae", casiae(("270",)))


def test_who_is_compared():
  protocol = protocols.PROTOCOLS["casiae"]
  found = protocol.probe_galleries(casiae(("000", "270")).labels)
  assert [(c.condition, c.excluded) for c in found] == [
    ("NM", protocols.Excluded.VIEW),
    ("BG", protocols.Excluded.VIEW),
    ("CL", protocols.Excluded.VIEW),
  ]
  assert [c.probes.tolist() for c in found] == [[2, 3], [4], [5, 6]]
  assert all(c.gallery.tolist() == [0, 1] for c in found)


def test_pairs_are_what_is_averaged():
  protocol = protocols.PROTOCOLS["casiab"]
  found = scoring.evaluate(protocol, sets.parity_set("casiab"))
  results = metrics_lib.flat(found.metrics)
  pairs = [protocol.view_pairs(ranks) for ranks in found.ranks]
  assert [p.condition for p in pairs] == ["NM", "BG", "CL"]
  for p in pairs:
    views = sorted(set(found.labels.views))
    assert p.probe_views.tolist() == p.gallery_views.tolist() == views
    name, matrix = p.condition, p.rank1
    assert results[f"{name}/rank1_all_views"] == matrix.mean()
    identical = np.diag(matrix)
    assert results[f"{name}/rank1_identical_view"] == identical.mean()
    others = (matrix.sum(axis=1) - identical) / (len(views) - 1)
    assert results[f"{name}/rank1"] == pytest.approx(others.mean())
    by_view = [results[f"{name}/view/{view}"] for view in views]
    assert by_view == pytest.approx(others)


@pytest.mark.parametrize("name", ["casiab", "grew_labelled", "ccpg"])
def test_a_cmc_in_the_protocols_own_manner(name):
  chosen = sets.parity_set(name)
  protocol = name.partition("_")[0]
  plain = sets.score(protocol, chosen)
  cmc = sets.score(protocol, chosen, range(1, 51))
  assert plain == {k: cmc[k] for k in plain}
  for condition in protocols.PROTOCOLS[protocol].conditions:
    curve = [cmc[f"{condition}/rank{k}"] for k in range(1, 51)]
    assert curve == sorted(curve) and curve[0] < curve[-1]


def test_a_pooled_gallery_has_no_views():
  compared = protocols.ProbeGallery("all", np.arange(1), np.arange(1, 3))
  with pytest.raises(ValueError, match="all have no views"):
    single_view.rank_by_view(None, compared)
  ranks = ranks_lib.Ranks(compared, np.ones((1, 1), np.int32))
  with pytest.raises(ValueError, match="all have no views"):
    single_view.rank1_pairs(ranks)
