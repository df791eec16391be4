"""Sequences of unequal length in one padded batch: which frames are real.

Frames beyond the end of a sequence never change a result. They are left out of
batch statistics and of the pooling over time, and they are zero before every
convolution over time: that is what PyTorch's zero padding puts beyond the ends
of a sequence.
"""

from flax import struct
import jax
import jax.numpy as jnp


@struct.dataclass
class Clips:
  """How frames `[n * s, ...]` make sequences `[n, s, ...]`.

  Feature maps keep their frames merged from the first convolution to the
  pooling over time: a reshape around every convolution would be a copy on a
  TPU, whose memory has the merged axis innermost.

  Attributes:
    frames: the padded length `s`.
    valid: bool `[n, s]`, True for real frames; None if all are real.
  """

  frames: int = struct.field(pytree_node=False)
  valid: jax.Array | None = None

  @property
  def merged_mask(self) -> jax.Array | None:
    """`valid` for merged feature maps: bool `[n * s, 1, 1, 1]`, or None."""
    return None if self.valid is None else self.valid.reshape(-1, 1, 1, 1)

  @property
  def mask(self) -> jax.Array | None:
    """`valid` for feature maps: bool `[n, s, 1, 1, 1]`, or None."""
    return map_mask(self.valid)

  def split(self, x: jax.Array) -> jax.Array:
    """`[n * s, ...]` to `[n, s, ...]`."""
    return x.reshape(-1, self.frames, *x.shape[1:])


def merge(x: jax.Array) -> jax.Array:
  """`[n, s, ...]` to `[n * s, ...]`."""
  return x.reshape(-1, *x.shape[2:])


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


def map_mask(valid: jax.Array | None) -> jax.Array | None:
  """Gives bool `[n, s]` the axes of a feature map: `[n, s, 1, 1, 1]`."""
  return None if valid is None else valid[:, :, None, None, None]


def zero_outside(x: jax.Array, mask: jax.Array | None) -> jax.Array:
  """Zeroes the frames outside `mask`, whatever (even NaN) they hold.

  Args:
    x: `[n, s, ...]`.
    mask: bool, broadcastable to `x`, True where a frame is real; None changes
      nothing.

  Returns:
    An array of the shape and dtype of `x`.
  """
  return x if mask is None else jnp.where(mask, x, jnp.zeros((), x.dtype))
