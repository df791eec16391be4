"""Roundings: their values are all alike, their derivatives are not."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gaitkd_jax.quantize import rounding

SHARPNESS = (0.0, 1e-3, 0.5, 2.0, 5.0, 10.0, 60.0, 1e3)
ALPHAS = (0.0, 1e-3, 0.2, 0.5, 0.99, 1.0)
ROUNDINGS = {
  "straight": rounding.round_straight,
  **{
    f"soft_{k:g}": functools.partial(rounding.round_soft, sharpness=k)
    for k in SHARPNESS
  },
  **{
    f"dsq_{a:g}": functools.partial(rounding.round_dsq, alpha=a) for a in ALPHAS
  },
  **{
    f"ewgs_{d:g}": functools.partial(rounding.round_ewgs, delta=d)
    for d in (0.0, 0.02, 1.0)
  },
}
# Halves, which round to even, their neighbours, and what has no fraction.
VALUES = np.concatenate(
  [
    np.arange(-6, 7) / 2,
    np.nextafter(np.float32(0.5), np.float32([0, 1])),
    np.linspace(-3.3, 3.3, 67),
    [1e9, -1e9, 3e38, -3e38, 1e-38, -1e-38, -0.0],
  ]
)


def slope(function, u):
  """The derivative at every value."""
  return jax.grad(lambda u: jnp.sum(function(u)))(jnp.asarray(u, jnp.float32))


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
@pytest.mark.parametrize("name", ROUNDINGS)
def test_values_are_those_of_round(name, dtype):
  u = jnp.asarray(VALUES, dtype)
  expected = jnp.round(u)
  for function in (ROUNDINGS[name], jax.jit(ROUNDINGS[name])):
    found = function(u)
    assert found.dtype == u.dtype
    np.testing.assert_array_equal(found, expected)
  # Half to even, as runtimes for integers have it.
  halves = ROUNDINGS[name](jnp.array([-1.5, -0.5, 0.5, 1.5, 2.5], dtype))
  np.testing.assert_array_equal(halves, np.array([-2.0, 0.0, 0.0, 2.0, 2.0]))


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
@pytest.mark.parametrize("name", ROUNDINGS)
def test_no_gradient_is_nan(name, dtype):
  u = jnp.asarray(VALUES, dtype)
  for g in (1.0, -1.0, 0.0):
    found = jax.grad(lambda u, g=g: jnp.sum(g * ROUNDINGS[name](u)))(u)
    assert found.dtype == u.dtype
    assert np.isfinite(np.asarray(found, np.float32)).all()


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
@pytest.mark.parametrize("alpha", ALPHAS)
def test_no_gradient_by_alpha_is_nan(alpha, dtype):
  u = jnp.asarray(VALUES[np.abs(VALUES) < 10], dtype)
  g = jax.grad(lambda a: jnp.sum(rounding.round_dsq(u, a).astype(jnp.float32)))
  assert np.isfinite(g(jnp.float32(alpha)))


def test_a_soft_stair_of_no_sharpness_is_straight():
  u = jnp.linspace(-2.7, 2.7, 109)
  for k in (0.0, 1e-6, 1e-2, 2e-2):
    np.testing.assert_allclose(rounding.soft_round(u, k), u, atol=1e-4)
    np.testing.assert_allclose(
      slope(functools.partial(rounding.round_soft, sharpness=k), u),
      np.ones_like(u),
      atol=1e-4,
    )


def test_a_soft_stair_of_endless_sharpness_is_hard():
  u = jnp.linspace(-2.7, 2.7, 109)
  u = u[np.abs(np.asarray(u - jnp.floor(u)) - 0.5) > 0.02]
  for k in (1e3, 1e6):
    np.testing.assert_allclose(
      rounding.soft_round(u, k), jnp.round(u), atol=1e-6
    )
    np.testing.assert_allclose(
      slope(functools.partial(rounding.round_soft, sharpness=k), u),
      np.zeros_like(u),
      atol=1e-6,
    )


def test_a_soft_stair_passes_through_whole_numbers_and_halves():
  u = jnp.arange(-6, 7) / 2
  for k in (0.0, 0.5, 5.0, 60.0):
    np.testing.assert_allclose(rounding.soft_round(u, k), u, atol=1e-6)


@pytest.mark.parametrize("k", [0.0, 0.1, 2.0, 5.0, 10.0, 60.0])
@pytest.mark.parametrize("cell", [-3, 0, 5])
def test_the_mean_gradient_over_a_cell_is_1(k, cell):
  count = 20_000
  u = cell + (np.arange(count) + 0.5) / count
  found = slope(functools.partial(rounding.round_soft, sharpness=k), u)
  mean = np.asarray(found, np.float64).mean()
  np.testing.assert_allclose(mean, 1.0, rtol=1e-4)


@pytest.mark.parametrize(
  "k, half, whole", [(5.0, 2.5339, 0.06738), (10.0, 5.0005, 9.08e-4)]
)
def test_gradients_at_halves_and_whole_numbers(k, half, whole):
  u = np.array([0.5, -2.5, 0.0, 3.0])
  found = slope(functools.partial(rounding.round_soft, sharpness=k), u)
  np.testing.assert_allclose(found, [half, half, whole, whole], rtol=1e-3)
  # And anywhere: k / (2 tanh(k / 2)) sech^2(k (f - 1/2)).
  u = np.linspace(-1.9, 1.9, 39)
  f = u - np.floor(u)
  wanted = k / (2 * np.tanh(k / 2)) / np.cosh(k * (f - 0.5)) ** 2
  found = slope(functools.partial(rounding.round_soft, sharpness=k), u)
  np.testing.assert_allclose(found, wanted, rtol=1e-4, atol=1e-6)


def test_the_gradient_is_that_of_the_stair():
  u = np.linspace(-1.93, 1.93, 40)
  for k in (0.5, 4.0):
    h = 1e-3
    stair = functools.partial(soft_in_float64, k=k)
    wanted = (stair(u + h) - stair(u - h)) / (2 * h)
    found = slope(functools.partial(rounding.round_soft, sharpness=k), u)
    np.testing.assert_allclose(found, wanted, rtol=1e-4, atol=1e-4)


def soft_in_float64(u, k):
  f = u - np.floor(u)
  return np.floor(u) + 0.5 + np.tanh(k * (f - 0.5)) / (2 * np.tanh(k / 2))


@pytest.mark.parametrize("alpha", [0.01, 0.2, 0.5, 0.9])
def test_dsq_is_a_soft_stair(alpha):
  k = np.log(2 / alpha - 1)
  u = np.linspace(-2.2, 2.2, 45)
  found = rounding.dsq_round(jnp.asarray(u, jnp.float32), alpha)
  np.testing.assert_allclose(found, soft_in_float64(u, k), atol=2e-6)
  np.testing.assert_allclose(
    slope(functools.partial(rounding.round_dsq, alpha=alpha), u),
    slope(functools.partial(rounding.round_soft, sharpness=k), u),
    rtol=1e-4,
    atol=1e-6,
  )


@pytest.mark.parametrize("alpha", [0.05, 0.2, 0.7])
def test_the_gradient_by_alpha_is_that_of_finite_differences(alpha):
  u = np.linspace(-1.9, 1.9, 39)
  g = np.random.default_rng(0).normal(size=u.shape)

  def dsq(alpha):  # of the paper, in float64
    f, k = u - np.floor(u), np.log(2 / alpha - 1)
    phi = np.tanh(k * (f - 0.5)) / (1 - alpha)
    return np.sum(g * (np.floor(u) + (phi + 1) / 2))

  h = 1e-5
  found = jax.grad(
    lambda a: jnp.sum(
      jnp.float32(g) * rounding.round_dsq(jnp.asarray(u, jnp.float32), a)
    )
  )(jnp.float32(alpha))
  wanted = (dsq(alpha + h) - dsq(alpha - h)) / (2 * h)
  np.testing.assert_allclose(found, wanted, rtol=1e-4)


def test_ewgs_by_numbers():
  u = jnp.array([0.3, 0.3, -0.2, 1.8, 2.0])
  g = jnp.array([2.0, -2.0, 3.0, -1.0, 5.0])
  found = jax.grad(lambda u: jnp.sum(g * rounding.round_ewgs(u, 0.5)))(u)
  # g (1 + delta sign(g) (u - round(u)))
  wanted = [
    2.0 * (1 + 0.5 * 0.3),
    -2.0 * (1 - 0.5 * 0.3),
    3.0 * (1 - 0.5 * 0.2),
    -1.0 * (1 + 0.5 * 0.2),
    5.0,
  ]
  np.testing.assert_allclose(found, wanted, rtol=1e-6)


def test_ewgs_of_no_delta_is_straight_through():
  u = jnp.asarray(VALUES, jnp.float32)
  g = jax.random.normal(jax.random.key(0), u.shape)
  ewgs, straight = (
    jax.grad(lambda u, f=f: jnp.sum(g * f(u)))(u)
    for f in (
      functools.partial(rounding.round_ewgs, delta=0.0),
      rounding.round_straight,
    )
  )
  np.testing.assert_array_equal(ewgs, straight)
  np.testing.assert_array_equal(straight, g)


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_what_is_traced_is_as_what_is_known(dtype):
  """Under jit, vmap and grad; so a sharpness may follow a schedule."""
  u = jnp.linspace(-1.9, 1.9, 40).astype(dtype)
  pairs = (
    (rounding.round_soft, (0.0, 3.0, 60.0)),
    (rounding.round_dsq, (0.05, 0.2, 0.9)),
    (rounding.round_ewgs, (0.0, 0.02, 0.5)),
  )
  for function, options in pairs:

    def gradient(u, option, function=function):
      return jax.grad(
        lambda u: jnp.sum(function(u, option).astype(jnp.float32))
      )(u)

    traced = jax.jit(jax.vmap(gradient, (None, 0)))(u, jnp.array(options))
    for found, option in zip(traced, options, strict=True):
      np.testing.assert_allclose(
        found.astype(jnp.float32),
        gradient(u, option).astype(jnp.float32),
        rtol=2e-2 if dtype == "bfloat16" else 1e-5,
        atol=1e-4,
      )
