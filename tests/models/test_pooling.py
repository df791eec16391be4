"""Pooling over time and over strips."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gaitkd_jax.models import pooling


def test_maximum_has_one_gradient_per_sequence():
  x = jnp.array([[2.0, 5.0, 5.0, 9.0], [1.0, 1.0, 0.0, 9.0]])[..., None]
  mask = jnp.array([[True, True, True, False]] * 2)
  grad = jax.grad(lambda x: jnp.sum(pooling.temporal_max(x, mask)))(x)
  assert grad[..., 0].tolist() == [[0, 1, 0, 0], [1, 0, 0, 0]]


def test_maximum_of_real_frames():
  x = jnp.array([[2.0, -5.0, 9.0], [-3.0, -1.0, 0.0]])[..., None]
  mask = jnp.array([[True, True, False], [True, True, False]])
  assert pooling.temporal_max(x, mask)[:, 0].tolist() == [2, -1]
  assert pooling.temporal_max(x)[:, 0].tolist() == [9, 0]


@pytest.mark.parametrize(
  "maximum", [pooling.maximum_by_loop, pooling.maximum_by_reduction]
)
def test_the_first_of_equal_frames_is_the_maximum(maximum):
  x = jax.random.randint(jax.random.key(0), (5, 9, 3, 4), -3, 3)
  x = x.astype(jnp.float32).at[0, 4, 0].set(jnp.nan).at[1].set(-jnp.inf)
  value, number = maximum(jnp.uint8, x)
  assert number.dtype == jnp.uint8
  np.testing.assert_array_equal(value, np.max(x, axis=1))
  np.testing.assert_array_equal(number, np.argmax(x, axis=1))


def test_strips_by_hand():
  x = jnp.arange(24.0).reshape(1, 4, 3, 2)
  pooled = pooling.horizontal_pooling(x, 2)
  for part, strip in enumerate((x[0, :2], x[0, 2:])):
    pixels = np.asarray(strip).reshape(6, 2)
    expected = pixels.mean(axis=0) + pixels.max(axis=0)
    np.testing.assert_allclose(pooled[0, part], expected)


def test_strips_of_unequal_height_are_refused():
  with pytest.raises(ValueError, match="15 rows .* 16 equal strips"):
    pooling.horizontal_pooling(jnp.zeros((1, 15, 3, 2)), 16)
