"""Thresholds: where they come from, and for how many pairs."""

import numpy as np
import pytest

from gaitkd_jax import errors
from gaitkd_jax.export import threshold as of_export
from gaitkd_jax.identify import distances
from gaitkd_jax.identify import threshold


def people(count=12, clips=4):
  """Embeddings of people whose clips are alike, and their names."""
  rng = np.random.default_rng(3)
  centres = rng.normal(size=(count, 1, 4, 6))
  embeddings = centres + 0.4 * rng.normal(size=(count, clips, 4, 6))
  names = [f"p{i:02d}" for i in range(count) for _ in range(clips)]
  return embeddings.reshape(-1, 4, 6).astype(np.float32), names


def test_the_rate_is_kept_and_said():
  embeddings, names = people()
  known = threshold.measure(embeddings, names, "euclidean", "these")
  found = threshold.at(0.01, known)
  distance = distances.between(embeddings, embeddings)
  one, other = np.triu_indices(len(names), 1)
  strangers = np.array(names)[one] != np.array(names)[other]
  accepted = (distance[one, other] <= found.distance)[strangers].sum()
  assert known["pairs"] == strangers.sum() == found.pairs == 1056
  assert accepted == 10  # 1 % of 1056, rounded down
  assert "10 of 1056 pairs of different people" in found.origin
  assert found.origin.endswith("; these") and found.rate == 0.01


def test_equal_to_that_of_an_export():
  embeddings, names = people()
  wanted = of_export.find(embeddings, names, "euclidean", "these")
  known = threshold.measure(embeddings, names, "euclidean", "these")
  assert threshold.at(0.01, known).distance == pytest.approx(wanted["distance"])
  again = threshold.of_network(0.01, {**wanted})
  assert again.distance == wanted["distance"] and again.pairs == 1056
  assert "not of this camera" in again.origin
  with pytest.raises(errors.UserError, match="of 0.01 alone"):
    threshold.of_network(0.1, wanted)


def test_too_few_pairs_and_equal_ones():
  embeddings, names = people(3, 2)
  known = threshold.measure(embeddings, names, "euclidean", "these")
  with pytest.raises(errors.UserError, match="takes 100 pairs.*there are 12"):
    threshold.at(0.01, known)
  assert threshold.at(0.1, known).pairs == 12
  same = np.repeat(embeddings[:1], 6, axis=0)
  known = threshold.measure(same, names, "euclidean", "these")
  with pytest.raises(errors.UserError, match="under two names"):
    threshold.at(0.5, known)
  with pytest.raises(errors.UserError, match="there is 1 person"):
    threshold.measure(embeddings, ["a"] * 6, "euclidean", "these")


def test_the_longest_of_many_pairs_are_forgotten(monkeypatch):
  embeddings, names = people()
  whole = threshold.measure(embeddings, names, "euclidean", "these")
  monkeypatch.setattr(threshold, "_KEPT", 20)
  known = threshold.measure(embeddings, names, "euclidean", "these")
  assert len(known["strangers"]) == 20 and known["pairs"] == 1056
  assert (
    threshold.at(0.01, known).distance == threshold.at(0.01, whole).distance
  )
  with pytest.raises(errors.UserError, match="give a lower rate"):
    threshold.at(0.02, known)


@pytest.mark.parametrize(
  "values, said",
  [
    ((1.0, 0.1), "both given"),
    ((-1.0, None), "give a distance"),
    ((float("nan"), None), "give a distance"),
    ((float("inf"), None), "give a distance"),
    ((None, 0.0), "between 0 and 1"),
    ((None, 1.0), "between 0 and 1"),
  ],
)
def test_values_that_are_none(values, said):
  with pytest.raises(errors.UserError, match=said):
    threshold.check(*values)
