"""What a protocol declares, and what it inherits."""

import dataclasses

import ml_collections
import numpy as np
import pytest

from gaitkd_jax import errors
from gaitkd_jax import evaluation
from gaitkd_jax.evaluation import protocols
from gaitkd_jax.evaluation import scoring
from gaitkd_jax.evaluation.protocols import ranks as ranks_lib
from tests.helpers import evaluation_sets as sets


@dataclasses.dataclass(frozen=True, kw_only=True)
class Halves(protocols.ScoredProtocol):
  """The first half is searched in the second one; a protocol in a test."""

  def probe_galleries(self, labels, options=None):
    rows = np.split(np.arange(len(labels)), 2)
    return [protocols.ProbeGallery(name, *rows) for name in ("a", "b")]

  def rank(self, ranker, compared):
    first = ranker.first_matches(compared.probes, compared.gallery)
    return ranks_lib.Ranks(compared, first[:, None])

  def condition_metrics(self, ranks, reported_ranks):
    return [
      evaluation.Metric(
        ranks.compared.condition, f"rank{k}", 100 * np.mean(ranks.first <= k)
      )
      for k in reported_ranks
    ]


CONFIG = ml_collections.ConfigDict({"lists": ""})


@pytest.mark.parametrize("condition", ["a", "mean"])
def test_a_new_protocol(condition):
  protocol = Halves(
    name="halves",
    primary_metric=evaluation.MetricName(condition, "rank1"),
    reported_ranks=(1, 2),
  )
  rows = [
    ("1", "", "", 0),
    ("2", "", "", 5),
    ("1", "", "", 6),
    ("2", "", "", 9),
  ]
  found = scoring.verified(scoring.evaluate(protocol, sets.table(rows)))
  expected = {"a/rank1": 50, "a/rank2": 100, "b/rank1": 50, "b/rank2": 100}
  if condition == "mean":
    expected |= {"mean/rank1": 50, "mean/rank2": 100}
  flat = found.flat()
  assert {k: flat[k] for k in flat if "rank" in k} == expected
  assert flat["a/EER"] == flat["b/EER"]
  assert protocol.roles(CONFIG, dict) == {} == protocol.settings(CONFIG)
  assert protocol.view_pairs(found.ranks[0]) is None


def test_lists_are_refused_where_they_are_of_no_use():
  config = ml_collections.ConfigDict({"lists": "a.csv"})
  for name in ("casiab", "grew_submission"):
    words = f"eval.lists is a.csv, but protocol {name} has lists of its own"
    with pytest.raises(errors.UserError, match=words):
      protocols.find(name).roles(config, dict)


def test_what_is_not_declared_cannot_be_used():
  with pytest.raises(TypeError, match="abstract"):
    protocols.ScoredProtocol(
      name="x", primary_metric=evaluation.MetricName("all", "rank1")
    )
