"""Batch normalisation against its definition."""

import jax
import jax.numpy as jnp
import numpy as np

from gaitkd_jax.models import normalization


def run(x, mask=None, train=True, statistics=(0.0, 1.0)):
  """Normalises with scale 2 and bias 1; returns result and statistics."""
  c = x.shape[-1]
  variables = {
    "params": {"scale": jnp.full(c, 2.0), "bias": jnp.ones(c)},
    "batch_stats": {
      "mean": jnp.full(c, statistics[0]),
      "var": jnp.full(c, statistics[1]),
    },
  }
  out, updated = normalization.BatchNorm().apply(
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


def test_initial_scale():
  scale = normalization.scale_init(jax.random.key(0), (10_000,))
  assert abs(float(scale.mean()) - 1) < 1e-3
  assert abs(float(scale.std()) - 0.02) < 1e-3
