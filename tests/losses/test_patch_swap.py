"""Clips that exchange bands."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gaitkd_jax import losses
from tests.helpers import oracles

LABELS = oracles.LOGIT_LABELS


@pytest.fixture(scope="module")
def pair():
  return oracles.logit_pair()


@pytest.mark.parametrize("channels", [(), (2,)])
def test_swap_bands(channels):
  rng = np.random.default_rng(0)
  x = rng.integers(0, 255, (4, 3, 8, 5, *channels)).astype(np.uint8)
  partners = np.array([1, 0, 3, 2])
  swapped = np.array([[1, 0, 0, 1], [1, 0, 0, 1], [0, 1, 0, 0], [0, 1, 0, 0]])
  out = losses.swap_bands(
    jnp.asarray(x), jnp.asarray(partners), jnp.asarray(swapped, bool)
  )
  assert out.dtype == jnp.uint8
  for i in range(4):
    for band in range(4):
      rows = slice(2 * band, 2 * band + 2)
      source = partners[i] if swapped[i, band] else i
      np.testing.assert_array_equal(out[i, :, rows], x[source, :, rows])
  again = losses.swap_bands(
    out, jnp.asarray(partners), jnp.asarray(swapped, bool)
  )
  np.testing.assert_array_equal(again, x)
  with pytest.raises(ValueError, match="no 3 bands"):
    losses.swap_bands(jnp.asarray(x), partners, jnp.zeros([4, 3], bool))
  with pytest.raises(ValueError, match="do not fit"):
    losses.swap_bands(jnp.asarray(x), partners[:2], jnp.zeros([4, 4], bool))


def test_patch_swap_loss(pair):
  first, second = pair
  expected = (
    sum(losses.cross_entropy_loss(z, LABELS) for z in pair)
    + losses.decision_loss(first, second)
    + losses.decision_loss(second, first)
  )
  value = losses.patch_swap_loss(first, second, LABELS)
  np.testing.assert_allclose(value, expected, rtol=1e-6)
  np.testing.assert_allclose(
    losses.patch_swap_loss(second, first, LABELS), value, rtol=1e-6
  )
  # Clips that agree have nothing to learn from each other.
  np.testing.assert_allclose(
    losses.patch_swap_loss(first, first, LABELS),
    2 * losses.cross_entropy_loss(first, LABELS),
    rtol=1e-6,
  )
  # Both learn.
  grads = jax.grad(losses.patch_swap_loss, (0, 1))(first, second, LABELS)
  assert all(np.abs(g).max() > 1e-3 for g in grads)
