"""Directions of embeddings, and products and distances between them."""

import jax
import jax.numpy as jnp
import numpy as np

from gaitkd_jax.losses import similarity
from tests.helpers import oracles


def test_directions_and_products():
  student, teacher = oracles.embedding_pair()
  np.testing.assert_allclose(
    similarity.unit(student), oracles.unit(student), rtol=1e-5
  )
  np.testing.assert_allclose(
    similarity.products(similarity.unit(student), similarity.unit(teacher)),
    oracles.cosines(student, teacher),
    atol=1e-6,
  )


def test_zero_has_no_direction_and_no_gradient():
  zero = jnp.zeros([2, 3])
  assert not similarity.unit(zero).any()
  gradient = jax.grad(lambda x: jnp.sum(similarity.unit(x)))(zero)
  assert not gradient.any()


def test_distances_keep_the_digits_of_close_clips():
  x, _ = oracles.embedding_pair()
  x = np.array(x)
  x[1] = x[0] + np.float32(1e-4)
  wide = np.float64(x)
  expected = np.linalg.norm(wide[:, None] - wide[None], axis=-1)
  np.testing.assert_allclose(
    similarity.distances(jnp.asarray(x)), np.moveaxis(expected, 2, 0), rtol=1e-6
  )
  same = jnp.ones([3, 2, 4])
  gradient = jax.grad(lambda x: jnp.sum(similarity.distances(x)))(same)
  assert not similarity.distances(same).any() and not gradient.any()


def test_huber_is_a_square_and_then_a_line():
  x = jnp.array([-3.0, -0.25, 0.0, 0.5, 2.0])
  for delta in (0.5, 1.0):
    np.testing.assert_allclose(
      similarity.huber(x, delta), oracles.huber(np.asarray(x), delta), rtol=1e-6
    )


def test_masked_mean():
  x = jnp.array([[1.0, 2.0], [4.0, 8.0]])
  mask = jnp.array([[True, False], [False, True]])
  assert similarity.masked_mean(x, mask) == 4.5
  assert similarity.masked_mean(x, jnp.zeros_like(mask)) == 0.0
