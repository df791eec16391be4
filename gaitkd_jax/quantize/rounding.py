"""Rounding to whole numbers, by the derivative that each way of it has.

The value is always that of the hard `round` (half to even, as runtimes for
integers have it), so that a network computes the same in training and where it
is deployed. Only the derivative differs. QGait (arXiv 2405.13859) fine-tunes
with a soft one; its formula is not public, `soft_round` is our reading.
"""

import jax
import jax.numpy as jnp

# The soft derivative is 1 to float32 where the sharpness is less.
_STRAIGHT = 1e-2


@jax.custom_jvp
def round_like(u: jax.Array, soft: jax.Array) -> jax.Array:
  """Rounds `u`, and has the derivative of `soft`.

  Args:
    u: any shape.
    soft: of this shape, a differentiable stand-in for the rounded `u`; its
      value does not matter.

  Returns:
    Whole numbers in the dtype of `u`.
  """
  del soft
  return jnp.round(u)


@round_like.defjvp
def _round_like_jvp(
  primals: tuple[jax.Array, jax.Array], tangents: tuple[jax.Array, jax.Array]
) -> tuple[jax.Array, jax.Array]:
  u, soft = primals
  return round_like(u, soft), tangents[1].astype(u.dtype)


def round_straight(u: jax.Array) -> jax.Array:
  """Rounds, with derivative 1 (the straight-through estimator)."""
  return round_like(u, u)


def soft_round(u: jax.Array, sharpness: jax.Array | float) -> jax.Array:
  """A smooth stair that passes through every whole number.

  With f the part of `u` behind the point and k the sharpness

    floor(u) + 1/2 + tanh(k (f - 1/2)) / (2 tanh(k / 2)),

  whose derivative has mean 1 over every unit interval: `u` itself where k is
  0, `round(u)` where it is infinite. DSQ's stairs (arXiv 1908.05033) have this
  form; see `dsq_round`.

  Args:
    u: any shape.
    sharpness: k, a scalar of 0 or more.

  Returns:
    The stair at `u`.
  """
  k = jnp.asarray(sharpness, u.dtype)
  straight = k < _STRAIGHT
  k = jnp.where(straight, 1.0, k).astype(u.dtype)
  whole = jnp.floor(u)
  rise = jnp.tanh(k * (u - whole - 0.5)) / jnp.tanh(0.5 * k)
  return jnp.where(straight, u, whole + 0.5 * (1.0 + rise))


def round_soft(u: jax.Array, sharpness: jax.Array | float) -> jax.Array:
  """Rounds, with the derivative of `soft_round`.

  k / (2 tanh(k / 2)) sech^2(k (f - 1/2)): half way between two whole numbers
  about k / 2, at a whole number close to 0.
  """
  return round_like(u, soft_round(u, sharpness))


def dsq_round(u: jax.Array, alpha: jax.Array | float) -> jax.Array:
  """DSQ's stair (arXiv 1908.05033), its sharpness learned through `alpha`.

  floor(u) + 1/2 + tanh(k (f - 1/2)) / (2 (1 - alpha)), k = ln(2 / alpha - 1).
  As tanh(k / 2) = 1 - alpha, it is `soft_round` of that sharpness.

  Args:
    u: any shape.
    alpha: how far the stair is from a hard one; a scalar between 0 (hard) and
      1 (straight), 0.2 at the start.

  Returns:
    The stair at `u`.
  """
  # To bfloat16 0.999 is 1, and k 0.
  alpha = jnp.clip(jnp.asarray(alpha, jnp.float32), 1e-3, 0.999)
  whole = jnp.floor(u)
  k = jnp.log(2.0 / alpha - 1.0)
  rise = jnp.tanh(k * (u - whole - 0.5)) / (1.0 - alpha)
  return (whole + 0.5 * (1.0 + rise)).astype(u.dtype)


def round_dsq(u: jax.Array, alpha: jax.Array | float) -> jax.Array:
  """Rounds, with the derivatives of `dsq_round`, also by `alpha`."""
  return round_like(u, dsq_round(u, alpha))


@jax.custom_vjp
def round_ewgs(u: jax.Array, delta: jax.Array | float) -> jax.Array:
  """Rounds; the gradient g becomes g (1 + delta sign(g) (u - round(u))).

  Element-wise gradient scaling (EWGS, arXiv 2104.00903): the gradient grows
  where it pushes `u` on towards the border of its cell. A delta of 0 is
  straight-through.

  Args:
    u: any shape; cells are of width 1.
    delta: a scalar of 0 or more.

  Returns:
    Whole numbers.
  """
  del delta
  return jnp.round(u)


def _ewgs_forward(
  u: jax.Array, delta: jax.Array | float
) -> tuple[jax.Array, tuple[jax.Array, jax.Array]]:
  rounded = jnp.round(u)
  return rounded, (u - rounded, jnp.asarray(delta, u.dtype))


def _ewgs_backward(
  saved: tuple[jax.Array, jax.Array], g: jax.Array
) -> tuple[jax.Array, jax.Array]:
  off, delta = saved
  return g * (1.0 + delta * jnp.sign(g) * off), jnp.zeros_like(delta)


round_ewgs.defvjp(_ewgs_forward, _ewgs_backward)
