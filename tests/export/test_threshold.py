"""The threshold of 1 % of strangers, beside a search through all thresholds."""

import numpy as np
import pytest

from gaitkd_jax.evaluation import distances
from gaitkd_jax.export import threshold


def people(count=12, walks=4, spread=0.5):
  rng = np.random.default_rng(0)
  centres = rng.standard_normal((count, 1, 2, 8))
  noise = rng.standard_normal((count, walks, 2, 8))
  embeddings = (centres + spread * noise).reshape(-1, 2, 8)
  names = np.repeat([f"{i:03d}" for i in range(count)], walks)
  return embeddings.astype(np.float32), names.tolist()


@pytest.mark.parametrize("metric", distances.METRICS)
def test_it_is_the_largest_that_keeps_the_rate(metric):
  embeddings, names = people()
  found = threshold.find(embeddings, names, metric, "some")
  matrix = distances.part_distances(embeddings, embeddings, metric)
  strangers, same = [], []
  for i in range(len(names)):
    for j in range(i):
      (same if names[i] == names[j] else strangers).append(matrix[j, i])
  strangers = np.sort(strangers)
  limit = np.float32(found["distance"])
  assert (strangers <= limit).mean() <= threshold.RATE
  assert (strangers <= strangers[strangers > limit][0]).mean() > threshold.RATE
  assert found["accepted"] == (strangers <= limit).sum() == 10
  assert found["named"] == (np.array(same) <= limit).sum() > 0
  assert found["strangers"] == len(strangers) and found["same"] == len(same)
  assert found["data"] == "some" and found["sequences"] == 48


def test_pairs_at_one_distance_are_all_accepted_or_none():
  embeddings, names = people()
  embeddings[:] = np.round(embeddings)
  found = threshold.find(embeddings, names, "euclidean", "some")
  assert found is None or found["accepted"] <= 10
  embeddings[:] = 1.0
  assert threshold.find(embeddings, names, "euclidean", "some") is None


def test_few_pairs_say_nothing():
  embeddings, names = people(count=2)
  assert threshold.find(embeddings, names, "euclidean", "some") is None
  assert threshold.find(embeddings[:1], names[:1], "euclidean", "x") is None
