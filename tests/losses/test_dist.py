"""DIST against its definition."""

import numpy as np
import pytest

from gaitkd_jax import losses
from tests.helpers import oracles


@pytest.fixture(scope="module")
def pair():
  return oracles.logit_pair()


def test_dist_oracles(pair):
  student, teacher = pair
  p_s, p_t = (oracles.softmax(4 * np.asarray(x)) for x in pair)

  def mean_correlation(axis):
    left, right = (
      np.moveaxis(p, axis, -1).reshape(-1, p.shape[axis]) for p in (p_s, p_t)
    )
    return np.mean(
      [np.corrcoef(a, b)[0, 1] for a, b in zip(left, right, strict=True)]
    )

  expected = 16 * (
    2 * (1 - mean_correlation(-1)) + 3 * (1 - mean_correlation(0))
  )
  value = losses.dist_loss(student, teacher, 2.0, 3.0)
  np.testing.assert_allclose(value, expected, rtol=1e-5)
  assert abs(losses.dist_loss(student, student + 0.5)) < 1e-4
  # Probabilities whose squares underflow correlate all the same.
  low = student.at[..., 0].add(-2.0)
  assert abs(losses.dist_loss(low, low, temperature=1.0)) < 1e-4
