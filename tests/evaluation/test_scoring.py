"""Scoring against the reference's evaluator, and what it refuses."""

import numpy as np
import pytest

from gaitkd_jax import errors
from gaitkd_jax import evaluation
from gaitkd_jax.evaluation import protocols
from gaitkd_jax.evaluation import scoring
from tests.helpers import evaluation_sets as sets


@pytest.mark.parametrize(
  "metric, reference", [("euclidean", "euc"), ("cosine", "cos")]
)
def test_casiab_parity(metric, reference):
  arrays, results = sets.parity("casiab")
  found = evaluation.evaluate_embeddings("casiab", **arrays, metric=metric)
  for name in ("NM", "BG", "CL"):
    expected = results[reference][f"{name}@R1"]
    assert abs(found[f"{name}/rank1"] - expected) < 1e-9
  assert found["mean/rank1"] == pytest.approx(
    np.mean([found[f"{c}/rank1"] for c in ("NM", "BG", "CL")])
  )


def walkers(views=("000", "090"), subjects=("1", "2")):
  """One gallery and one probe sequence a subject and view, told apart."""
  rows = [
    (s, c, v) for s in subjects for c in ("nm-01", "nm-05") for v in views
  ]
  s, c, v = map(np.array, zip(*rows, strict=True))
  embeddings = s.astype(np.float32)[:, None, None] * np.ones((1, 3, 2))
  return dict(embeddings=embeddings, subjects=s, conditions=c, views=v)


def test_perfect_and_wrong():
  data = walkers()
  assert evaluation.evaluate_embeddings("casiab", **data)["NM/rank1"] == 100
  data["subjects"] = np.where(data["conditions"] == "nm-05", "9", "1")
  assert evaluation.evaluate_embeddings("casiab", **data)["NM/rank1"] == 0


def test_one_view_has_no_cross_view_metric():
  results = evaluation.evaluate_embeddings("casiab", **walkers(views=("090",)))
  assert np.isnan(results["NM/rank1"])
  assert results["NM/rank1_identical_view"] == 100


@pytest.mark.parametrize(
  "change, words",
  [
    (dict(conditions=np.array(["cl-01"] * 8)), "gallery condition"),
    (dict(conditions=np.array(["nm-01"] * 8)), "probe condition"),
    (dict(subjects=np.array(["1"])), "1 subjects"),
    (dict(embeddings=np.full((8, 3, 2), np.nan)), "1-nm-01-000"),
  ],
)
def test_bad_input_is_one_line(change, words):
  with pytest.raises(errors.UserError, match=words):
    evaluation.evaluate_embeddings("casiab", **(walkers() | change))
  with pytest.raises(errors.UserError, match="euclidean"):
    evaluation.evaluate_embeddings("casiab", **walkers(), metric="cos")
  with pytest.raises(errors.UserError, match="casiab"):
    evaluation.evaluate_embeddings("casia", **walkers())


def test_options_are_those_of_the_protocol():
  words = "casiab has no option probes; it has none"
  with pytest.raises(errors.UserError, match=words):
    evaluation.evaluate_embeddings(
      "casiab", **walkers(), probes=["1-nm-05-000"]
    )


def test_a_submission_has_no_metrics():
  with pytest.raises(errors.UserError, match="grew_submission makes a file"):
    evaluation.evaluate_embeddings("grew_submission", **walkers())


def test_an_evaluation_carries_what_its_metrics_are_read_from():
  chosen = sets.embedded(**walkers())
  found = scoring.evaluate(protocols.find("casiab"), chosen, "cosine", 0.5)
  assert found.protocol is protocols.PROTOCOLS["casiab"]
  assert found.labels is chosen.labels
  assert (found.ranker.metric, found.ranker.memory_gib) == ("cosine", 0.5)
  assert [ranks.compared.condition for ranks in found.ranks] == ["NM"]
  assert list(found.metrics) == found.protocol.metrics(found.ranks)
  assert not found.verification
  more = scoring.verified(found)
  assert more.ranks is found.ranks
  assert [one.condition for one in more.verification] == ["NM"]


def test_ranks_are_found_once(monkeypatch):
  """Verification and a CMC need no other ranks."""
  found = scoring.evaluate(protocols.find("casiab"), sets.embedded(**walkers()))

  def fail(*args):
    raise AssertionError("ranks are found again")

  for name in ("first_matches", "first_matches_by_view", "all_matches"):
    monkeypatch.setattr(type(found.ranker), name, fail)
  assert scoring.verified(found).verification
  assert found.protocol.metrics(found.ranks, range(1, 6))
  assert found.protocol.view_pairs(found.ranks[0]).rank1.shape == (2, 2)
