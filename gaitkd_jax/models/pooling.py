"""Pooling over time and over horizontal strips."""

from collections.abc import Sequence
import functools

import jax
from jax import lax
import jax.numpy as jnp

# The value of the maximum, and the number of its frame.
Maximum = tuple[jax.Array, jax.Array]


def temporal_max(x: jax.Array, mask: jax.Array | None = None) -> jax.Array:
  """The maximum over time (set pooling).

  If several frames equal the maximum, the first one gets the whole gradient, as
  in PyTorch.

  Args:
    x: `[n, s, ...]`.
    mask: bool `[n, s]`, True for real frames, of which every sequence has at
      least one; None if all are real.

  Returns:
    `[n, ...]`.
  """
  if mask is not None:
    mask = mask.reshape(mask.shape + (1,) * (x.ndim - 2))
    x = jnp.where(mask, x, -jnp.inf)
  return _max_over_time(x.shape[1], x)


@functools.partial(jax.custom_vjp, nondiff_argnums=(0,))
def _max_over_time(frames: int, x: jax.Array) -> jax.Array:
  del frames  # the backward pass needs it
  return jnp.max(x, axis=1)


def _max_forward(frames: int, x: jax.Array) -> tuple[jax.Array, jax.Array]:
  # The gradient of `jnp.max` asks which frames equal the maximum. A compiled
  # program may compute a frame a second time, rounded otherwise, and then none
  # does: the gradient is lost. The number of a frame cannot be rounded. The
  # backward pass compares it with every frame's, so it should be narrow.
  dtype = jnp.uint8 if frames <= 256 else jnp.int32
  # XLA's reduction of two arrays is several times slower on CPU.
  return lax.platform_dependent(
    x,
    cpu=functools.partial(maximum_by_loop, dtype),
    default=functools.partial(maximum_by_reduction, dtype),
  )


def maximum_by_loop(dtype: jax.typing.DTypeLike, x: jax.Array) -> Maximum:
  """The maximum of `[n, s, ...]` over `s`, and its first frame's number."""

  def look(best: Maximum, t: jax.Array) -> tuple[Maximum, None]:
    frame = lax.dynamic_index_in_dim(x, t, 1, keepdims=False)
    higher = _higher(frame, best[0])
    return (
      jnp.where(higher, frame, best[0]),
      jnp.where(higher, t.astype(dtype), best[1]),
    ), None

  start = x[:, 0], jnp.zeros(x[:, 0].shape, dtype)
  return lax.scan(look, start, jnp.arange(1, x.shape[1], dtype=jnp.int32))[0]


def maximum_by_reduction(dtype: jax.typing.DTypeLike, x: jax.Array) -> Maximum:
  """The same in one pass of a reduction of two arrays."""

  def choose(a: Maximum, b: Maximum) -> Maximum:
    first = ~_higher(b[0], a[0]) & (a[1] <= b[1])
    first |= _higher(a[0], b[0])
    return jnp.where(first, a[0], b[0]), jnp.where(first, a[1], b[1])

  numbers = lax.broadcasted_iota(dtype, x.shape, 1)
  start = jnp.full((), -jnp.inf, x.dtype), jnp.zeros((), dtype)
  return lax.reduce((x, numbers), start, choose, (1,))


def _higher(a: jax.Array, b: jax.Array) -> jax.Array:
  """Whether `a` takes the place of `b`: NaN takes that of any number."""
  return (a > b) | (jnp.isnan(a) & ~jnp.isnan(b))


def _max_backward(
  frames: int, best: jax.Array, g: jax.Array
) -> tuple[jax.Array]:
  numbers = jnp.arange(frames, dtype=best.dtype)
  numbers = numbers.reshape((1, frames) + (1,) * (g.ndim - 1))
  zero = jnp.zeros((), g.dtype)
  return (jnp.where(numbers == best[:, None], g[:, None], zero),)


_max_over_time.defvjp(_max_forward, _max_backward)


def horizontal_pooling(x: jax.Array, parts: int) -> jax.Array:
  """Mean plus maximum of every horizontal strip.

  Horizontal pyramid pooling (Fu et al., AAAI 2019) with one level, as OpenGait
  uses it: the map is cut into `parts` strips of equal height.

  Args:
    x: `[n, h, w, c]`.
    parts: number of strips `p`; must divide `h`.

  Returns:
    `[n, p, c]`, part 0 at the top.

  Raises:
    ValueError: `parts` does not divide the height.
  """
  n, h, w, c = x.shape
  if h % parts:
    raise ValueError(
      f"a feature map of {h} rows cannot be cut into {parts} equal strips; "
      f"give silhouettes whose height is a multiple of {4 * parts}"
    )
  x = x.reshape(n, parts, (h // parts) * w, c)
  return jnp.mean(x, axis=2) + jnp.max(x, axis=2)


def pyramid_pooling(x: jax.Array, bins: Sequence[int]) -> jax.Array:
  """The strips of all levels of a horizontal pyramid, level by level.

  Args:
    x: `[n, h, w, c]`.
    bins: strips of each level; all must divide `h`.

  Returns:
    `[n, p, c]`, `p` being the sum of `bins`.

  Raises:
    ValueError: see `horizontal_pooling`.
  """
  levels = [horizontal_pooling(x, parts) for parts in bins]
  return levels[0] if len(levels) == 1 else jnp.concatenate(levels, axis=1)
