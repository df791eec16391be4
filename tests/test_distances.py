"""Part-wise distances by hand."""

import numpy as np
import pytest

from gaitkd_jax import distances


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
  ours = distances.part_distances(probe, gallery, metric)
  expected = by_hand(probe, gallery, metric)
  np.testing.assert_allclose(ours, expected, rtol=1e-4, atol=1e-5)


def test_no_probe_and_unknown_metric():
  gallery = np.zeros((3, 2, 2), np.float32)
  assert distances.part_distances(gallery[:0], gallery).shape == (0, 3)
  with pytest.raises(ValueError, match="euclidean"):
    distances.part_distances(gallery, gallery, "l1")


def test_blocks_are_rows_of_the_whole_matrix():
  rng = np.random.default_rng(0)
  embeddings = rng.standard_normal((900, 2, 3), np.float32)
  probes, gallery = rng.permutation(900)[:600], rng.permutation(900)[:130]
  whole = distances.part_distances(embeddings[probes], embeddings[gallery])
  rows, blocks = zip(
    *distances.distance_blocks(embeddings, probes, gallery), strict=True
  )
  assert [b.shape for b in blocks] == [(512, 130), (88, 130)]
  np.testing.assert_array_equal(np.concatenate(rows), probes)
  np.testing.assert_array_equal(np.concatenate(blocks), whole)
