"""Directions of embeddings, and products and distances between them."""

import jax
import jax.numpy as jnp


def unit(x: jax.Array) -> jax.Array:
  """Vectors along the last axis at length 1, in float32.

  A vector shorter than 1e-12 becomes 0 without a gradient.
  """
  x = x.astype(jnp.float32)
  square = jnp.sum(jnp.square(x), axis=-1, keepdims=True)
  seen = square > 1e-24
  return x * jnp.where(seen, jax.lax.rsqrt(jnp.where(seen, square, 1.0)), 0.0)


def products(left: jax.Array, right: jax.Array) -> jax.Array:
  """Inner products of every pair, part by part.

  Args:
    left: `[n, p, d]`.
    right: `[m, p, d]`.

  Returns:
    float32 `[p, n, m]`.
  """
  # A reduced-precision product would drown small differences.
  return jnp.einsum(
    "ipd,jpd->pij",
    left.astype(jnp.float32),
    right.astype(jnp.float32),
    precision=jax.lax.Precision.HIGHEST,
  )


def distances(x: jax.Array) -> jax.Array:
  """Euclidean distances of every pair, part by part.

  Embeddings that coincide are at distance 0 without a gradient.

  Args:
    x: `[n, p, d]`.

  Returns:
    float32 `[p, n, n]`.
  """
  x = jnp.swapaxes(x, 0, 1).astype(jnp.float32)
  # Differences, not the expanded square: close clips would lose their digits.
  square = jnp.sum(jnp.square(x[:, :, None] - x[:, None, :]), axis=-1)
  apart = square > 0.0
  return jnp.where(apart, jnp.sqrt(jnp.where(apart, square, 1.0)), 0.0)


def huber(x: jax.Array, delta: float = 1.0) -> jax.Array:
  """`x^2 / 2` up to `delta`, then linear with slope `delta`."""
  size = jnp.abs(x)
  short = jnp.minimum(size, delta)
  return short * (size - 0.5 * short)


def masked_mean(x: jax.Array, mask: jax.Array) -> jax.Array:
  """The mean of `x` where `mask`; 0 where nothing is."""
  total = jnp.sum(jnp.where(mask, x, 0.0))
  return total / jnp.maximum(jnp.sum(mask, dtype=jnp.float32), 1.0)
