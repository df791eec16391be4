"""Re-ranking against the reference, the published loops, and its edges."""

import time

import numpy as np
import pytest

from gaitkd_jax import errors
from gaitkd_jax.evaluation import distances
from gaitkd_jax.evaluation.search import rerank as rerank_lib
from tests.parity import vectors


def published(distance, queries, k1, k2, lambda_value):
  """The published loops, as OpenGait has them: dense, in float16."""
  n = len(distance)
  distance = np.transpose(distance / np.max(distance, axis=0))
  weights = np.zeros((n, n), np.float16)
  order = np.argsort(distance, axis=1, kind="stable")
  half = int(np.around(k1 / 2)) + 1

  def mutual(i, k):
    near = order[i, :k]
    return near[np.where(order[near, :k] == i)[0]]

  for i in range(n):
    first = chosen = mutual(i, k1 + 1)
    for candidate in first:
      more = mutual(candidate, half)
      if len(np.intersect1d(more, first)) > 2 / 3 * len(more):
        chosen = np.append(chosen, more)
    chosen = np.unique(chosen)
    weight = np.exp(-distance[i, chosen])
    weights[i, chosen] = weight / np.sum(weight)
  if k2 != 1:
    weights = np.stack([weights[order[i, :k2]].mean(axis=0) for i in range(n)])
  result = np.zeros((queries, n), np.float32)
  for i in range(queries):
    common = np.zeros(n, np.float16)
    for j in np.flatnonzero(weights[i]):
      rows = np.flatnonzero(weights[:, j])
      common[rows] += np.minimum(weights[i, j], weights[rows, j])
    jaccard = 1 - common / (2 - common)
    result[i] = jaccard * (1 - lambda_value) + distance[i] * lambda_value
  return result[:, queries:]


def people(count, subjects, seed, parts=3, dim=5):
  """Embeddings that are near others of their subject."""
  rng = np.random.default_rng(seed)
  centres = rng.normal(size=(subjects, parts, dim))
  x = centres[rng.integers(0, subjects, count)]
  return (x + 0.6 * rng.normal(size=x.shape)).astype(np.float32)


def gathered(blocks, queries, items):
  result = np.full((queries, items), np.nan, np.float32)
  seen = 0
  for probes, gallery, distance in blocks:
    result[probes, gallery] = distance
    seen += 1
  assert not np.isnan(result).any()
  return result, seen


def test_parity():
  arrays, _ = vectors.load("eval_rerank")
  expected = arrays.pop("reranked")
  found = rerank_lib.rerank_distances(**arrays)
  assert found.dtype == np.float32 and found.shape == expected.shape
  np.testing.assert_allclose(found, expected, rtol=0, atol=1e-6)


@pytest.mark.parametrize(
  "count, queries, k1, k2, lambda_value",
  [
    (60, 20, 6, 6, 0.3),
    (131, 31, 20, 6, 0.3),
    (131, 130, 5, 1, 0.0),  # half of k1 is rounded to even
    (90, 1, 7, 2, 1.0),
    (12, 4, 30, 20, 0.5),  # more neighbours than items
    (2, 1, 6, 6, 0.3),
    (5, 4, 1, 3, 0.7),  # a gallery of one
  ],
)
def test_equals_the_published_loops(count, queries, k1, k2, lambda_value):
  rng = np.random.default_rng(count)
  x = people(count, 1 + count // 8, seed=count)
  symmetric = distances.part_distances(x, x)
  skewed = rng.uniform(0.1, 1, (count, count)).astype(np.float32)
  for distance in (symmetric, skewed):
    given = distance.copy()
    found = rerank_lib.rerank_distances(given, queries, k1, k2, lambda_value)
    np.testing.assert_array_equal(given, distance)
    expected = published(distance, queries, k1, k2, lambda_value)
    np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("k1, k2", [(6, 6), (20, 1), (400, 3)])
@pytest.mark.parametrize("metric", ["euclidean", "cosine"])
def test_embeddings(k1, k2, metric):
  x = people(150, 12, seed=1)
  q = 40
  expected = published(
    distances.part_distances(x, x, metric), q, k1, k2, lambda_value=0.3
  )
  blocks = rerank_lib.rerank(x[:q], x[q:], k1, k2, 0.3, metric)
  found, _ = gathered(blocks, q, 110)
  # Distances differ by rounding, and float16 weights by their last bit then.
  np.testing.assert_allclose(found, expected, rtol=0, atol=2e-3)


def test_a_budget_makes_blocks_and_changes_nothing():
  x = people(3000, 200, seed=2, parts=1, dim=4)
  whole, seen = gathered(rerank_lib.rerank(x[:700], x[700:]), 700, 2300)
  assert seen == 2  # blocks of 512 probes
  parts, seen = gathered(
    rerank_lib.rerank(x[:700], x[700:], memory_gib=0.01), 700, 2300
  )
  assert seen > 4
  np.testing.assert_allclose(parts, whole, rtol=0, atol=2e-3)


def test_two_thousand_items_take_seconds():
  x = people(2000, 100, seed=3)
  distance = distances.part_distances(x, x)
  start = time.process_time()
  result = rerank_lib.rerank_distances(distance, 500, k1=20)
  assert time.process_time() - start < 20  # about 1; the loops take 60
  assert result.shape == (500, 1500)


def test_finds_what_distances_miss():
  # The end of the probe's own group is farther than a stranger, who has a
  # group of their own.
  group, strangers = [0, 1, 2, 3], [-2.9, -3, -3.1, -3.2, -3.3]
  x = np.array(group + strangers, np.float32)[:, None, None]
  distance = distances.part_distances(x, x)
  assert distance[0, 4] < distance[0, 3]
  found = rerank_lib.rerank_distances(distance, 1, k1=4, k2=1)[0]
  assert found[:3].max() < found[3:].min()


def test_items_that_are_all_the_same():
  x = np.ones((9, 2, 3), np.float32)
  zeros = np.zeros((9, 9), np.float32)
  found = rerank_lib.rerank_distances(zeros, 2, k1=3, k2=2)
  np.testing.assert_array_equal(found, found[0, 0] * np.ones((2, 7)))
  found, _ = gathered(rerank_lib.rerank(x[:2], x[2:], k1=3), 2, 7)
  assert np.isfinite(found).all()


@pytest.mark.parametrize(
  "change, words",
  [
    (dict(distance=np.zeros((4, 5))), r"shape \[4, 5\]"),
    (dict(distance=np.full((4, 4), np.nan)), "not finite"),
    (dict(queries=0), "0 probes"),
    (dict(queries=4), "gallery of 0"),
    (dict(k1=0), "k1 0"),
    (dict(k2=0), "k2 0"),
    (dict(lambda_value=1.5), "lambda 1.5"),
  ],
)
def test_bad_input_is_one_line(change, words):
  given = dict(distance=np.ones((4, 4), np.float32), queries=2) | change
  with pytest.raises(errors.UserError, match=words) as error:
    rerank_lib.rerank_distances(**given)
  assert "\n" not in str(error.value)


def test_bad_embeddings():
  x = np.ones((4, 2, 3), np.float32)
  with pytest.raises(errors.UserError, match="gallery of 0"):
    next(rerank_lib.rerank(x, x[:0]))
  with pytest.raises(errors.UserError, match="not finite"):
    next(rerank_lib.rerank(x, np.full_like(x, np.nan)))
  with pytest.raises(ValueError, match="parts and channels"):
    next(rerank_lib.rerank(x, x[:, :1]))
  with pytest.raises(ValueError, match="metric"):
    next(rerank_lib.rerank(x, x, metric="l1"))
