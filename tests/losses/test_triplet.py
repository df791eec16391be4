"""The batch-all triplet loss."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gaitkd_jax import losses


def test_triplet_by_hand():
  # Two of label 0 at 0 and 1, one of label 1 at 3: distances 1, 3, 2.
  embedding = jnp.array([0.0, 1.0, 3.0]).reshape(3, 1, 1)
  labels = jnp.array([0, 0, 1])
  # Active: (0, 1 | 2) 1 - 3 + 2.5, (1, 0 | 2) 1 - 2 + 2.5, the self-pair
  # (1, 1 | 2) 0 - 2 + 2.5 and (2, 2 | 1) 0 - 2 + 2.5.
  value, active = losses.triplet_parts(embedding, labels, 2.5)
  assert active[0] == 4
  np.testing.assert_allclose(value[0], (0.5 + 1.5 + 0.5 + 0.5) / 4, rtol=1e-6)


@pytest.mark.parametrize("value", [0.0, 1e-20, 1.0, 1e4])
def test_gradients_are_finite_for_equal_embeddings(value):
  embedding = jnp.full([6, 2, 3], value)
  labels = jnp.array([0, 0, 1, 1, 2, 2])
  grad = jax.grad(losses.triplet_loss)(embedding, labels)
  assert np.isfinite(grad).all()
