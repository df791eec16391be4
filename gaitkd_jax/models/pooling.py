"""Pooling over time and over horizontal strips."""

import functools

import jax
import jax.numpy as jnp


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

  def number_by_loop(x: jax.Array) -> jax.Array:
    def look(
      best: tuple[jax.Array, jax.Array], t: jax.Array
    ) -> tuple[tuple[jax.Array, jax.Array], None]:
      frame = jax.lax.dynamic_index_in_dim(x, t, 1, keepdims=False)
      higher = frame > best[0]
      return (
        jnp.where(higher, frame, best[0]),
        jnp.where(higher, t.astype(dtype), best[1]),
      ), None

    start = x[:, 0], jnp.zeros(x[:, 0].shape, dtype)
    later = jnp.arange(1, frames, dtype=jnp.int32)
    return jax.lax.scan(look, start, later)[0][1]

  def number(x: jax.Array) -> jax.Array:
    return jnp.argmax(x, axis=1).astype(dtype)

  # XLA's argmax is several times slower on CPU.
  best = jax.lax.platform_dependent(x, cpu=number_by_loop, default=number)
  return jnp.max(x, axis=1), best


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
