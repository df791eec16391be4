"""Steps that values ask for, against numpy."""

import jax.numpy as jnp
import numpy as np
import pytest

from gaitkd_jax import quantize
from gaitkd_jax.quantize import observers
from gaitkd_jax.quantize import rounding

GRIDS = {
  "signed_4": quantize.signed(4),
  "signed_8": quantize.signed(8),
  "unsigned_2": quantize.unsigned(2),
  "unsigned_8": quantize.unsigned(8),
}


def values(shape=(6, 7, 5), seed=0):
  """With a tail, and of another size in every channel."""
  rng = np.random.default_rng(seed)
  x = rng.standard_t(3, size=shape) * np.geomspace(0.01, 10, shape[-1])
  return x.astype(np.float32)


def size_of(x, grid):
  return np.abs(x) if grid.low else np.maximum(x, 0)


def error(x, step, grid, axes):
  near = quantize.quantize(x, step, grid, rounding.round_straight)
  return np.square(np.asarray(near, np.float64) - x).sum(axes, keepdims=True)


@pytest.mark.parametrize("axes", [(0, 1), (0, 1, 2)])
@pytest.mark.parametrize("grid", GRIDS)
def test_maximum(grid, axes):
  grid, x = GRIDS[grid], values()
  found = observers.maximum(x, grid, axes)
  assert found.shape == ((1, 1, 5) if len(axes) == 2 else (1, 1, 1))
  highest = size_of(x, grid).max(axes, keepdims=True)
  np.testing.assert_allclose(found, highest / grid.high, rtol=1e-6)


@pytest.mark.parametrize("axes", [(0, 1), (0, 1, 2)])
@pytest.mark.parametrize("grid", GRIDS)
def test_percentile_is_of_what_is_not_zero(grid, axes):
  grid, x = GRIDS[grid], values((40, 50, 3))
  x[::2] = 0  # must not move it
  found = observers.percentile(x, grid, axes)
  sizes = size_of(x, grid)
  columns = sizes.reshape(-1, 3).T if len(axes) == 2 else [sizes.ravel()]
  wanted = [np.percentile(c[c > 0], 99.9) / grid.high for c in columns]
  np.testing.assert_allclose(found.ravel(), wanted, rtol=1e-4)


@pytest.mark.parametrize("axes", [(0, 1), (0, 1, 2)])
@pytest.mark.parametrize("grid", GRIDS)
def test_least_squares_is_the_best_of_its_steps(grid, axes):
  grid, x = GRIDS[grid], values()
  found = np.asarray(observers.least_squares(x, grid, axes))
  full = np.asarray(observers.maximum(x, grid, axes))
  own = error(x, found, grid, axes)
  for fraction in np.linspace(0.05, 1.0, 64):
    assert (own <= error(x, fraction * full, grid, axes) * (1 + 1e-5)).all()
  assert (own <= error(x, full, grid, axes)).all()
  if grid.high < 8 and len(axes) == 3:
    assert (own < error(x, full, grid, axes)).all()


@pytest.mark.parametrize("name", quantize.OBSERVERS)
@pytest.mark.parametrize("grid", GRIDS)
def test_nothing_but_zeros_still_has_a_step(name, grid):
  observe, grid = quantize.OBSERVERS[name], GRIDS[grid]
  found = observe(jnp.zeros((4, 3)), grid, (0,))
  np.testing.assert_allclose(found, np.full((1, 3), observers.LEAST))
  zeros = quantize.quantize(
    jnp.zeros((4, 3)), found, grid, rounding.round_straight
  )
  np.testing.assert_array_equal(zeros, np.zeros((4, 3)))
  # One dead channel does not spoil the others.
  x = values((8, 3))
  x[:, 1] = 0
  found = np.asarray(observe(x, grid, (0,)))
  assert np.isfinite(found).all() and (found > 0).all()
  assert found[0, 1] == np.float32(observers.LEAST)
  np.testing.assert_allclose(
    found[:, [0, 2]], observe(x[:, [0, 2]], grid, (0,)), rtol=1e-6
  )


@pytest.mark.parametrize("name", quantize.OBSERVERS)
def test_channels_are_observed_each_on_its_own(name):
  observe, grid, x = quantize.OBSERVERS[name], GRIDS["signed_4"], values()
  together = observe(x, grid, (0, 1))
  for c in range(5):
    alone = observe(x[..., c], grid, (0, 1))
    np.testing.assert_allclose(together[..., c], alone, rtol=1e-6)


@pytest.mark.parametrize("name", quantize.OBSERVERS)
def test_a_step_grows_with_the_values(name):
  observe, grid, x = quantize.OBSERVERS[name], GRIDS["signed_4"], values()
  one, four = (observe(k * x, grid, (0, 1, 2)) for k in (1.0, 4.0))
  np.testing.assert_allclose(four, 4 * one, rtol=1e-6)


@pytest.mark.parametrize("name", quantize.OBSERVERS)
def test_bfloat16_is_observed_in_float32(name):
  x = jnp.asarray(values(), jnp.bfloat16)
  observe, grid = quantize.OBSERVERS[name], GRIDS["signed_8"]
  found = observe(x, grid, (0, 1))
  assert found.dtype == jnp.float32
  wanted = observe(x.astype(jnp.float32), grid, (0, 1))
  np.testing.assert_array_equal(found, wanted)
