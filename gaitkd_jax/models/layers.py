"""Convolutions, residual blocks and stages on frames `[n, s, h, w, c]`.

Blocks are 2-D, pseudo-3-D or 3-D. All that mixes frames, or takes statistics
over them, has an argument `mask`, bool `[n, s, 1, 1, 1]` or None: True where a
frame is real; see `padding`.
"""

from flax import linen as nn
import jax
import jax.numpy as jnp

from gaitkd_jax.models import convolution
from gaitkd_jax.models import normalization
from gaitkd_jax.models import padding

conv_init = nn.initializers.xavier_uniform()
# In space, of the four stages of residual networks.
STRIDES = (1, 2, 2, 1)


class SpatialConv(nn.Module):
  """A bias-free convolution of every frame on its own."""

  features: int
  kernel_size: int = 3
  stride: int = 1
  dtype: jnp.dtype = jnp.float32

  @nn.compact
  def __call__(self, x: jax.Array) -> jax.Array:
    """Maps `[n, s, h, w, c]` to `[n, s, h', w', features]`."""
    # PyTorch pads both sides, also at stride 2, where "SAME" would not.
    pad = self.kernel_size // 2
    return nn.Conv(
      self.features,
      (self.kernel_size,) * 2,
      strides=self.stride,
      padding=((pad, pad),) * 2,
      use_bias=False,
      conv_general_dilated=convolution.for_frames(x.shape[1]),
      dtype=self.dtype,
      kernel_init=conv_init,
      name="conv",
    )(x)


class TemporalConv(nn.Module):
  """A bias-free (3, 1, 1) convolution over time, lowered to two dimensions.

  `[n, s, h, w, c]` is seen as an image `[n, s, h * w, c]` under a (3, 1)
  kernel: the same sums as the 3-D convolution, but compilers and quantisers
  have fast 2-D kernels.

  Attributes:
    features: width of the result.
    stride: 1 keeps the length, with zeros beyond both ends; 3 makes one frame
      of every three, and drops the rest.
    dtype: of the computation.
  """

  features: int
  stride: int = 1
  dtype: jnp.dtype = jnp.float32

  @nn.compact
  def __call__(self, x: jax.Array, mask: jax.Array | None) -> jax.Array:
    """Maps `[n, s, h, w, c]` to `[n, s / stride, h, w, features]`."""
    n, s, h, w, c = x.shape
    pad = 1 if self.stride == 1 else 0
    x = padding.zero_outside(x, mask).reshape(n, s, h * w, c)
    x = nn.Conv(
      self.features,
      (3, 1),
      strides=(self.stride, 1),
      padding=((pad, pad), (0, 0)),
      use_bias=False,
      conv_general_dilated=convolution.for_frames(1),
      dtype=self.dtype,
      kernel_init=conv_init,
      name="conv",
    )(x)
    return x.reshape(n, -1, h, w, self.features)


class SpatioTemporalConv(nn.Module):
  """A bias-free 3 x 3 x 3 convolution, strided in space only."""

  features: int
  stride: int = 1
  dtype: jnp.dtype = jnp.float32

  @nn.compact
  def __call__(self, x: jax.Array, mask: jax.Array | None) -> jax.Array:
    """Maps `[n, s, h, w, c]` to `[n, s, h', w', features]`."""
    return nn.Conv(
      self.features,
      (3, 3, 3),
      strides=(1, self.stride, self.stride),
      padding=((1, 1),) * 3,
      use_bias=False,
      conv_general_dilated=convolution.for_clips,
      dtype=self.dtype,
      kernel_init=conv_init,
      name="conv",
    )(padding.zero_outside(x, mask))


class Block(nn.Module):
  """A residual block.

  Called as `block(x, train=..., mask=...)`, it maps `[n, s, h, w, c]` to
  `[n, s, h', w', features]`.

  Attributes:
    features: width of the result.
    stride: in space, of the first convolution and of the shortcut.
    dtype: of the computation.
  """

  features: int
  stride: int = 1
  dtype: jnp.dtype = jnp.float32


class BasicBlock2D(Block):
  """The basic residual block, on every frame."""

  @nn.compact
  def __call__(
    self, x: jax.Array, *, train: bool, mask: jax.Array | None = None
  ) -> jax.Array:
    """See `Block`."""
    y = SpatialConv(
      self.features, stride=self.stride, dtype=self.dtype, name="conv1"
    )(x)
    y = nn.relu(_norm(self, "bn1")(y, train=train, mask=mask))
    y = SpatialConv(self.features, dtype=self.dtype, name="conv2")(y)
    y = _norm(self, "bn2")(y, train=train, mask=mask)
    return nn.relu(y + _shortcut(self, x, train, mask))


class P3DBlock(Block):
  """The pseudo-3-D block of DeepGaitV2: space, then time as a residual."""

  @nn.compact
  def __call__(
    self, x: jax.Array, *, train: bool, mask: jax.Array | None = None
  ) -> jax.Array:
    """See `Block`."""
    y = SpatialConv(
      self.features, stride=self.stride, dtype=self.dtype, name="conv1"
    )(x)
    y = nn.relu(_norm(self, "bn1")(y, train=train, mask=mask))
    t = TemporalConv(self.features, dtype=self.dtype, name="temporal")(y, mask)
    y = nn.relu(y + _norm(self, "temporal_bn")(t, train=train, mask=mask))
    y = SpatialConv(self.features, dtype=self.dtype, name="conv2")(y)
    y = _norm(self, "bn2")(y, train=train, mask=mask)
    return nn.relu(y + _shortcut(self, x, train, mask))


class BasicBlock3D(Block):
  """The basic residual block with 3 x 3 x 3 convolutions."""

  @nn.compact
  def __call__(
    self, x: jax.Array, *, train: bool, mask: jax.Array | None = None
  ) -> jax.Array:
    """See `Block`."""
    y = SpatioTemporalConv(
      self.features, stride=self.stride, dtype=self.dtype, name="conv1"
    )(x, mask)
    y = nn.relu(_norm(self, "bn1")(y, train=train, mask=mask))
    y = SpatioTemporalConv(self.features, dtype=self.dtype, name="conv2")(
      y, mask
    )
    y = _norm(self, "bn2")(y, train=train, mask=mask)
    return nn.relu(y + _shortcut(self, x, train, mask))


def stem(
  x: jax.Array,
  features: int,
  *,
  name: str,
  dtype: jnp.dtype,
  train: bool,
  mask: jax.Array | None,
) -> jax.Array:
  """Convolution, normalisation and rectifier in front of the first stage.

  To be called in a compact method: the modules `name` and `name`_bn become
  submodules of the caller.
  """
  x = SpatialConv(features, dtype=dtype, name=name)(x)
  x = normalization.BatchNorm(dtype=dtype, name=f"{name}_bn")(
    x, train=train, mask=mask
  )
  return nn.relu(x)


def stage(
  x: jax.Array,
  features: int,
  count: int,
  *,
  block: type[Block],
  stride: int,
  name: str,
  dtype: jnp.dtype,
  train: bool,
  mask: jax.Array | None,
  remat: bool = False,
) -> jax.Array:
  """Applies `count` blocks, of which the first may be strided.

  To be called in a compact method: the modules `name`_block0, `name`_block1,
  ... become submodules of the caller.

  Args:
    x: `[n, s, h, w, c]`.
    features: width of all blocks.
    count: number of blocks; none returns `x`.
    block: their type.
    stride: of the first one.
    name: of the stage.
    dtype: of the computation.
    train: whether normalisations use the statistics of this batch.
    mask: see the module's docstring.
    remat: whether a backward pass computes the inside of a block once more
      instead of keeping it.

  Returns:
    `[n, s, h', w', features]`.
  """

  def run(module: Block, x: jax.Array, mask: jax.Array | None) -> jax.Array:
    return module(x, train=train, mask=mask)

  for i in range(count):
    module = block(
      features,
      stride=stride if i == 0 else 1,
      dtype=dtype,
      name=f"{name}_block{i}",
    )
    x = (nn.remat(run) if remat else run)(module, x, mask)
  return x


def _norm(block: Block, name: str) -> normalization.BatchNorm:
  return normalization.BatchNorm(dtype=block.dtype, name=name)


def _shortcut(
  block: Block, x: jax.Array, train: bool, mask: jax.Array | None
) -> jax.Array:
  """The identity, or a strided 1 x 1 convolution where the shape changes."""
  if block.stride == 1 and x.shape[-1] == block.features:
    return x
  # A strided 1 x 1 convolution reads every second pixel: taking those first
  # leaves a plain product, whose gradients are several times faster on CPU.
  x = x[:, :, :: block.stride, :: block.stride]
  x = SpatialConv(
    block.features, kernel_size=1, dtype=block.dtype, name="shortcut"
  )(x)
  return _norm(block, "shortcut_bn")(x, train=train, mask=mask)
