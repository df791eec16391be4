"""Pooling over time and over horizontal strips."""

import jax
import jax.numpy as jnp


def frame_mask(lengths: jax.Array | None, frames: int) -> jax.Array | None:
  """Says which frames of a padded batch are real.

  Args:
    lengths: int32 `[n]`, valid frames of each sequence, or None for all.
    frames: the padded length `s`.

  Returns:
    bool `[n, s]`, or None if `lengths` is None.
  """
  if lengths is None:
    return None
  return jnp.arange(frames)[None, :] < lengths[:, None]


def temporal_max(x: jax.Array, mask: jax.Array | None = None) -> jax.Array:
  """The maximum over time (set pooling).

  Args:
    x: `[n, s, ...]`.
    mask: bool `[n, s]`, True for real frames (at least one a sequence), or
      None.

  Returns:
    `[n, ...]`.
  """
  if mask is not None:
    mask = mask.reshape(mask.shape + (1,) * (x.ndim - 2))
    x = jnp.where(mask, x, -jnp.inf)
  return jnp.max(x, axis=1)


def horizontal_pooling(x: jax.Array, parts: int) -> jax.Array:
  """Mean plus maximum of every horizontal strip.

  Horizontal pyramid pooling (Fu et al., AAAI 2019) with one level, as OpenGait
  uses it: the map is cut into `parts` strips of equal height.

  Args:
    x: `[n, h, w, c]`.
    parts: number of strips `p`; must divide `h`.

  Returns:
    `[n, p, c]`, part 0 at the top.
  """
  n, h, w, c = x.shape
  if h % parts:
    raise ValueError(
      f"a feature map of {h} rows cannot be cut into {parts} equal strips; "
      f"give silhouettes whose height is a multiple of {4 * parts}"
    )
  x = x.reshape(n, parts, (h // parts) * w, c)
  return jnp.mean(x, axis=2) + jnp.max(x, axis=2)
