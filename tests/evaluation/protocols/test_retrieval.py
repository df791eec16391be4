"""Galleries of all views together: GREW and CCPG by hand."""

import numpy as np
import pytest

from gaitkd_jax.evaluation import protocols
from gaitkd_jax.evaluation import scoring
from gaitkd_jax.evaluation.protocols import retrieval
from tests.helpers import evaluation_sets as sets


def test_retrieval_metrics_by_hand():
  found = retrieval.retrieval_metrics(
    [np.array([1, 4]), np.array([2]), np.array([], int)], (1, 2)
  )
  assert found == pytest.approx(
    {
      "rank1": 50,
      "rank2": 100,
      "mAP": 100 * np.mean([(1 + 2 / 4) / 2, 1 / 2]),
      "mINP": 100 * np.mean([2 / 4, 1 / 2]),
    }
  )
  assert retrieval.retrieval_metrics([np.array([], int)], (1,)) == {}


def test_cameras_are_the_views_of_ccpg():
  data = sets.people("ccpg", views=("01_0", "01_1", "02_0"))
  labels = sets.embedded(**data).labels
  (compared,) = protocols.PROTOCOLS["ccpg"].probe_galleries(labels)
  assert compared.condition == "UP"
  assert compared.excluded is protocols.Excluded.VIEW
  assert compared.views[:3].tolist() == ["01", "01", "02"]
  assert set(labels.conditions[compared.probes]) == {"U3_D3"}


def test_nothing_is_excluded_of_a_pooled_gallery():
  labels = sets.embedded(**sets.people("grew")).labels
  (compared,) = protocols.PROTOCOLS["grew"].probe_galleries(labels)
  assert (compared.condition, compared.views) == ("all", None)
  assert compared.excluded is protocols.Excluded.NOTHING
  gallery, probe = sets.CONDITIONS["grew"]
  assert set(labels.conditions[compared.probes]) == {probe}
  assert set(labels.conditions[compared.gallery]) == {gallery}
  found = scoring.evaluate(
    protocols.PROTOCOLS["grew"],
    sets.embedded(**sets.people("grew")),
  )
  assert found.protocol.view_pairs(found.ranks[0]) is None


def test_pairs_by_hand():
  rows = [
    ("1", "U0_D3", "01_0", 0),
    ("2", "U0_D3", "01_1", 3),
    ("2", "U0_D3", "02_0", 9),
    ("1", "U3_D3", "03_0", 1),
    ("1", "U3_D3", "03_1", 1),
    ("2", "U3_D3", "03_0", 1),
  ]
  protocol = protocols.PROTOCOLS["ccpg"]
  found = scoring.evaluate(protocol, sets.table(rows))
  (pairs,) = (protocol.view_pairs(ranks) for ranks in found.ranks)
  assert pairs.condition == "UP"
  assert pairs.probe_views.tolist() == ["03"]
  assert pairs.gallery_views.tolist() == ["01", "02"]
  # In camera 01 the nearest is 1; in 02 there is only 2.
  np.testing.assert_array_equal(pairs.rank1, [[66.67, 33.33]])
