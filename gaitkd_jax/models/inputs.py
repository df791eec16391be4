"""From a batch to the frames that a network works on."""

from collections.abc import Mapping
from typing import NamedTuple

import jax
import jax.numpy as jnp

from gaitkd_jax.models import padding


class Frames(NamedTuple):
  """A padded batch of sequences, as networks take it.

  Attributes:
    pixels: `[n, s, h, w, c]` in the network's dtype, 0 beyond each sequence.
    lengths: int32 `[n]`, valid frames of each sequence; None if all are valid.
    valid: bool `[n, s]`, True for valid frames; None if all are valid.
  """

  pixels: jax.Array
  lengths: jax.Array | None
  valid: jax.Array | None

  @property
  def clips(self) -> padding.Clips:
    """How merged frames make sequences."""
    return padding.Clips(self.pixels.shape[1], self.valid)

  @property
  def merged(self) -> jax.Array:
    """The pixels as `[n * s, h, w, c]`."""
    return padding.merge(self.pixels)


def network_input(
  batch: Mapping[str, jax.Array], in_channels: int
) -> jax.Array:
  """Scales pixels to 0 ... 1 and stacks the modalities that a network takes.

  Args:
    batch: see `stack`.
    in_channels: see there.

  Returns:
    float32 `[n, s, h, w]` for one channel, else `[n, s, h, w, in_channels]`.
  """
  return scale(stack(batch, in_channels))


def stack(batch: Mapping[str, jax.Array], in_channels: int) -> jax.Array:
  """Stacks the modalities that a network takes.

  Args:
    batch: "silhouettes" uint8 `[n, s, h, w]` and, for more than one channel,
      "heatmaps" uint8 `[n, s, h, w, 2]`.
    in_channels: of the network. 1 is silhouettes; 2 heat maps (limb, joint); 3
      heat maps and silhouettes, in this order as in OpenGait.

  Returns:
    uint8 `[n, s, h, w]` for one channel, else `[n, s, h, w, in_channels]`.
  """
  if in_channels == 1:
    return batch["silhouettes"]
  if in_channels == 2:
    return batch["heatmaps"]
  return jnp.concatenate(
    [batch["heatmaps"], batch["silhouettes"][..., None]], axis=-1
  )


def scale(pixels: jax.Array) -> jax.Array:
  """Scales uint8 pixels to float32 in 0 ... 1."""
  return pixels.astype(jnp.float32) / 255.0


def read_frames(
  silhouettes: jax.Array,
  lengths: jax.Array | None,
  in_channels: int,
  dtype: jax.typing.DTypeLike,
) -> Frames:
  """Picks a network's channels and blanks what lies beyond each sequence.

  Args:
    silhouettes: `[n, s, h, w]` or `[n, s, h, w, c]`. A network of one channel
      takes the last of several (the silhouette), one of two channels the first
      two of three (the heat maps).
    lengths: int32 `[n]`, valid frames of each sequence; None if all are valid.
    in_channels: channels of the network.
    dtype: of the computation.

  Returns:
    The frames, with `in_channels` channels.

  Raises:
    ValueError: `silhouettes` has another number of axes or channels.
  """
  x = silhouettes
  if x.ndim == 4:
    x = x[..., None]
  if x.ndim != 5:
    raise ValueError(
      f"silhouettes have shape {silhouettes.shape}; give [n, s, h, w] or "
      "[n, s, h, w, c]"
    )
  if in_channels == 1:
    x = x[..., -1:]
  elif in_channels == 2 and x.shape[-1] == 3:
    x = x[..., :2]
  if x.shape[-1] != in_channels:
    raise ValueError(
      f"silhouettes of shape {silhouettes.shape} have {x.shape[-1]} "
      f"channels; the network takes {in_channels}"
    )
  valid = padding.frame_mask(lengths, x.shape[1])
  mask = padding.map_mask(valid)
  # Multiplying by the mask would not do: NaN times 0 is NaN in a gradient.
  pixels = padding.zero_outside(x.astype(dtype), mask)
  return Frames(pixels, lengths, valid)
