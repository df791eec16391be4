"""Verification figures against plain loops over all pairs."""

import numpy as np
import pytest

from gaitkd_jax.evaluation import distances
from gaitkd_jax.evaluation import evaluate
from gaitkd_jax.evaluation.protocols import ranks
from gaitkd_jax.evaluation.protocols import searches
from gaitkd_jax.evaluation.protocols import verification


def random_set(subjects=12, takes=9, spread=1.2, seed=0):
  rng = np.random.default_rng(seed)
  centres = rng.normal(size=(subjects, 1, 3, 4))
  noise = spread * rng.normal(size=(subjects, takes, 3, 4))
  embeddings = (centres + noise).reshape(-1, 3, 4).astype(np.float32)
  names = np.repeat(np.arange(subjects), takes).astype(str)
  views = rng.integers(0, 3, len(names)).astype(str)
  return embeddings, names, views


def pairs(embeddings, names, trial):
  """Distances of the pairs of one subject, and of those of strangers."""
  matrix = distances.part_distances(
    embeddings[trial.probes], embeddings[trial.gallery]
  )
  same, others = [], []
  for i, p in enumerate(trial.probes):
    for j, g in enumerate(trial.gallery):
      if trial.excluded == "view" and trial.views[p] == trial.views[g]:
        continue
      if trial.excluded == "own_view" and (names[p], trial.views[p]) == (
        names[g],
        trial.views[g],
      ):
        continue
      (same if names[p] == names[g] else others).append(matrix[i, j])
  return np.array(same), np.array(others)


@pytest.mark.parametrize("excluded", ["", "view", "own_view"])
@pytest.mark.parametrize("memory_gib", [1.0, 0.0007])
def test_rates_are_those_of_the_pairs(excluded, memory_gib):
  embeddings, names, views = random_set()
  rows = np.arange(len(names))
  trial = searches.Trial("all", rows[::3], rows[1::3], views, excluded)
  ranker = ranks.Ranker(embeddings, names, "euclidean", memory_gib)
  curve = verification.curve(ranker, trial)
  same, others = pairs(embeddings, names, trial)
  assert curve.strangers == len(others)
  found = verification.figures(curve)
  for rate in (0.1, 0.01):
    # The largest threshold that lets no more than that share of others pass.
    allowed = int(rate * len(others))
    limit = np.sort(others)[allowed]
    expected = 100 * np.mean(same < limit)
    assert found[f"TAR@FAR={rate}"] == pytest.approx(expected, abs=1e-9)
    threshold = found[f"threshold@FAR={rate}"]
    assert np.mean(others <= threshold) <= rate
    assert 100 * np.mean(same <= threshold) == pytest.approx(expected)
  thresholds = np.sort(np.concatenate([same, others]))
  far = np.array([np.mean(others <= t) for t in thresholds])
  missed = np.array([np.mean(same > t) for t in thresholds])
  i = np.argmax(far >= missed)
  assert 100 * min(far[i - 1], missed[i]) <= found["EER"]
  assert found["EER"] <= 100 * max(far[i], missed[i - 1])


def test_known_values():
  far = np.array([0.0, 0.0, 0.5, 1.0])
  tar = np.array([0.25, 0.75, 0.75, 1.0])
  curve = verification.Curve(np.array([1.0, 2.0, 3.0, 4.0]), far, tar, 1000)
  found = verification.figures(curve)
  assert found["EER"] == pytest.approx(25.0)  # between 0 and 50 at 1 - 0.75
  assert found["TAR@FAR=0.001"] == 75.0
  assert found["threshold@FAR=0.001"] == 2.0
  few = verification.figures(verification.Curve(far, far, tar, 99))
  assert few["TAR@FAR=0.1"] == 75.0 and np.isnan(few["TAR@FAR=0.01"])


def test_told_apart_and_not_at_all():
  names = np.array(["a", "b"] * 20)
  embeddings = (names == "a").astype(np.float32)[:, None, None]
  labels = names, np.array(["nm-01", "nm-01", "nm-05", "nm-05"] * 10)
  views = np.arange(40) // 4 * 18
  apart = evaluate.evaluate_embeddings(
    "casiab", embeddings, *labels, views, verification=True
  )
  assert apart["NM/EER"] == 0 and apart["NM/TAR@FAR=0.1"] == 100
  alike = evaluate.evaluate_embeddings(
    "casiab", 0 * embeddings, *labels, views, verification=True
  )
  assert alike["NM/EER"] == 50 and alike["NM/TAR@FAR=0.1"] == 0
  one = evaluate.evaluate_embeddings(
    "casiab",
    embeddings[names == "a"],
    *(x[names == "a"] for x in (*labels, views)),
    verification=True,
  )
  assert np.isnan(one["NM/EER"]) and np.isnan(one["NM/TAR@FAR=0.1"])
  assert one["NM/rank1"] == 100
