"""Numpy's distances are those that JAX computes."""

import numpy as np
import pytest

from gaitkd_jax.evaluation import distances as of_jax
from gaitkd_jax.identify import distances


def test_metrics_are_the_same():
  assert distances.METRICS == of_jax.METRICS


@pytest.mark.parametrize("metric", distances.METRICS)
def test_equal_to_an_evaluation(metric):
  rng = np.random.default_rng(0)
  probe, gallery = (
    rng.normal(size=(n, 5, 8)).astype(np.float32) for n in (4, 7)
  )
  found = distances.between(probe, gallery, metric)
  assert found.dtype == np.float32
  wanted = of_jax.part_distances(probe, gallery, metric)
  np.testing.assert_allclose(found, wanted, rtol=1e-5)


def test_unknown_metric():
  with pytest.raises(ValueError, match="euclidean, cosine"):
    distances.between(np.zeros((1, 1, 1)), np.zeros((1, 1, 1)), "city")
