"""Part-wise distances by hand."""

import numpy as np
import pytest

from gaitkd_jax.evaluation import distances


def by_hand(probe, gallery, metric):
  result = np.zeros((len(probe), len(gallery)))
  for i, x in enumerate(probe.astype(np.float64)):
    for j, y in enumerate(gallery.astype(np.float64)):
      if metric == "euclidean":
        parts = np.sqrt(((x - y) ** 2).sum(-1))
      else:
        norms = np.linalg.norm(x, axis=-1) * np.linalg.norm(y, axis=-1)
        parts = 1 - (x * y).sum(-1) / norms
      result[i, j] = parts.mean()
  return result


@pytest.mark.parametrize("metric", distances.METRICS)
@pytest.mark.parametrize("probes", [1, 5, 513])
def test_mean_over_parts(metric, probes):
  rng = np.random.default_rng(0)
  probe = rng.standard_normal((probes, 4, 6), np.float32)
  gallery = rng.standard_normal((7, 4, 6), np.float32)
  found = distances.part_distances(probe, gallery, metric)
  expected = by_hand(probe, gallery, metric)
  np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)


def test_no_probe_and_unknown_metric():
  gallery = np.zeros((3, 2, 2), np.float32)
  assert distances.part_distances(gallery[:0], gallery).shape == (0, 3)
  with pytest.raises(ValueError, match="euclidean"):
    distances.part_distances(gallery, gallery, "l1")


@pytest.mark.parametrize("metric", distances.METRICS)
def test_float16_is_computed_in_float32(metric):
  rng = np.random.default_rng(1)
  probe, gallery = rng.normal(scale=300, size=(2, 9, 3, 40)).astype(np.float16)
  found = distances.part_distances(probe, gallery, metric)
  expected = by_hand(probe, gallery, metric)
  np.testing.assert_allclose(found, expected, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_embeddings_by_part(dtype):
  x = np.random.default_rng(2).normal(size=(600, 2, 3)).astype(dtype)
  for part in (slice(None), slice(5, 590), slice(599, 600), slice(7, 7)):
    expected = x[part].astype(np.float16 if dtype == np.float16 else np.float32)
    found = distances.by_part(x, 640, part)
    assert found.shape == (2, 640, 3) and found.dtype == expected.dtype
    np.testing.assert_array_equal(
      found[:, : len(expected)], expected.swapaxes(0, 1)
    )
    assert not found[:, len(expected) :].any()
    assert not np.shares_memory(found, x)
    # A device of the host uses it without a copy.
    assert found.ctypes.data % 64 == 0
