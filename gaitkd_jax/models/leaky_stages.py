"""Stages of convolutions without normalisation, each with a leaky rectifier.

GaitSet, GaitPart, GaitGL and the plain GaitBase are made of them.
"""

import jax
from jax import lax
import jax.numpy as jnp

from gaitkd_jax.models import conv_layer


def max_pool(x: jax.Array) -> jax.Array:
  """The maximum of 2 x 2 pixels: `[..., h, w, c]` to `[..., h/2, w/2, c]`.

  The last row or column of an odd height or width is left out, as in PyTorch.
  """
  for axis in (-3, -2):
    size = x.shape[axis] // 2 * 2
    # Slices instead of a window: its gradient is several times faster on CPU.
    # By `lax`, since indices make a gather where other axes are symbolic.
    x = jnp.maximum(
      lax.slice_in_dim(x, 0, size, 2, axis),
      lax.slice_in_dim(x, 1, size, 2, axis),
    )
  return x


def stage(
  x: jax.Array,
  features: int,
  *,
  name: str,
  dtype: jax.typing.DTypeLike,
  frames: int,
  first_size: int = 3,
  reads_frames: bool = False,
  train: bool = False,
  strips: int = 1,
  pool: bool = False,
) -> jax.Array:
  """Two convolutions of every frame, each with a leaky rectifier.

  To be called in a compact method: the modules `name`_conv1 and `name`_conv2
  become submodules of the caller.

  Args:
    x: `[n * s, h, w, c]`.
    features: width of both convolutions.
    name: of the stage.
    dtype: of the computation.
    frames: `s`.
    reads_frames: whether it is the network's first stage.
    train: whether observed steps of quantisers follow this batch.
    first_size: window of the first convolution; the second has 3 x 3 pixels.
    strips: horizontal strips that are convolved each on its own, with the same
      weights (GaitPart's focal convolution); must divide `h`.
    pool: whether a maximum halves the image at the end.

  Returns:
    `[n * s, h, w, features]`, or half as high and wide.

  Raises:
    ValueError: `strips` does not divide the height.
  """
  _, h, w, c = x.shape
  check_strips(h, strips)
  # Strips are as good as frames: no value moves.
  x = x.reshape(-1, h // strips, w, c)
  for i, size in ((1, first_size), (2, 3)):
    x = conv_layer.ConvLayer(
      features,
      (size, size),
      normalized=False,
      activation="leaky_relu",
      reads_frames=reads_frames and i == 1,
      dtype=dtype,
      name=f"{name}_conv{i}",
    )(x, train=train, frames=frames * strips)
  x = x.reshape(-1, h, w, features)
  return max_pool(x) if pool else x


def check_widths(channels: tuple[int, ...], variant: str) -> None:
  """Refuses a number of widths that is not the variant's.

  Raises:
    ValueError: the variant "large" has not four, or another one not three.
  """
  wanted = 4 if variant == "large" else 3
  if len(channels) != wanted:
    raise ValueError(f"variant {variant} has {wanted} channels, not {channels}")


def check_strips(height: int, strips: int) -> None:
  """Refuses strips of unequal height.

  Raises:
    ValueError: `strips` does not divide `height`.
  """
  if height % strips:
    raise ValueError(
      f"a feature map of {height} rows cannot be cut into {strips} equal "
      "strips; give silhouettes of 64 rows"
    )
