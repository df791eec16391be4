"""Regression of logits and embeddings."""

import numpy as np
import pytest

from gaitkd_jax import losses
from tests.helpers import oracles

D = oracles.EMBEDDING_SHAPE[2]


@pytest.fixture(scope="module")
def pair():
  return oracles.embedding_pair()


def test_cosine_and_unit_mse(pair):
  student, teacher = pair
  expected = np.mean(
    1 - np.sum(oracles.unit(student) * oracles.unit(teacher), axis=-1)
  )
  value = losses.embedding_cosine_loss(student, teacher)
  np.testing.assert_allclose(value, expected, rtol=1e-5)
  np.testing.assert_allclose(
    losses.unit_embedding_mse_loss(student, 3.0 * teacher),
    2 / D * value,
    rtol=1e-5,
  )
  assert losses.embedding_cosine_loss(student, 3.0 * student) < 1e-12
  np.testing.assert_allclose(
    losses.embedding_cosine_loss(student, -student), 2.0, rtol=1e-5
  )


def test_mean_squares_by_hand(pair):
  student, teacher = (np.float64(x) for x in pair)
  expected = np.mean((student - teacher) ** 2)
  np.testing.assert_allclose(
    losses.feature_mse_loss(*pair), expected, rtol=1e-5
  )
  np.testing.assert_allclose(
    losses.logit_mse_loss(*pair, scale=3.0), 9 * expected, rtol=1e-5
  )
