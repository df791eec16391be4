"""GaitKD's boundary level."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gaitkd_jax import losses
from tests.parity import vectors


def test_boundary_oracles():
  keys = jax.random.split(jax.random.key(1), 2)
  student = jax.random.normal(keys[0], (5, 4, 7))
  teacher = jax.random.normal(keys[1], (5, 4, 7)).at[0, 0, 0].set(0.0)
  side = jnp.where(teacher > 0, 1.0, -1.0)
  value, grad = jax.value_and_grad(losses.boundary_loss)(student, teacher)
  np.testing.assert_allclose(
    value, losses.boundary_loss(student, 3 * teacher), rtol=1e-6
  )
  assert losses.boundary_loss(1.01 * side, teacher) == 0
  expected = -2 * side * jnp.maximum(1 - side * student, 0) / 20
  assert vectors.difference(grad, expected) < 1e-6
  assert not jax.grad(losses.boundary_loss, 1)(student, teacher).any()


def test_every_strip_that_overlaps_is_compared():
  rng = np.random.default_rng(0)
  student = jnp.asarray(rng.normal(size=(5, 4, 7)), jnp.float32)
  teacher = jnp.asarray(rng.normal(size=(5, 3, 7)), jnp.float32)
  overlap = losses.overlap_matrix(4, 3)
  value = losses.boundary_loss(student, teacher, 0.5, overlap=overlap)
  expected = sum(
    overlap[i, j]
    * losses.boundary_loss(student[:, i : i + 1], teacher[:, j : j + 1], 0.5)
    for i, j in np.argwhere(overlap)
  )
  np.testing.assert_allclose(value, expected / 4, rtol=1e-5)
  with pytest.raises(ValueError, match=r"\(4, 2\).*\(5, 3, 7\)"):
    losses.boundary_loss(student, teacher, overlap=overlap[:, :2])
  with pytest.raises(ValueError, match="mixed to 2 parts"):
    losses.boundary_loss(student, teacher, overlap=overlap[:2])
