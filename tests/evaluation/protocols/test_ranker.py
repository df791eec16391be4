"""Ranks by hand, whatever the blocks and the devices."""

import jax
import numpy as np
import pytest

from gaitkd_jax.evaluation import distances
from gaitkd_jax.evaluation import search
from gaitkd_jax.evaluation.protocols import ranker as ranker_lib
from gaitkd_jax.evaluation.protocols import ranks

# A few of these make several blocks of the smallest size of both sides.
TINY = 0.0004


def random_set(rows=700, subjects=9, seed=0):
  rng = np.random.default_rng(seed)
  # Few distinct embeddings: many distances are equal.
  embeddings = rng.integers(0, 3, (rows, 2, 2)).astype(np.float32)
  names = rng.integers(0, subjects, rows).astype(str)
  return embeddings, names, rng.integers(0, 3, rows).astype(str)


def ranks_by_hand(embeddings, subjects, probes, gallery, views=None):
  result = []
  for p in probes:
    kept = [
      g
      for g in gallery
      if views is None or subjects[g] != subjects[p] or views[g] != views[p]
    ]
    distance = np.linalg.norm(embeddings[kept] - embeddings[p], axis=2)
    order = np.argsort(distance.mean(1).round(4), kind="stable")
    right = subjects[kept][order] == subjects[p]
    result.append(np.flatnonzero(right) + 1)
  return result


def test_ranks_with_ties_and_several_blocks():
  embeddings, subjects, views = random_set()
  ranker = ranker_lib.Ranker(embeddings, subjects, "euclidean")
  probes, gallery = np.arange(600), np.arange(600, 700)
  expected = ranks_by_hand(embeddings, subjects, probes, gallery)
  first = ranker.first_matches(probes, gallery)
  np.testing.assert_array_equal(first, [m[0] for m in expected])
  first, names = ranker.first_matches_by_view(probes, gallery, views[gallery])
  assert names.tolist() == ["0", "1", "2"]
  for column, view in zip(first.T, names, strict=True):
    of_view = gallery[views[gallery] == view]
    expected_of_view = [
      m[0] if len(m) else ranks.ABSENT
      for m in ranks_by_hand(embeddings, subjects, probes, of_view)
    ]
    np.testing.assert_array_equal(column, expected_of_view)
  for found, right in zip(
    ranker.all_matches(probes, gallery), expected, strict=True
  ):
    np.testing.assert_array_equal(found, right)
  for found, right in zip(
    ranker.all_matches(probes, gallery, views),
    ranks_by_hand(embeddings, subjects, probes, gallery, views),
    strict=True,
  ):
    np.testing.assert_array_equal(found, right)


def test_absent_subject_and_empty_sides():
  embeddings, subjects, _ = random_set(10)
  subjects[0] = "stranger"
  ranker = ranker_lib.Ranker(embeddings, subjects, "cosine")
  rest = np.arange(1, 10)
  assert ranker.first_matches(np.array([0]), rest) == [ranks.ABSENT]
  assert len(ranker.all_matches(np.array([0]), rest)[0]) == 0
  assert ranker.first_matches(rest, rest[:0]).tolist() == [ranks.ABSENT] * 9
  assert ranker.first_matches(rest[:0], rest).shape == (0,)
  views = np.arange(9) % 2
  first, names = ranker.first_matches_by_view(np.array([0]), rest, views)
  assert first.tolist() == [[ranks.ABSENT] * 2] and names.tolist() == [0, 1]
  assert ranker.first_matches_by_view(rest[:0], rest, views)[0].shape == (0, 2)
  assert ranker.all_matches(rest[:0], rest) == []


def numbered(rows, subjects, seed):
  """Few distinct embeddings, so that many distances are equal."""
  rng = np.random.default_rng(seed)
  embeddings = rng.integers(0, 4, (rows, 2, 3)).astype(np.float32)
  return (
    embeddings,
    rng.integers(0, subjects, rows).astype(str),
    rng.integers(0, 3, rows).astype(str),
  )


@pytest.mark.parametrize(
  "ordered", [pytest.param(False, marks=pytest.mark.slow), True]
)
def test_ranks_do_not_depend_on_blocks_or_devices(ordered):
  embeddings, subjects, views = numbered(2600, 40, 2)
  if ordered:  # blocks without any right item
    subjects = np.sort(subjects)
  probes, gallery = np.arange(0, 2600, 13), np.arange(1, 2600, 2)
  # A probe may be in its own gallery; another has nobody.
  subjects[probes[3]] = "stranger"

  def found(memory_gib, devices):
    ranker = ranker_lib.Ranker(
      embeddings, subjects, "euclidean", memory_gib, jax.devices()[:devices]
    )
    return (
      ranker.first_matches(probes, gallery),
      ranker.first_matches_by_view(probes, gallery, views[gallery])[0],
      np.concatenate(ranker.all_matches(probes, gallery)),
      np.concatenate(ranker.all_matches(probes, gallery, views)),
    )

  blocks = search.Blocks(
    embeddings[probes],
    embeddings[gallery],
    "euclidean",
    TINY,
    jax.devices()[:1],
  )
  assert len(blocks.gallery_slices) > 1 and len(blocks.probe_slices) > 1
  whole = found(1.0, 1)
  for memory_gib, devices in ((TINY, 1), (1.0, 8), (8 * TINY, 8)):
    for some, every in zip(found(memory_gib, devices), whole, strict=True):
      np.testing.assert_array_equal(some, every)


@pytest.mark.parametrize("metric", distances.METRICS)
def test_ranks_of_many_right_items(monkeypatch, metric):
  embeddings, subjects, views = numbered(1500, 3, 4)
  embeddings[:, 0] += 0.5  # no part is zero
  probes, gallery = np.arange(0, 1500, 11), np.arange(1, 1500, 2)

  def found(memory_gib=1.0):
    ranker = ranker_lib.Ranker(embeddings, subjects, metric, memory_gib)
    return np.concatenate(
      ranker.all_matches(probes, gallery)
      + ranker.all_matches(probes, gallery, views)
    )

  sorting = found(), found(10 * TINY)
  monkeypatch.setattr(ranker_lib, "_MANY", 10_000)
  compared = found()
  for each in sorting:
    np.testing.assert_array_equal(each, compared)
