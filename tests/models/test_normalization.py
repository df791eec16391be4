"""Batch normalisation against its definition."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gaitkd_jax.models import normalization


def run(x, mask=None, train=True, statistics=(0.0, 1.0), rectified=False):
  """Normalises with scale 2 and bias 1; returns result and statistics."""
  c = x.shape[-1]
  variables = {
    "params": {"scale": jnp.full(c, 2.0), "bias": jnp.ones(c)},
    "batch_stats": {
      "mean": jnp.full(c, statistics[0]),
      "var": jnp.full(c, statistics[1]),
    },
  }
  out, updated = normalization.BatchNorm(c, rectified).apply(
    variables, x, train=train, mask=mask, mutable=["batch_stats"]
  )
  return out, updated["batch_stats"]


def test_statistics_are_pytorchs():
  x = 3.0 + jax.random.normal(jax.random.key(0), (4, 5, 2))
  out, statistics = run(x)
  values = np.asarray(x, np.float64).reshape(20, 2)
  mean, var = values.mean(axis=0), values.var(axis=0)
  expected = 2 * (values - mean) / np.sqrt(var + 1e-5) + 1
  np.testing.assert_allclose(out.reshape(20, 2), expected, atol=1e-4)
  np.testing.assert_allclose(statistics["mean"], 0.1 * mean, rtol=1e-5)
  # The running variance is the unbiased one.
  np.testing.assert_allclose(
    statistics["var"], 0.9 + 0.1 * var * 20 / 19, rtol=1e-5
  )


def test_masked_positions_do_not_count():
  x = jax.random.normal(jax.random.key(0), (3, 4, 2, 2))
  mask = jnp.array([[True, True, False, False]] * 2 + [[True] * 4])
  spoilt = jnp.where(mask[..., None, None], x, jnp.nan)
  out, statistics = run(spoilt, mask[..., None, None])
  kept = x[mask][None]
  expected, expected_statistics = run(kept)
  np.testing.assert_allclose(out[mask], expected[0], rtol=1e-5, atol=1e-5)
  for key, value in expected_statistics.items():
    np.testing.assert_allclose(statistics[key], value, rtol=1e-5)


def test_evaluation_uses_and_keeps_running_statistics():
  x = jnp.array([[1.0], [5.0]])
  out, statistics = run(x, train=False, statistics=(1.0, 4.0))
  np.testing.assert_allclose(out[:, 0], [1.0, 5.0], rtol=1e-5)
  assert statistics["mean"] == 1 and statistics["var"] == 4


def literal(x, scale, bias, mask, rectified):
  """Normalisation by float32 moments, differentiated by JAX."""
  axes = tuple(range(x.ndim - 1))
  share = mask / jnp.sum(jnp.broadcast_to(mask, x.shape[:-1] + (1,)))
  mean = jnp.sum(share * x, axes, keepdims=True)
  var = jnp.sum(share * jnp.square(x - mean), axes, keepdims=True)
  y = (x - mean) * jax.lax.rsqrt(var + 1e-5)
  y = y * scale.reshape(mean.shape) + bias.reshape(mean.shape)
  return jnp.where(mask, jnp.maximum(y, 0) if rectified else y, 0)


@pytest.mark.parametrize("rectified", [False, True])
@pytest.mark.parametrize("masked", [False, True])
def test_gradient_is_that_of_the_definition(masked, rectified):
  keys = jax.random.split(jax.random.key(0), 4)
  x = 2.0 + jax.random.normal(keys[0], (3, 4, 5, 2))
  scale, bias = jax.random.normal(keys[1], (2, 2))
  g = jax.random.normal(keys[2], x.shape)
  mask = jnp.ones((3, 4, 1, 1), bool)
  if masked:
    mask = mask.at[1, 2:].set(False)

  def own(x, scale, bias):
    variables = {
      "params": {"scale": scale, "bias": bias},
      "batch_stats": {"mean": jnp.zeros(2), "var": jnp.ones(2)},
    }
    y, _ = normalization.BatchNorm(2, rectified).apply(
      variables, x, train=True, mask=mask, mutable=["batch_stats"]
    )
    return jnp.sum(y * g)  # also of what lies outside the mask

  def expected(x, scale, bias):
    return jnp.sum(literal(x, scale, bias, mask, rectified) * g)

  arguments = (x, scale, bias)
  found = jax.grad(own, (0, 1, 2))(*arguments)
  wanted = jax.grad(expected, (0, 1, 2))(*arguments)
  for a, b in zip(found, wanted, strict=True):
    np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5)
  # What lies outside the mask, even NaN, has no influence.
  spoilt = jnp.where(mask, x, jnp.nan)
  for a, b in zip(
    jax.grad(own, (0, 1, 2))(spoilt, scale, bias), wanted, strict=True
  ):
    np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5)


def held(x, scale, bias, mask, rectified, holds):
  """Training with statistics that may be held; returns also the next ones."""
  variables = {
    "params": {"scale": scale, "bias": bias},
    "batch_stats": {
      "mean": jnp.array([0.5, -1.0]),
      "var": jnp.array([4.0, 0.25]),
    },
  }
  flag = None if holds is None else jnp.asarray(holds)
  y, updated = normalization.BatchNorm(2, rectified).apply(
    variables, x, train=True, mask=mask, held=flag, mutable=["batch_stats"]
  )
  return y, updated["batch_stats"], variables["batch_stats"]


@pytest.mark.parametrize("rectified", [False, True])
@pytest.mark.parametrize("masked", [False, True])
def test_held_statistics_are_constants(masked, rectified):
  keys = jax.random.split(jax.random.key(0), 4)
  x = 2.0 + jax.random.normal(keys[0], (3, 4, 5, 2))
  scale, bias = jax.random.normal(keys[1], (2, 2))
  g = jax.random.normal(keys[2], x.shape)
  mask = None
  if masked:
    mask = jnp.ones((3, 4, 1, 1), bool).at[1, 2:].set(False)

  def plain(x, scale, bias):
    y = (x - jnp.array([[[[0.5, -1.0]]]])) / jnp.sqrt(
      jnp.array([[[[4.0, 0.25]]]]) + 1e-5
    )
    y = y * scale.reshape(1, 1, 1, 2) + bias.reshape(1, 1, 1, 2)
    y = jnp.maximum(y, 0) if rectified else y
    return y if mask is None else jnp.where(mask, y, 0)

  def own(holds):
    def value(x, scale, bias):
      y = held(x, scale, bias, mask, rectified, holds)[0]
      return y if mask is None else jnp.where(mask, y, 0)

    return value

  arguments = (x, scale, bias)

  def gradients(function):
    return jax.grad(lambda *a: jnp.sum(function(*a) * g), (0, 1, 2))(*arguments)

  np.testing.assert_allclose(
    own(True)(*arguments), plain(*arguments), rtol=1e-5, atol=1e-6
  )
  for a, b in zip(gradients(own(True)), gradients(plain), strict=True):
    np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5)
  _, after, before = held(*arguments, mask, rectified, True)
  jax.tree.map(np.testing.assert_array_equal, after, before)
  # Where they are not held yet, it is as if nobody had asked.
  np.testing.assert_array_equal(own(False)(*arguments), own(None)(*arguments))
  for a, b in zip(gradients(own(False)), gradients(own(None)), strict=True):
    np.testing.assert_allclose(a, b, rtol=1e-6, atol=1e-6)
  jax.tree.map(
    lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-6),
    held(*arguments, mask, rectified, False)[1],
    held(*arguments, mask, rectified, None)[1],
  )


def test_held_statistics_are_those_of_an_evaluation():
  x = jax.random.normal(jax.random.key(0), (3, 4, 5, 2))
  scale, bias = jnp.array([2.0, -1.0]), jnp.array([0.5, 0.25])
  y, _, statistics = held(x, scale, bias, None, True, True)
  evaluated = normalization.BatchNorm(2, True).apply(
    {"params": {"scale": scale, "bias": bias}, "batch_stats": statistics},
    x,
    train=False,
  )
  np.testing.assert_array_equal(y, evaluated)


def test_a_flag_that_is_traced_holds_from_its_step_on():
  x = jax.random.normal(jax.random.key(0), (3, 4, 5, 2))
  scale, bias = jnp.ones(2), jnp.zeros(2)
  call = jax.jit(lambda holds: held(x, scale, bias, None, False, holds))
  for holds in (False, True):
    y, after, before = call(holds)
    changed = np.asarray(after["mean"]) != np.asarray(before["mean"])
    assert changed.all() != holds
    np.testing.assert_allclose(
      y, held(x, scale, bias, None, False, holds)[0], rtol=1e-5, atol=1e-6
    )
  assert call._cache_size() == 1


@pytest.mark.parametrize("shift", [0.0, 3.0, 30.0])
@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_moments_against_float64(shift, dtype):
  x = shift + jax.random.normal(jax.random.key(0), (64, 30, 20, 4))
  x = x.astype(dtype)
  mean, var, count = normalization.moments(x)
  exact = np.asarray(x, np.float64)
  square = np.square(exact.mean((0, 1, 2)))
  variance = exact.var((0, 1, 2))
  # The bound of the docstring; a second pass does not cancel.
  error = 1e-6 * (variance + (square if dtype == "bfloat16" else 0.0))
  assert count == 64 * 30 * 20
  np.testing.assert_allclose(mean, exact.mean((0, 1, 2)), rtol=1e-5, atol=1e-6)
  assert (np.abs(np.asarray(var, np.float64) - variance) <= error).all()


def test_bfloat16_is_close_to_float32():
  x = 1.0 + jax.random.normal(jax.random.key(0), (16, 30, 20, 4))
  exact, statistics = run(x, rectified=True)
  out, own = run(x.astype(jnp.bfloat16), rectified=True)
  assert out.dtype == jnp.bfloat16
  np.testing.assert_allclose(
    out.astype(jnp.float32), exact, rtol=2e-2, atol=4e-2
  )
  for key, value in statistics.items():
    np.testing.assert_allclose(own[key], value, rtol=1e-3, atol=1e-3)


def test_initial_scale():
  scale = normalization.scale_init(jax.random.key(0), (10_000,))
  assert abs(float(scale.mean()) - 1) < 1e-3
  assert abs(float(scale.std()) - 0.02) < 1e-3
