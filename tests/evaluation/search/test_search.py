"""Blocks of distances: the same as the whole matrix, within a budget."""

import jax
import numpy as np
import pytest

from gaitkd_jax import errors
from gaitkd_jax.evaluation import distances
from gaitkd_jax.evaluation import search
from gaitkd_jax.evaluation.protocols import ranks

# A few of these make several blocks of the smallest size of both sides.
TINY = 0.0004


def people(rows, seed=0, dtype=np.float32, parts=3, channels=8):
  rng = np.random.default_rng(seed)
  return rng.normal(size=(rows, parts, channels)).astype(dtype)


def by_hand(probes, gallery, k, metric):
  x, y = (v.astype(np.float64) for v in (probes, gallery))
  if metric == "cosine":
    x, y = (v / np.linalg.norm(v, axis=2, keepdims=True) for v in (x, y))
    matrix = 1 - np.einsum("apd,bpd->ab", x, y) / x.shape[1]
  else:
    matrix = np.linalg.norm(x[:, None] - y[None], axis=3).mean(2)
  order = np.argsort(matrix, axis=1, kind="stable")[:, :k]
  return np.take_along_axis(matrix, order, axis=1), order


@pytest.mark.parametrize("metric", distances.METRICS)
@pytest.mark.parametrize("devices", [1, 8])
@pytest.mark.parametrize("memory_gib", [1.0, TINY])
def test_nearest(metric, devices, memory_gib):
  probes, gallery = people(300), people(2100, seed=1)
  devices = jax.devices()[:devices]
  if memory_gib == TINY:
    blocks = search.Blocks(probes, gallery, metric, TINY, devices[:1])
    assert len(blocks.gallery_slices) > 2 and len(blocks.probe_slices) > 1
    memory_gib *= 1 + len(devices) / 4
  distance, row = search.nearest(
    probes, gallery, 7, metric, memory_gib, devices
  )
  expected, order = by_hand(probes, gallery, 7, metric)
  np.testing.assert_allclose(distance, expected, rtol=1e-4, atol=2e-6)
  np.testing.assert_array_equal(row, order)


def test_equal_distances_keep_the_order_of_the_gallery():
  gallery = np.repeat(people(5, seed=1), 300, axis=0)[
    np.arange(1500) * 7 % 1500
  ]
  probes = people(3)
  for devices, memory_gib in ((1, TINY / 2), (8, 1.5 * TINY)):
    devices = jax.devices()[:devices]
    blocks = search.Blocks(probes, gallery, "euclidean", memory_gib, devices)
    assert len(blocks.gallery_slices) > 1
    _, row = search.nearest(
      probes, gallery, 40, memory_gib=memory_gib, devices=devices
    )
    for one in row:
      same = (gallery[one[0]] == gallery).all(axis=(1, 2))
      np.testing.assert_array_equal(one, np.flatnonzero(same)[:40])


def test_float16_is_computed_in_float32(tmp_path):
  gallery = people(700, 1, np.float16)
  np.save(tmp_path / "gallery.npy", gallery)
  mapped = np.load(tmp_path / "gallery.npy", mmap_mode="r")
  probes = people(20)
  ours = search.nearest(probes, mapped, 5)
  theirs = search.nearest(probes, gallery.astype(np.float32), 5)
  for x, y in zip(ours, theirs, strict=True):
    np.testing.assert_array_equal(x, y)


def test_edges_of_a_search():
  distance, row = search.nearest(people(4), people(3, 1), 10)
  assert distance.shape == row.shape == (4, 3)
  assert search.nearest(people(4), people(3)[:0], 10)[0].shape == (4, 0)
  assert search.nearest(people(4)[:0], people(3), 2)[0].shape == (0, 2)
  with pytest.raises(ValueError, match="same parts"):
    search.nearest(people(4), people(4, parts=2), 1)
  with pytest.raises(ValueError, match="euclidean"):
    search.nearest(people(4), people(4), 1, "l2")
  with pytest.raises(errors.UserError, match="not finite"):
    search.nearest(np.full((2, 3, 8), 3e38, np.float32), people(4), 1)


def test_a_budget_is_kept_or_refused():
  probes, gallery = people(2000), people(20_000, 1)
  for gib in (TINY, 0.01, 0.1):
    blocks = search.Blocks(probes, gallery, "cosine", gib, jax.devices()[:2])
    matrix = blocks.probe_rows * blocks.gallery_rows * 4
    held = 4 * 24 * (blocks.gallery_rows + 2 * blocks.probe_rows)
    assert matrix + held <= gib * 2**30
    assert blocks.gallery_rows % 256 == 0
  with pytest.raises(errors.UserError, match="at least 0.00") as e:
    search.Blocks(probes, gallery, "cosine", 1e-6)
  least = float(str(e.value).split()[-1])
  assert search.Blocks(probes, gallery, "cosine", least * 1.1)


def numbered(rows, subjects, seed):
  """Few distinct embeddings, so that many distances are equal."""
  rng = np.random.default_rng(seed)
  embeddings = rng.integers(0, 4, (rows, 2, 3)).astype(np.float32)
  return (
    embeddings,
    rng.integers(0, subjects, rows).astype(str),
    rng.integers(0, 3, rows).astype(str),
  )


@pytest.mark.parametrize("ordered", [False, True])
def test_ranks_do_not_depend_on_blocks_or_devices(ordered):
  embeddings, subjects, views = numbered(2600, 40, 2)
  if ordered:  # blocks without any right item
    subjects = np.sort(subjects)
  probes, gallery = np.arange(0, 2600, 13), np.arange(1, 2600, 2)
  # A probe may be in its own gallery; another has nobody.
  subjects[probes[3]] = "stranger"

  def found(memory_gib, devices):
    ranker = ranks.Ranker(
      embeddings, subjects, "euclidean", memory_gib, jax.devices()[:devices]
    )
    return (
      ranker.first_matches(probes, gallery),
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
    for ours, theirs in zip(found(memory_gib, devices), whole, strict=True):
      np.testing.assert_array_equal(ours, theirs)


@pytest.mark.parametrize("metric", distances.METRICS)
def test_ranks_of_many_right_items(monkeypatch, metric):
  embeddings, subjects, views = numbered(1500, 3, 4)
  embeddings[:, 0] += 0.5  # no part is zero
  probes, gallery = np.arange(0, 1500, 11), np.arange(1, 1500, 2)

  def found(memory_gib=1.0):
    ranker = ranks.Ranker(embeddings, subjects, metric, memory_gib)
    return np.concatenate(
      ranker.all_matches(probes, gallery)
      + ranker.all_matches(probes, gallery, views)
    )

  sorting = found(), found(10 * TINY)
  monkeypatch.setattr(ranks, "_MANY", 10_000)
  compared = found()
  for each in sorting:
    np.testing.assert_array_equal(each, compared)


def test_sort_keys_are_in_the_order_of_distances():
  distance = np.array([[0.0, -0.0, -1e-7, -2e-7, 3.0, 3.0, 1e-30]], np.float32)
  order = np.argsort(ranks._sort_keys(distance, 5)[0])
  np.testing.assert_array_equal(order, np.argsort(distance[0], kind="stable"))
