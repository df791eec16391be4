"""Cross entropy of part logits."""

import jax
import jax.numpy as jnp
import numpy as np

from gaitkd_jax import losses
from tests.helpers import oracles


def test_gradients_are_finite_for_saturated_logits():
  logits = jnp.stack([jnp.full([2, 3], 1e4), jnp.full([2, 3], -1e4)], axis=-1)
  logits = logits.astype(jnp.float32)
  labels = jnp.array([1, 0])
  for fn in (
    lambda z: losses.cross_entropy_loss(z, labels),
    lambda z: losses.decision_loss(z, -logits),
    lambda z: losses.decision_loss(z, logits, 1.0),
  ):
    value, grad = jax.value_and_grad(fn)(logits)
    assert np.isfinite(value) and np.isfinite(grad).all()


def test_cross_entropy_by_hand():
  rng = np.random.default_rng(0)
  logits = rng.uniform(-1, 1, (3, 2, 5)).astype(np.float32)
  labels = np.array([4, 0, 2])
  log_p = np.log(oracles.softmax(4.0 * logits))
  target = np.full((3, 1, 5), 0.2 / 5)
  target[np.arange(3), 0, labels] += 0.8
  value = losses.cross_entropy_loss(logits, labels, 4.0, 0.2)
  expected = -np.mean(np.sum(target * log_p, axis=-1))
  np.testing.assert_allclose(value, expected, rtol=1e-5)


def test_part_accuracy_by_hand():
  logits = jnp.array([[[1.0, 2.0], [2.0, 1.0]], [[0.0, 3.0], [0.0, 1.0]]])
  assert losses.part_accuracy(logits, jnp.array([1, 1])) == 0.75
