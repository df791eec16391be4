"""Hard mining of embeddings."""

import jax
import numpy as np
import pytest

from gaitkd_jax import losses
from tests.helpers import oracles


@pytest.fixture(scope="module")
def pair():
  return oracles.embedding_pair()


def test_instance_loss_mines(pair):
  student, teacher = pair
  distance = 1 - np.sum(oracles.unit(student) * oracles.unit(teacher), axis=-1)
  state = losses.init_threshold()
  fn = jax.jit(losses.instance_loss)
  # With everything hard it is the plain mean.
  value, _ = fn(student, teacher, state, 1.0)
  np.testing.assert_allclose(value, distance.mean(), rtol=1e-5)
  value, state = fn(student, teacher, state, 0.3)
  threshold = np.quantile(distance, 0.7)
  np.testing.assert_allclose(state.value, threshold, rtol=1e-5)
  weight = np.where(distance >= threshold, 1.0, 0.1)
  assert 0 < np.sum(weight == 1) < weight.size
  np.testing.assert_allclose(
    value, np.sum(weight * distance) / weight.sum(), rtol=1e-5
  )
  # The threshold remembers: later batches move it by a hundredth.
  _, state = fn(student, student, state, 0.3)
  np.testing.assert_allclose(state.value, 0.99 * threshold, rtol=1e-5)
  assert state.steps == 2
  value, _ = fn(student, 3.0 * student, state, 0.3)
  assert value < 1e-12


def test_hard_share_falls_over_the_first_half():
  shares = [float(losses.hard_share(x)) for x in (0.0, 0.25, 0.5, 1.0)]
  np.testing.assert_allclose(shares, [1.0, 0.65, 0.3, 0.3], rtol=1e-6)
