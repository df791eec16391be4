"""Attention within windows, and its gradient."""

import jax
import jax.numpy as jnp


@jax.custom_vjp
def attend(
  q: jax.Array,
  k: jax.Array,
  v: jax.Array,
  bias: jax.Array,
  penalty: jax.Array,
) -> jax.Array:
  """Attention within windows.

  Scores and their softmax are float32, products are of the dtype of `q`, in
  the backward pass, too. That pass keeps the weights in this dtype and nothing
  else that has both axes of tokens.

  Args:
    q: queries `[n, windows, t, heads, d]`, scaled.
    k: keys of this shape.
    v: values of this shape.
    bias: float32 `[heads, t, t]`, added to the scores (query, key).
    penalty: float32 `[m, windows, 1, 1 or t, t]`, added to the scores; m is n
      or 1. It has no gradient.

  Returns:
    `[n, windows, t, heads, d]`.
  """
  return _attend_forward(q, k, v, bias, penalty)[0]


_Attended = tuple[jax.Array, jax.Array, jax.Array, jax.Array]


def _attend_forward(
  q: jax.Array,
  k: jax.Array,
  v: jax.Array,
  bias: jax.Array,
  penalty: jax.Array,
) -> tuple[jax.Array, _Attended]:
  scores = _scores(q, k) + bias[None, None] + penalty
  weights = jax.nn.softmax(scores).astype(q.dtype)
  return _weighted(weights, v), (q, k, v, weights)


def _attend_backward(
  saved: _Attended, g: jax.Array
) -> tuple[jax.Array | None, ...]:
  q, k, v, weights = saved
  transposed = weights.swapaxes(-1, -2)
  weights = weights.astype(jnp.float32)
  d_weights = _scores(g, v)
  mean = jnp.sum(weights * d_weights, axis=-1, keepdims=True)
  d_scores = weights * (d_weights - mean)
  d_bias = jnp.sum(d_scores, axis=(0, 1))
  d_scores = d_scores.astype(q.dtype)
  return (
    _weighted(d_scores, k),
    _weighted(d_scores.swapaxes(-1, -2), q),
    _weighted(transposed, g),
    d_bias,
    None,
  )


attend.defvjp(_attend_forward, _attend_backward)


def _scores(x: jax.Array, y: jax.Array) -> jax.Array:
  """Products of all tokens with one another: float32."""
  return jnp.einsum(
    "nmqhd,nmkhd->nmhqk", x, y, preferred_element_type=jnp.float32
  )


def _weighted(weights: jax.Array, x: jax.Array) -> jax.Array:
  return jnp.einsum("nmhqk,nmkhd->nmqhd", weights, x)
