"""GaitPart (Fan et al., CVPR 2020)."""

from collections.abc import Mapping
import functools

from flax import linen as nn
import jax
import jax.numpy as jnp

from gaitkd_jax.models import blocks
from gaitkd_jax.models import heads
from gaitkd_jax.models import part_network
from gaitkd_jax.models import plain
from gaitkd_jax.models import pooling

# Strips of the focal convolutions, and whether the image is halved, by stage.
STAGES: Mapping[str, tuple[tuple[int, bool], ...]] = {
  "casiab": ((1, True), (4, True), (8, False)),
  "large": ((1, True), (1, True), (8, False), (8, False)),
}
_PARTS = 16
_SQUEEZE = 4


class GaitPart(nn.Module):
  """Focal convolutions, then short-range motion of every part.

  Attributes:
    channels: widths of the stages: three, or four of the large variant.
    embedding_dim: width `d` of a part's embedding.
    variant: "casiab", or "large" (of OU-MVLP and GREW).
    in_channels: channels of the input.
    dtype: of the computation; parameters and results are float32.
  """

  channels: tuple[int, ...] = (32, 64, 128)
  embedding_dim: int = 128
  variant: str = "casiab"
  in_channels: int = 1
  dtype: jnp.dtype = jnp.float32

  def __post_init__(self):
    plain.check_widths(self.channels, self.variant)
    super().__post_init__()

  @property
  def bins(self) -> tuple[int, ...]:
    """Strips of equal height that the parts are, level by level."""
    return (_PARTS,)

  @property
  def temporal(self) -> bool:
    """Whether the order of frames matters."""
    return True

  @nn.compact
  def __call__(
    self,
    silhouettes: jax.Array,
    lengths: jax.Array | None = None,
    train: bool = False,
  ) -> dict[str, jax.Array]:
    """Embeds sequences.

    Args:
      silhouettes: `[n, s, h, w]` or `[n, s, h, w, c]` in [0, 1]; see
        `part_network.read_frames` for the channels.
      lengths: int32 `[n]`, valid frames (at least 1) of each sequence; frames
        beyond never change a result. None: all are valid.
      train: of no effect: nothing is normalised.

    Returns:
      "embedding" and "retrieval" `[n, 16, d]`, the same; the feature maps
      "stage1", "stage2", ... `[n, s, h, w, c]`, the parts of every frame,
      "parts" `[n, s, 16, c]`, and what is kept of them, "set" `[n, 16, c]`.
    """
    del train
    x = part_network.read_frames(silhouettes, self.in_channels, self.dtype)
    valid = pooling.frame_mask(lengths, x.shape[1])
    mask = None if valid is None else valid[:, :, None, None, None]
    x = blocks.zero_outside(x, mask)  # NaN times 0 is NaN in a gradient
    out = {}
    stages = zip(self.channels, STAGES[self.variant], strict=True)
    for i, (features, (strips, pool)) in enumerate(stages):
      x = out[f"stage{i + 1}"] = plain.stage(
        x,
        features,
        name=f"stage{i + 1}",
        dtype=self.dtype,
        first_size=3 if i else 5,
        strips=strips,
        pool=pool,
      )
    n, s, h, w, c = x.shape
    x = x.astype(jnp.float32).reshape(n * s, h, w, c)
    x = pooling.horizontal_pooling(x, _PARTS).reshape(n, s, _PARTS, c)
    out["parts"] = x
    x = out["set"] = MicroMotion(dtype=self.dtype, name="motion")(x, valid)
    out["embedding"] = heads.SeparateFC(
      self.embedding_dim, dtype=self.dtype, name="fc"
    )(x)
    out["retrieval"] = out["embedding"]
    return out


class MicroMotion(nn.Module):
  """GaitPart's temporal aggregator: attention over 3 and 5 frames."""

  dtype: jnp.dtype = jnp.float32

  @nn.compact
  def __call__(self, x: jax.Array, valid: jax.Array | None) -> jax.Array:
    """Maps float32 `[n, s, p, c]` and bool `[n, s]` to `[n, p, c]`."""
    c = x.shape[-1]
    mask = None if valid is None else valid[:, :, None, None]
    x = blocks.zero_outside(x, mask)
    total = 0.0
    for window, size in ((3, 1), (5, 3)):
      y = PartConv(
        c // _SQUEEZE, 3, dtype=self.dtype, name=f"window{window}_squeeze"
      )(x)
      y = blocks.zero_outside(plain.leaky_relu(y), mask)
      score = PartConv(
        c, size, dtype=self.dtype, name=f"window{window}_expand"
      )(y)
      pooled = sum(_windows(x, window, 0.0)) / window
      highest = x if mask is None else jnp.where(mask, x, -jnp.inf)
      highest = functools.reduce(
        jnp.maximum, _windows(highest, window, -jnp.inf)
      )
      # Beyond the end there may be windows of nothing: -inf times 0 is NaN.
      pooled = blocks.zero_outside(pooled + highest, mask)
      total += nn.sigmoid(score.astype(jnp.float32)) * pooled
    return pooling.temporal_max(total, valid)


class PartConv(nn.Module):
  """A bias-free convolution over time, with own weights for every part."""

  features: int
  size: int
  dtype: jnp.dtype = jnp.float32

  @nn.compact
  def __call__(self, x: jax.Array) -> jax.Array:
    """Maps `[n, s, p, c]` to `[n, s, p, features]`."""
    p, c = x.shape[2:]
    shape = (self.size, c, self.features)
    # Drawn one by one: their fans are those of one part.
    kernel = jnp.stack(
      [self.param(f"part{i}", blocks.conv_init, shape) for i in range(p)]
    )
    windows = jnp.stack(_windows(x.astype(self.dtype), self.size, 0.0), axis=3)
    return jnp.einsum("nspkc,pkcd->nspd", windows, kernel.astype(self.dtype))


def _windows(x: jax.Array, size: int, fill: float) -> list[jax.Array]:
  """The frames before, at and after every frame: `size` times `[n, s, ...]`."""
  s, reach = x.shape[1], size // 2
  around = [(0, 0), (reach, reach)] + [(0, 0)] * (x.ndim - 2)
  x = jnp.pad(x, around, constant_values=fill)
  return [x[:, i : i + s] for i in range(size)]
