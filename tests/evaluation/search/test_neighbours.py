"""The nearest of a gallery: as by hand, whatever the blocks."""

import jax
import numpy as np
import pytest

from gaitkd_jax import errors
from gaitkd_jax.evaluation import distances
from gaitkd_jax.evaluation import search

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
  found = search.nearest(probes, mapped, 5)
  expected = search.nearest(probes, gallery.astype(np.float32), 5)
  for x, y in zip(found, expected, strict=True):
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
