"""Uniform quantisers: whole numbers of steps, as many as some bits hold."""

from collections.abc import Callable
from typing import NamedTuple

import jax
from jax import export
from jax import lax
import jax.numpy as jnp

# From numbers of steps to whole ones; see `rounding`.
Rounding = Callable[[jax.Array], jax.Array]


class Grid(NamedTuple):
  """The codes that some bits can hold: `low` to `high`, both included."""

  low: int
  high: int


def signed(bits: int, half: bool = False) -> Grid:
  """Codes on both sides of 0, as many on each, so that 0 needs no offset.

  Args:
    bits: 2 or more.
    half: whether to stay within 63: processors that sum two products of bytes
      in 16 bits then never overflow. It halves the range of 8 bits only.

  Returns:
    The grid.
  """
  high = 2 ** (bits - 1) - 1
  high = min(high, 63) if half else high
  return Grid(-high, high)


def unsigned(bits: int) -> Grid:
  """Codes from 0 on, for what is behind a rectifier."""
  return Grid(0, 2**bits - 1)


def codes(
  x: jax.Array, step: jax.Array, grid: Grid, rounding: Rounding
) -> jax.Array:
  """The codes of `x`: whole numbers in its dtype.

  The gradient passes where x / step lies within the grid, its borders
  included, and nowhere else.

  Args:
    x: any shape.
    step: positive, broadcastable to `x`.
    grid: the codes.
    rounding: see `Rounding`.

  Returns:
    An array of the shape of `x`.
  """
  u = x / step
  outside = jax.lax.stop_gradient(jnp.clip(u, grid.low, grid.high))
  within = (u >= grid.low) & (u <= grid.high)
  # Not `jnp.clip`: its gradient at a border is a half, and behind a rectifier
  # most values lie on one.
  return rounding(jnp.where(within, u, outside))


def quantize(
  x: jax.Array, step: jax.Array, grid: Grid, rounding: Rounding
) -> jax.Array:
  """Replaces `x` by the nearest of `step * grid`.

  The derivative by `step` is, with R the rounding and u = x / step, R(u) -
  R'(u) u within the grid and its border outside: LSQ's (Esser et al., ICLR
  2020) where R' is 1.

  Args:
    x: any shape.
    step: positive, broadcastable to `x`.
    grid: the codes.
    rounding: see `Rounding`.

  Returns:
    An array of the shape and dtype of `x`.
  """
  return step * codes(x, step, grid, rounding)


@jax.custom_jvp
def scale_gradient(x: jax.Array, factor: float | jax.Array) -> jax.Array:
  """`x`, whose gradient is multiplied by `factor`."""
  del factor
  return x


@scale_gradient.defjvp
def _scale_gradient_jvp(
  primals: tuple[jax.Array, float], tangents: tuple[jax.Array, float]
) -> tuple[jax.Array, jax.Array]:
  x, factor = primals
  return x, tangents[0] * factor


def lsq_factor(values: int, grid: Grid) -> float | jax.Array:
  """LSQ's gradient scale of a step: 1 / sqrt(N Q).

  Args:
    values: N, how many values share the step (of one entry of a batch); may be
      a symbolic number of `jax.export`.
    grid: whose largest code is Q.

  Returns:
    The factor; a scalar array where N is symbolic.
  """
  if export.is_symbolic_dim(values):
    return lax.rsqrt(jnp.asarray(values * grid.high, jnp.float32))
  return float((values * grid.high) ** -0.5)
