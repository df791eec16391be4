"""Attention against its definition."""

import jax
import jax.numpy as jnp
import numpy as np

from gaitkd_jax.models import attention


def test_attention_and_its_gradient_are_those_of_the_definition():
  keys = jax.random.split(jax.random.key(0), 5)
  q, k, v, g = (
    jax.random.normal(key, (2, 3, 45, 2, 4), jnp.float32) for key in keys[:4]
  )
  bias = jax.random.normal(keys[4], (2, 45, 45))
  penalty = jnp.where(jnp.arange(45) > 40, -jnp.inf, 0.0)
  penalty = jnp.broadcast_to(penalty, (1, 3, 1, 1, 45))

  def literal(q, k, v, bias):
    scores = jnp.einsum("nmqhd,nmkhd->nmhqk", q, k) + bias[None, None] + penalty
    return jnp.einsum("nmhqk,nmkhd->nmqhd", jax.nn.softmax(scores), v)

  def own(q, k, v, bias):
    return attention.attend(q, k, v, bias, penalty)

  expected, expected_pull = jax.vjp(literal, q, k, v, bias)
  out, pull = jax.vjp(own, q, k, v, bias)
  np.testing.assert_allclose(out, expected, rtol=1e-5, atol=1e-5)
  for a, b in zip(pull(g), expected_pull(g), strict=True):
    np.testing.assert_allclose(a, b, rtol=1e-3, atol=1e-4)
