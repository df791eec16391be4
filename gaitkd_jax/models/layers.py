"""Residual blocks and stages on merged frames `[n * s, h, w, c]`.

Blocks are 2-D, pseudo-3-D or 3-D. All of them take `clips`, which says how the
frames make sequences and which of them are real; see `padding`.
"""

from collections.abc import Callable

from flax import linen as nn
import jax
import jax.numpy as jnp

from gaitkd_jax.models import conv_layer
from gaitkd_jax.models import padding
from gaitkd_jax.models import quantizers

# In space, of the four stages of residual networks.
STRIDES = (1, 2, 2, 1)


class Block(nn.Module):
  """A residual block.

  Called as `block(x, clips, train=...)`, it maps `[n * s, h, w, c]` to
  `[n * s, h', w', features]`.

  Attributes:
    features: width of the result.
    stride: in space, of the first convolution and of the shortcut.
    dtype: of the computation.
  """

  features: int
  stride: int = 1
  dtype: jax.typing.DTypeLike = jnp.float32


class BasicBlock2D(Block):
  """The basic residual block, on every frame."""

  @nn.compact
  def __call__(
    self, x: jax.Array, clips: padding.Clips, *, train: bool
  ) -> jax.Array:
    """See `Block`."""
    y = _spatial(self, "conv1", x, clips, train, self.stride, "relu")
    y = _spatial(self, "conv2", y, clips, train)
    return _rectified_sum(y, _shortcut(self, x, clips, train), train)


class P3DBlock(Block):
  """The pseudo-3-D block of DeepGaitV2: space, then time as a residual."""

  @nn.compact
  def __call__(
    self, x: jax.Array, clips: padding.Clips, *, train: bool
  ) -> jax.Array:
    """See `Block`."""
    y = _spatial(self, "conv1", x, clips, train, self.stride, "relu")
    layer = conv_layer.ConvLayer(
      self.features, (3, 1), dtype=self.dtype, name="temporal"
    )

    def residual(image: jax.Array, mask: jax.Array | None) -> jax.Array:
      y = layer(image, train=train, mask=mask)
      return _rectified_sum(image, y, train, "temporal_sum")

    y = padding.merge(over_time(residual, clips.split(y), clips))
    y = _spatial(self, "conv2", y, clips, train)
    return _rectified_sum(y, _shortcut(self, x, clips, train), train)


class BasicBlock3D(Block):
  """The basic residual block with 3 x 3 x 3 convolutions."""

  @nn.compact
  def __call__(
    self, x: jax.Array, clips: padding.Clips, *, train: bool
  ) -> jax.Array:
    """See `Block`."""
    y = x
    for name, stride, activation in (
      ("conv1", self.stride, "relu"),
      ("conv2", 1, "none"),
    ):
      layer = conv_layer.ConvLayer(
        self.features,
        (3, 3, 3),
        (1, stride, stride),
        activation=activation,
        dtype=self.dtype,
        name=name,
      )
      y = padding.zero_outside(clips.split(y), clips.mask)
      y = padding.merge(layer(y, train=train, mask=clips.mask))
    return _rectified_sum(y, _shortcut(self, x, clips, train), train)


def over_time(
  function: Callable[[jax.Array, jax.Array | None], jax.Array],
  x: jax.Array,
  clips: padding.Clips,
) -> jax.Array:
  """Applies a convolution with a window of (t, 1) to time.

  `[n, s, h, w, c]` is seen as an image `[n, s, h * w, c]`: the same sums as
  those of a 3-D convolution, but compilers and quantisers have fast 2-D
  kernels.

  Args:
    function: what to apply, to `[n, s, h * w, c]` and its mask, bool
      `[n, s, 1, 1]` or None.
    x: `[n, s, h, w, c]`.
    clips: which frames are real; the others are zero to them.

  Returns:
    `[n, s', h, w, c']`, if the function returns `[n, s', h * w, c']`.
  """
  n, s, h, w, c = x.shape
  x = padding.zero_outside(x, clips.mask).reshape(n, s, h * w, c)
  mask = None if clips.valid is None else clips.valid[:, :, None, None]
  x = function(x, mask)
  return x.reshape(n, -1, h, w, x.shape[-1])


def stem(
  x: jax.Array,
  clips: padding.Clips,
  features: int,
  *,
  name: str,
  dtype: jax.typing.DTypeLike,
  train: bool,
) -> jax.Array:
  """Convolution, normalisation and rectifier in front of the first stage.

  To be called in a compact method: the module `name` becomes a submodule of
  the caller.

  Args:
    x: `[n * s, h, w, c]`.
    clips: see the module's docstring.
    features: width of the result.
    name: of the layer.
    dtype: of the computation.
    train: whether the normalisation uses the statistics of this batch.

  Returns:
    `[n * s, h, w, features]`.
  """
  layer = conv_layer.ConvLayer(
    features, activation="relu", reads_frames=True, dtype=dtype, name=name
  )
  return layer(x, train=train, mask=clips.merged_mask, frames=clips.frames)


def stage(
  x: jax.Array,
  clips: padding.Clips,
  features: int,
  count: int,
  *,
  block: type[Block],
  stride: int,
  name: str,
  dtype: jax.typing.DTypeLike,
  train: bool,
  remat: bool = False,
) -> jax.Array:
  """Applies `count` blocks, of which the first may be strided.

  To be called in a compact method: the modules `name`_block0, `name`_block1,
  ... become submodules of the caller.

  Args:
    x: `[n * s, h, w, c]`.
    clips: see the module's docstring.
    features: width of all blocks.
    count: number of blocks; none returns `x`.
    block: their type.
    stride: of the first one.
    name: of the stage.
    dtype: of the computation.
    train: whether normalisations use the statistics of this batch.
    remat: whether a backward pass computes the inside of a block once more
      instead of keeping it.

  Returns:
    `[n * s, h', w', features]`.
  """

  def run(module: Block, x: jax.Array, clips: padding.Clips) -> jax.Array:
    return module(x, clips, train=train)

  for i in range(count):
    module = block(
      features,
      stride=stride if i == 0 else 1,
      dtype=dtype,
      name=f"{name}_block{i}",
    )
    x = (nn.remat(run) if remat else run)(module, x, clips)
  return x


def _rectified_sum(
  x: jax.Array, y: jax.Array, train: bool, name: str = "sum"
) -> jax.Array:
  """The sum behind a rectifier, as further layers read it."""
  return quantizers.activation(
    nn.relu(x + y), rectified=True, name=name, train=train
  )


def _spatial(
  block: Block,
  name: str,
  x: jax.Array,
  clips: padding.Clips,
  train: bool,
  stride: int = 1,
  activation: str = "none",
) -> jax.Array:
  """A 3 x 3 layer of a block, on every frame."""
  layer = conv_layer.ConvLayer(
    block.features,
    strides=(stride, stride),
    activation=activation,
    dtype=block.dtype,
    name=name,
  )
  return layer(x, train=train, mask=clips.merged_mask, frames=clips.frames)


def _shortcut(
  block: Block, x: jax.Array, clips: padding.Clips, train: bool
) -> jax.Array:
  """The identity, or a strided 1 x 1 convolution where the shape changes."""
  if block.stride == 1 and x.shape[-1] == block.features:
    return x
  layer = conv_layer.ConvLayer(
    block.features,
    (1, 1),
    (block.stride, block.stride),
    dtype=block.dtype,
    name="shortcut",
  )
  return layer(x, train=train, mask=clips.merged_mask, frames=clips.frames)
