"""Steps that values ask for, before any is learned.

Each is a function of values `[..., c]` and a grid to steps: with `axes` all but
those of a kernel's output channels one step a channel, of all axes one step.
"""

from collections.abc import Mapping
from collections.abc import Sequence
from typing import Protocol

import jax
import jax.numpy as jnp

from gaitkd_jax.quantize import rounding
from gaitkd_jax.quantize import uniform

# Of a step, so that none is 0 where all values are.
LEAST = 1e-8
_PERCENT = 99.9
# Fractions of the largest value that may become the largest code.
_FRACTIONS = 64
_SMALLEST = 0.05


class Observer(Protocol):
  """A row of `OBSERVERS`."""

  def __call__(
    self, x: jax.Array, grid: uniform.Grid, axes: Sequence[int]
  ) -> jax.Array:
    """Returns float32 steps, the reduced axes kept with size 1."""


def maximum(x: jax.Array, grid: uniform.Grid, axes: Sequence[int]) -> jax.Array:
  """The largest value becomes the largest code: nothing is clipped."""
  return _step(jnp.max(_size(x, grid), axes, keepdims=True), grid)


def percentile(
  x: jax.Array, grid: uniform.Grid, axes: Sequence[int]
) -> jax.Array:
  """All but one in a thousand values are within the grid.

  Behind a rectifier it is of the positive values: zeros need no step.
  """
  size = _size(x, grid)
  counted = jnp.where(size > 0, size, jnp.nan)
  found = jnp.nanpercentile(counted, _PERCENT, axis=tuple(axes), keepdims=True)
  return _step(jnp.nan_to_num(found), grid)


def least_squares(
  x: jax.Array, grid: uniform.Grid, axes: Sequence[int]
) -> jax.Array:
  """The step, of 64, whose quantised values differ least in the mean square."""
  x = x.astype(jnp.float32)
  full = maximum(x, grid, axes)

  def error(fraction: jax.Array) -> jax.Array:
    near = uniform.quantize(x, fraction * full, grid, rounding.round_straight)
    return jnp.sum(jnp.square(near - x), tuple(axes), keepdims=True)

  fractions = jnp.linspace(_SMALLEST, 1.0, _FRACTIONS)
  # One after another: side by side they would hold 64 copies of a kernel.
  errors = jax.lax.map(error, fractions)
  return jnp.maximum(fractions[jnp.argmin(errors, axis=0)] * full, LEAST)


OBSERVERS: Mapping[str, Observer] = {
  "maximum": maximum,
  "percentile": percentile,
  "least_squares": least_squares,
}


def _size(x: jax.Array, grid: uniform.Grid) -> jax.Array:
  """How far values are from 0, on the sides that the grid has."""
  x = x.astype(jnp.float32)
  return jnp.abs(x) if grid.low else jnp.maximum(x, 0.0)


def _step(highest: jax.Array, grid: uniform.Grid) -> jax.Array:
  return jnp.maximum(highest / grid.high, LEAST)
