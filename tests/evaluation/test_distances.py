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
