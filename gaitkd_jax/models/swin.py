"""The video Swin transformer of SwinGait (Liu et al., CVPR 2022).

Feature maps are `[n, s, 15, 10, c]`, padded in time to whole windows. Every
sequence is treated as if it came alone: its time axis is rolled, padded and cut
into windows by its own length, so frames beyond never change the others.
"""

import math
from typing import NamedTuple

from flax import linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from gaitkd_jax.models import activations
from gaitkd_jax.models import attention
from gaitkd_jax.models import conv_layer
from gaitkd_jax.models import convolution
from gaitkd_jax.models import padding

WINDOW = (3, 3, 5)  # frames, rows, columns
SHIFT = (1, 1, 2)
HEAD_DIM = 16
_TABLE = math.prod(2 * size - 1 for size in WINDOW)

# PyTorch cuts the normal distribution at 2, a hundred deviations away.
linear_init = nn.initializers.normal(0.02)


class Layout(NamedTuple):
  """How the sequences of a batch lie in time.

  The first axis `m` is the number of sequences, or 1 if all have one length.

  Attributes:
    real: bool `[m, s, 1, 1, 1]`, True for the frames that a sequence has.
    hidden: bool `[m, windows, 1, 1, 45]`, True for keys that no token of the
      window may attend to.
    to_shifted: int32 `[m, s, 1, 1, 1]`, the frame that rolling the sequence
      brings to each place; None if all frames are real, as a plain roll then
      does the same.
    from_shifted: the inverse of `to_shifted`.
    regions: int32 `[m, windows, 45]`, a number for every token. In a rolled map
      only tokens of equal numbers were neighbours before.
  """

  real: jax.Array
  hidden: jax.Array
  to_shifted: jax.Array | None
  from_shifted: jax.Array | None
  regions: jax.Array


def layout(lengths: jax.Array, shape: tuple[int, int, int]) -> Layout:
  """Describes sequences of `lengths` `[m]` in maps of `s, h, w`.

  A sequence of D frames fills ceil(D / 3) windows, with zeros at the end that
  stay visible; one of at most 3 frames has a window of its own length and is
  not rolled in time.
  """
  s, h, w = shape
  t = jnp.arange(s)[None, :]
  length = lengths[:, None]
  whole = -(-length // WINDOW[0]) * WINDOW[0]
  short = length <= WINDOW[0]
  rolled = ~short & (t < whole)
  last = whole - SHIFT[0]
  forward = jnp.where(t < last, t + SHIFT[0], t - last)
  backward = jnp.where(t < SHIFT[0], t + last, t - SHIFT[0])
  # Frames after the last window keep their place, and their windows.
  forward, backward = (
    jnp.where(rolled, index, t)[..., None, None, None]
    for index in (forward, backward)
  )
  in_time = (t >= whole - WINDOW[0]).astype(jnp.int32) + (t >= last)
  in_time = jnp.where(short, 0, in_time)
  rows, columns = (
    np.digitize(np.arange(size), [size - window, size - shift])
    for size, window, shift in zip((h, w), WINDOW[1:], SHIFT[1:], strict=True)
  )
  in_space = 3 * jnp.asarray(rows)[:, None] + jnp.asarray(columns)[None, :]
  regions = 9 * in_time[:, :, None, None] + in_space[None, None]
  hidden = short & (length <= t) & (t < WINDOW[0])
  hidden = jnp.broadcast_to(hidden[:, :, None, None], regions.shape)
  return Layout(
    real=(t < length)[..., None, None, None],
    hidden=_to_windows(hidden[..., None])[:, :, None, None, :, 0],
    to_shifted=forward,
    from_shifted=backward,
    regions=_to_windows(regions[..., None])[..., 0],
  )


class DropPath(nn.Module):
  """Drops a residual branch, drawn for every sequence separately."""

  rate: float

  @nn.compact
  def __call__(self, x: jax.Array, *, train: bool) -> jax.Array:
    """Maps `[n, ...]` to the same shape.

    Training at a rate above 0 draws from the random stream "dropout".
    """
    if not train or self.rate == 0.0:
      return x
    keep = 1.0 - self.rate
    kept = jax.random.bernoulli(
      self.make_rng("dropout"), keep, x.shape[:1] + (1,) * (x.ndim - 1)
    )
    return jnp.where(kept, x / keep, 0.0).astype(x.dtype)


class WindowAttention(nn.Module):
  """Self-attention within windows, with a bias by relative position."""

  dtype: jax.typing.DTypeLike = jnp.float32

  @nn.compact
  def __call__(
    self, x: jax.Array, hidden: jax.Array, regions: jax.Array | None
  ) -> jax.Array:
    """Maps `[n, windows, 45, c]` to the same shape.

    Args:
      x: tokens.
      hidden: see `Layout`.
      regions: see `Layout`; None lets all tokens of a window attend to one
        another.

    Returns:
      The new tokens.
    """
    n, windows, tokens, c = x.shape
    heads = c // HEAD_DIM
    qkv = _linear(3 * c, "qkv", self.dtype)(x)
    qkv = qkv.reshape(n, windows, tokens, 3, heads, HEAD_DIM)
    q, k, v = (qkv[:, :, :, i] for i in range(3))
    table = self.param("bias_table", linear_init, (_TABLE, heads))
    bias = table[relative_index()]  # [query, key, head]
    penalty = jnp.where(hidden, -jnp.inf, 0.0)
    if regions is not None:
      apart = regions[:, :, None, :, None] != regions[:, :, None, None, :]
      # The reference subtracts 100, not infinity.
      penalty += jnp.where(apart, -100.0, 0.0)
    x = attention.attend(
      q * HEAD_DIM**-0.5, k, v, bias.transpose(2, 0, 1), penalty
    )
    return _linear(c, "proj", self.dtype)(x.reshape(n, windows, tokens, c))


class Block(nn.Module):
  """Window attention and a two-layer perceptron, each as a residual."""

  shifted: bool
  drop_path_rate: float
  dtype: jax.typing.DTypeLike = jnp.float32

  @nn.compact
  def __call__(self, x: jax.Array, where: Layout, *, train: bool) -> jax.Array:
    """Maps `[n, s, h, w, c]` to the same shape."""
    _, s, h, w, c = x.shape
    drop_path = DropPath(self.drop_path_rate, name="drop_path")
    y = _layer_norm("norm1", self.dtype)(x)
    # Zeros after the normalisation: as keys they equal the bias of qkv.
    y = padding.zero_outside(y, where.real)
    if self.shifted:
      y = _rolled(y, where.to_shifted, -1)
    y = WindowAttention(self.dtype, name="attention")(
      _to_windows(y), where.hidden, where.regions if self.shifted else None
    )
    y = _from_windows(y, (s, h, w))
    if self.shifted:
      y = _rolled(y, where.from_shifted, 1)
    x = x + drop_path(y, train=train)
    y = _layer_norm("norm2", self.dtype)(x)
    y = activations.gelu(_linear(4 * c, "fc1", self.dtype)(y))
    y = _linear(c, "fc2", self.dtype)(y)
    return x + drop_path(y, train=train)


class Transformer(nn.Module):
  """Patches -> blocks -> twice the width -> blocks.

  Attributes:
    dim: width of the first stage, a multiple of 16, the width of a head.
    blocks: number of blocks of the two stages.
    drop_path_rate: of the last block; it grows linearly from 0 at the first.
    remat: see `SwinGait`.
    dtype: of the computation.
  """

  dim: int
  blocks: tuple[int, ...]
  drop_path_rate: float
  remat: bool = False
  dtype: jax.typing.DTypeLike = jnp.float32

  @nn.compact
  def __call__(
    self,
    x: jax.Array,
    frames: int,
    lengths: jax.Array | None,
    *,
    train: bool,
  ) -> tuple[jax.Array, jax.Array]:
    """Maps `[n * s, 30, 20, c]` to both stages' results.

    Args:
      x: feature maps.
      frames: `s`.
      lengths: int32 `[n]`, or None if all frames are real.
      train: whether to drop paths.

    Returns:
      `[n, s, 15, 10, dim]` and `[n, s, 15, 10, 2 dim]`.
    """
    x = PatchEmbedding(self.dim, self.dtype, name="patch_embed")(x, frames)
    x = x.reshape(-1, frames, *x.shape[1:])
    missing = -frames % WINDOW[0]
    x = jnp.pad(x, ((0, 0), (0, missing), (0, 0), (0, 0), (0, 0)))
    _, s, h, w, _ = x.shape
    if lengths is None:
      where = layout(jnp.array([frames]), (s, h, w))
      where = where._replace(to_shifted=None, from_shifted=None)
    else:
      where = layout(lengths, (s, h, w))

    def run(module: Block, x: jax.Array, where: Layout) -> jax.Array:
      return module(x, where, train=train)

    run = nn.remat(run) if self.remat else run
    rates = iter(np.linspace(0.0, self.drop_path_rate, sum(self.blocks)))
    stages = []
    for stage, count in enumerate(self.blocks):
      if stage:
        x = _layer_norm("downsample_norm", self.dtype)(x)
        x = _linear(2 * self.dim, "downsample", self.dtype, bias=False)(x)
      for i in range(count):
        block = Block(
          shifted=i % 2 == 1,
          drop_path_rate=float(next(rates)),
          dtype=self.dtype,
          name=f"stage{stage}_block{i}",
        )
        x = run(block, x, where)
      stages.append(x[:, :frames])
    return stages[0], _layer_norm("norm", self.dtype)(stages[1])


class PatchEmbedding(nn.Module):
  """One token for every 2 x 2 pixels of a frame."""

  features: int
  dtype: jax.typing.DTypeLike = jnp.float32

  @nn.compact
  def __call__(self, x: jax.Array, frames: int) -> jax.Array:
    """Maps `[n * s, h, w, c]` to `[n * s, h / 2, w / 2, features]`."""
    x = nn.Conv(
      self.features,
      (2, 2),
      strides=2,
      padding=((0, 0),) * 2,
      conv_general_dilated=convolution.for_frames(frames),
      dtype=self.dtype,
      kernel_init=conv_layer.conv_init,
      name="proj",
    )(x)
    return _layer_norm("norm", self.dtype)(x)


def _layer_norm(name: str, dtype: jax.typing.DTypeLike) -> nn.LayerNorm:
  """PyTorch's layer normalisation."""
  return nn.LayerNorm(
    epsilon=1e-5, use_fast_variance=False, dtype=dtype, name=name
  )


def _linear(
  features: int, name: str, dtype: jax.typing.DTypeLike, bias: bool = True
) -> nn.Dense:
  return nn.Dense(
    features, use_bias=bias, dtype=dtype, kernel_init=linear_init, name=name
  )


def _rolled(x: jax.Array, frames: jax.Array | None, sign: int) -> jax.Array:
  """Rolls `[n, s, h, w, c]` by the shift, forwards or backwards.

  Time is rolled as `frames` says (see `Layout`), as a whole where it is None.
  """
  time = 0
  if frames is not None:
    x = jnp.take_along_axis(x, frames, axis=1)
  elif x.shape[1] > WINDOW[0]:
    time = SHIFT[0]
  return jnp.roll(
    x, (sign * time, sign * SHIFT[1], sign * SHIFT[2]), axis=(1, 2, 3)
  )


def _to_windows(x: jax.Array) -> jax.Array:
  """`[n, s, h, w, c]` to `[n, windows, 45, c]`."""
  n, s, h, w, c = x.shape
  a, b, d = WINDOW
  x = x.reshape(n, s // a, a, h // b, b, w // d, d, c)
  x = x.transpose(0, 1, 3, 5, 2, 4, 6, 7)
  return x.reshape(n, -1, math.prod(WINDOW), c)


def _from_windows(x: jax.Array, shape: tuple[int, int, int]) -> jax.Array:
  """The inverse, for `s, h, w`."""
  s, h, w = shape
  a, b, d = WINDOW
  x = x.reshape(x.shape[0], s // a, h // b, w // d, a, b, d, x.shape[-1])
  x = x.transpose(0, 1, 4, 2, 5, 3, 6, 7)
  return x.reshape(x.shape[0], s, h, w, x.shape[-1])


def relative_index() -> np.ndarray:
  """Rows of the bias table, `[query, key]`: by query minus key."""
  axes = np.meshgrid(*map(np.arange, WINDOW), indexing="ij")
  index = np.zeros((math.prod(WINDOW),) * 2, np.int32)
  for axis, size in zip(axes, WINDOW, strict=True):
    offset = axis.reshape(-1, 1) - axis.reshape(1, -1)
    index = index * (2 * size - 1) + offset + size - 1
  return index
