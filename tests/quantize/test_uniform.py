"""Uniform quantisers: grids, values, and LSQ's derivative by the step."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gaitkd_jax import quantize
from gaitkd_jax.quantize import rounding
from gaitkd_jax.quantize import uniform

STRAIGHT = rounding.round_straight
SOFT = functools.partial(rounding.round_soft, sharpness=5.0)


@pytest.mark.parametrize(
  "grid, low, high",
  [
    (quantize.signed(8), -127, 127),
    (quantize.signed(4), -7, 7),
    (quantize.signed(2), -1, 1),
    (quantize.signed(8, half=True), -63, 63),
    (quantize.signed(7, half=True), -63, 63),
    (quantize.signed(4, half=True), -7, 7),
    (quantize.unsigned(8), 0, 255),
    (quantize.unsigned(4), 0, 15),
    (quantize.unsigned(2), 0, 3),
  ],
)
def test_grids(grid, low, high):
  assert grid == (low, high)
  # As many codes as bits hold, but for the one without a counterpart.
  x = jnp.linspace(-300.0, 300.0, 6001)
  found = np.unique(quantize.codes(x, jnp.ones(()), grid, STRAIGHT))
  np.testing.assert_array_equal(found, np.arange(low, high + 1))


def test_half_the_range_of_bytes_keeps_sums_of_two_within_16_bits():
  high = quantize.signed(8, half=True).high
  assert 2 * 255 * high < 2**15 <= 2 * 255 * quantize.signed(8).high


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_values_are_the_nearest_of_the_steps(dtype):
  rng = np.random.default_rng(0)
  x = jnp.asarray(rng.normal(size=(6, 5, 4)), dtype)
  step = jnp.array([0.5, 0.25, 0.125, 0.0625], dtype).reshape(1, 1, 4)
  grid = quantize.signed(4)
  found = quantize.quantize(x, step, grid, STRAIGHT)
  assert found.dtype == x.dtype
  multiples = np.asarray(step, np.float64) * np.arange(-7, 8).reshape(
    15, 1, 1, 1
  )
  exact = np.asarray(x, np.float64)
  distances = np.abs(exact - multiples)
  np.testing.assert_array_equal(
    np.abs(exact - np.asarray(found, np.float64)), distances.min(0)
  )
  again = quantize.quantize(found, step, grid, STRAIGHT)
  np.testing.assert_array_equal(again, found)


def gradients(x, step, grid, rounded):
  """Of the sum of what is quantised, by `x` and by the step."""
  return jax.grad(
    lambda x, step: jnp.sum(quantize.quantize(x, step, grid, rounded)), (0, 1)
  )(jnp.asarray(x, jnp.float32), jnp.asarray(step, jnp.float32))


# Of u = x / step on the grid 0 ... 3: value, d/dx and d/dstep of LSQ.
LSQ = [
  (0.4, 0.0, 1.0, 0.0 - 0.4),
  (1.75, 2.0, 1.0, 2.0 - 1.75),
  (2.5, 2.0, 1.0, 2.0 - 2.5),  # half to even
  (3.0, 3.0, 1.0, 0.0),  # at the border
  (0.0, 0.0, 1.0, 0.0),  # at the other one: zeros behind a rectifier
  (3.1, 3.0, 0.0, 3.0),
  (100.0, 3.0, 0.0, 3.0),
  (-0.1, 0.0, 0.0, 0.0),
]


@pytest.mark.parametrize("u, value, by_x, by_step", LSQ)
@pytest.mark.parametrize("step", [1.0, 0.25])
def test_the_derivative_by_the_step_is_lsqs(u, value, by_x, by_step, step):
  grid = quantize.unsigned(2)
  found = quantize.quantize(
    jnp.float32(u * step), jnp.float32(step), grid, STRAIGHT
  )
  np.testing.assert_allclose(found, value * step, rtol=1e-6)
  of_x, of_step = gradients(u * step, step, grid, STRAIGHT)
  assert of_x == by_x
  np.testing.assert_allclose(of_step, by_step, rtol=1e-5, atol=1e-6)


def test_the_derivative_by_a_signed_step():
  for u, by_x, by_step in (
    (-7.0, 1.0, 0.0),
    (-7.2, 0.0, -7.0),
    (7.2, 0.0, 7.0),
    (-1.75, 1.0, -0.25),
  ):
    of_x, of_step = gradients(u, 1.0, quantize.signed(4), STRAIGHT)
    assert of_x == by_x
    np.testing.assert_allclose(of_step, by_step, atol=1e-6)


@pytest.mark.parametrize("grid", [quantize.unsigned(2), quantize.signed(3)])
def test_a_soft_derivative_by_the_step(grid):
  """R(u) - R'(u) u within the grid, its border outside."""
  u = np.array([-9.0, -2.6, -1.2, -0.5, 0.0, 0.3, 0.5, 1.4, 2.9, 3.0, 8.0])
  step = np.float32(0.25)
  of_x, _ = gradients(u * step, step, grid, SOFT)
  by_step = jax.vmap(lambda x: gradients(x, step, grid, SOFT)[1])(
    jnp.float32(u * step)
  )
  within = (u >= grid.low) & (u <= grid.high)
  f = u - np.floor(u)
  slope = 5.0 / (2 * np.tanh(2.5)) / np.cosh(5.0 * (f - 0.5)) ** 2
  np.testing.assert_allclose(
    of_x, np.where(within, slope, 0), rtol=1e-4, atol=1e-6
  )
  wanted = np.where(
    within, np.round(u) - slope * u, np.clip(u, grid.low, grid.high)
  )
  np.testing.assert_allclose(by_step, wanted, rtol=1e-4, atol=1e-5)


def test_zeros_behind_a_rectifier_keep_their_gradient():
  x = jnp.array([-1.0, 0.0, 0.0, 0.2])
  found, _ = gradients(nn_relu(x), 0.1, quantize.unsigned(4), STRAIGHT)
  np.testing.assert_array_equal(found, np.ones(4))


def nn_relu(x):
  return jnp.maximum(x, 0.0)


def test_a_step_is_shared_by_its_axes():
  x = jax.random.normal(jax.random.key(0), (3, 2, 4))
  step = jnp.array([0.1, 0.2, 0.3, 0.4])
  grid = quantize.signed(4)

  def loss(step):
    return jnp.sum(
      quantize.quantize(x, step.reshape(1, 1, 4), grid, STRAIGHT) * x
    )

  found = jax.grad(loss)(step)
  u = np.asarray(x) / np.asarray(step)
  each = np.where(np.abs(u) <= 7, np.round(u) - u, np.clip(u, -7, 7))
  wanted = (each * np.asarray(x)).sum((0, 1))
  np.testing.assert_allclose(found, wanted, rtol=1e-4)


def test_extreme_values_are_clipped():
  x = jnp.array([3e38, -3e38, jnp.inf, -jnp.inf, 0.0, -0.0, 1e-38])
  for rounded in (STRAIGHT, SOFT):
    found = quantize.quantize(x, jnp.float32(0.5), quantize.signed(4), rounded)
    np.testing.assert_array_equal(found, [3.5, -3.5, 3.5, -3.5, 0, 0, 0])
    of_x, of_step = gradients(x[:2], 1e-8, quantize.signed(4), rounded)
    np.testing.assert_array_equal(of_x, [0, 0])
    assert of_step == 0  # 7 - 7
  # What is no number stays none, so that training stops.
  nan = quantize.quantize(
    jnp.array([jnp.nan]), jnp.float32(1.0), quantize.signed(4), STRAIGHT
  )
  assert np.isnan(nan).all()


def test_a_gradient_is_scaled_and_its_value_is_not():
  x = jnp.array([1.0, -2.0])
  value, gradient = jax.value_and_grad(
    lambda x: jnp.sum(jnp.square(uniform.scale_gradient(x, 0.25)))
  )(x)
  assert value == 5.0
  np.testing.assert_allclose(gradient, 0.25 * 2 * x)
  assert quantize.lsq_factor(100, quantize.signed(4)) == pytest.approx(
    1 / np.sqrt(100 * 7)
  )
