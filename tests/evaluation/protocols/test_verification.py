"""Verification against plain loops over all pairs."""

import numpy as np
import pytest

from gaitkd_jax import evaluation
from gaitkd_jax.evaluation import distances
from gaitkd_jax.evaluation.protocols import probe_gallery
from gaitkd_jax.evaluation.protocols import ranker as ranker_lib
from gaitkd_jax.evaluation.protocols import verification


def random_set(subjects=12, takes=9, spread=1.2, seed=0):
  rng = np.random.default_rng(seed)
  centres = rng.normal(size=(subjects, 1, 3, 4))
  noise = spread * rng.normal(size=(subjects, takes, 3, 4))
  embeddings = (centres + noise).reshape(-1, 3, 4).astype(np.float32)
  names = np.repeat(np.arange(subjects), takes).astype(str)
  views = rng.integers(0, 3, len(names)).astype(str)
  return embeddings, names, views


def pairs(embeddings, names, compared):
  """Distances of the pairs of one subject, and of those of strangers."""
  matrix = distances.part_distances(
    embeddings[compared.probes], embeddings[compared.gallery]
  )
  same, others = [], []
  for i, p in enumerate(compared.probes):
    for j, g in enumerate(compared.gallery):
      if (
        compared.excluded is probe_gallery.Excluded.VIEW
        and compared.views[p] == compared.views[g]
      ):
        continue
      if compared.excluded is probe_gallery.Excluded.SUBJECT_IN_VIEW and (
        names[p],
        compared.views[p],
      ) == (
        names[g],
        compared.views[g],
      ):
        continue
      (same if names[p] == names[g] else others).append(matrix[i, j])
  return np.array(same), np.array(others)


@pytest.mark.parametrize("excluded", list(probe_gallery.Excluded))
@pytest.mark.parametrize("memory_gib", [1.0, 0.0007])
def test_rates_are_those_of_the_pairs(excluded, memory_gib):
  embeddings, names, views = random_set()
  rows = np.arange(len(names))
  compared = probe_gallery.ProbeGallery(
    "all", rows[::3], rows[1::3], views, excluded
  )
  ranker = ranker_lib.Ranker(embeddings, names, "euclidean", memory_gib)
  found = verification.verify(ranker, compared)
  same, others = pairs(embeddings, names, compared)
  assert found.curve.strangers == len(others)
  assert found.condition == "all"
  points = {point.false_accept_rate: point for point in found.points}
  assert list(points) == [0.1, 0.01, 0.001]
  for rate in (0.1, 0.01):
    # The largest threshold that lets no more than that share of others pass.
    allowed = int(rate * len(others))
    limit = np.sort(others)[allowed]
    expected = 100 * np.mean(same < limit)
    assert points[rate].true_accepts == pytest.approx(expected, abs=1e-9)
    threshold = points[rate].threshold
    assert np.mean(others <= threshold) <= rate
    assert 100 * np.mean(same <= threshold) == pytest.approx(expected)
  thresholds = np.sort(np.concatenate([same, others]))
  far = np.array([np.mean(others <= t) for t in thresholds])
  missed = np.array([np.mean(same > t) for t in thresholds])
  i = np.argmax(far >= missed)
  assert 100 * min(far[i - 1], missed[i]) <= found.equal_error
  assert found.equal_error <= 100 * max(far[i], missed[i - 1])


def flat(found):
  return {metric.name: metric.value for metric in found.metrics()}


def test_known_values():
  far = np.array([0.0, 0.0, 0.5, 1.0])
  tar = np.array([0.25, 0.75, 0.75, 1.0])
  curve = verification.Curve(np.array([1.0, 2.0, 3.0, 4.0]), far, tar, 1000)
  found = flat(verification.read_curve("x", curve))
  assert found["EER"] == pytest.approx(25.0)  # between 0 and 50 at 1 - 0.75
  assert found["TAR@FAR=0.001"] == 75.0
  assert found["threshold@FAR=0.001"] == 2.0
  few = flat(
    verification.read_curve("x", verification.Curve(far, far, tar, 99))
  )
  assert few["TAR@FAR=0.1"] == 75.0 and np.isnan(few["TAR@FAR=0.01"])


def test_told_apart_and_not_at_all():
  names = np.array(["a", "b"] * 20)
  embeddings = (names == "a").astype(np.float32)[:, None, None]
  labels = names, np.array(["nm-01", "nm-01", "nm-05", "nm-05"] * 10)
  views = np.arange(40) // 4 * 18
  apart = evaluation.evaluate_embeddings(
    "casiab", embeddings, *labels, views, verification=True
  )
  assert apart["NM/EER"] == 0 and apart["NM/TAR@FAR=0.1"] == 100
  alike = evaluation.evaluate_embeddings(
    "casiab", 0 * embeddings, *labels, views, verification=True
  )
  assert alike["NM/EER"] == 50 and alike["NM/TAR@FAR=0.1"] == 0
  one = evaluation.evaluate_embeddings(
    "casiab",
    embeddings[names == "a"],
    *(x[names == "a"] for x in (*labels, views)),
    verification=True,
  )
  assert np.isnan(one["NM/EER"]) and np.isnan(one["NM/TAR@FAR=0.1"])
  assert one["NM/rank1"] == 100
