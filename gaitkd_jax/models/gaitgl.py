"""GaitGL (Lin et al., ICCV 2021)."""

from collections.abc import Mapping

from flax import linen as nn
import jax
import jax.numpy as jnp

from gaitkd_jax.models import blocks
from gaitkd_jax.models import heads
from gaitkd_jax.models import normalization
from gaitkd_jax.models import part_network
from gaitkd_jax.models import plain
from gaitkd_jax.models import pooling

# Convolutions of the stem, global-local layers of a stage, local strips.
VARIANTS: Mapping[str, tuple[int, int, int]] = {
  "casiab": (1, 1, 8),
  "large": (2, 2, 2),
}
_PARTS = 64
_PACE = 3  # frames that become one
_EXPONENT = 6.5
_LEAST = 1e-6


class GaitGL(nn.Module):
  """3-D convolutions of the whole image and of its strips, side by side.

  Attributes:
    channels: widths of the stem and the stages: three (the last serves both
      last stages), or four of the large variant.
    num_classes: identities `k`; 0 leaves the classifier out.
    variant: "casiab", or "large" (of OU-MVLP and GREW).
    neck: whether a cosine classifier behind a neck (BNNecks) is trained. If
      not, the paper's head: the normalised parts are the embedding, and a
      linear layer classifies them.
    in_channels: channels of the input.
    retrieval: what a search compares: "embedding", or "neck" where there is
      one.
    dtype: of the computation; parameters and results are float32.
  """

  channels: tuple[int, ...] = (32, 64, 128)
  num_classes: int = 0
  variant: str = "casiab"
  neck: bool = False
  in_channels: int = 1
  retrieval: str = "embedding"
  dtype: jnp.dtype = jnp.float32

  def __post_init__(self):
    plain.check_widths(self.channels, self.variant)
    if self.retrieval == "neck" and not self.neck:
      raise ValueError("retrieval is neck, but neck is False: there is none")
    super().__post_init__()

  @property
  def bins(self) -> tuple[int, ...]:
    """Strips of equal height that the parts are, level by level.

    The map of the strips lies below that of the whole image.
    """
    return (_PARTS // 2, _PARTS // 2)

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
        beyond never change a result. None: all are valid. Sequences of one or
        two frames are repeated to three or four, as in the reference.
      train: whether normalisations use the statistics of this batch.

    Returns:
      "embedding" and "retrieval" `[n, 64, d]`, if it classifies "logits" `[n,
      64, k]` (cosines with a neck, else of any size) and with a neck "neck"
      `[n, 64, d]`; the feature maps "stage0" `[n, s, h, w, c]`, "stage1" ...
      "stage3" `[n, s // 3, h, w, c]`, the last with the strips' map below that
      of the whole image, and "set" `[n, h, w, c]`.
    """
    x = part_network.read_frames(silhouettes, self.in_channels, self.dtype)
    valid = pooling.frame_mask(lengths, x.shape[1])
    mask = None if valid is None else valid[:, :, None, None, None]
    x = blocks.zero_outside(x, mask)  # NaN times 0 is NaN in a gradient
    x, lengths = repeat_short(x, lengths)
    mask = _mask(lengths, x.shape[1])
    stem, depth, strips = VARIANTS[self.variant]
    out = {}
    for i in range(stem):
      x = blocks.SpatioTemporalConv(
        self.channels[0], dtype=self.dtype, name=f"stem{i}"
      )(x, mask)
      x = plain.leaky_relu(x)
    out["stage0"] = x
    x = blocks.TemporalConv(
      self.channels[0], stride=_PACE, dtype=self.dtype, name="pace"
    )(x, mask)
    x = plain.leaky_relu(x)
    lengths = None if lengths is None else lengths // _PACE
    valid = pooling.frame_mask(lengths, x.shape[1])
    mask = _mask(lengths, x.shape[1])
    # The CASIA-B variant's last two stages are of one width.
    widths = (*self.channels, self.channels[-1])[1:4]
    for i, features in enumerate(widths):
      for j in range(depth):
        x = GlobalLocal(
          features,
          strips,
          stack=i == 2 and j == depth - 1,
          dtype=self.dtype,
          name=f"stage{i + 1}" + (f"_layer{j}" if depth > 1 else ""),
        )(x, mask)
      if i == 0:
        x = plain.max_pool(x)
      out[f"stage{i + 1}"] = x
    x = out["set"] = pooling.temporal_max(x, valid)
    x = GeneralisedMean(_PARTS, name="pool")(x.astype(jnp.float32))
    out |= self._describe(x, train)
    out["retrieval"] = out[self.retrieval]
    return out

  def _describe(self, x: jax.Array, train: bool) -> dict[str, jax.Array]:
    """Either head on parts `[n, p, c]`."""
    d = x.shape[-1]
    if self.neck:
      return part_network.describe_parts(
        x, d, self.num_classes, self.dtype, train
      )
    x = heads.SeparateFC(d, dtype=self.dtype, name="fc")(x)
    x = normalization.BatchNorm(name="bn")(x, train=train)
    out = {"embedding": x}
    if self.num_classes:
      out["logits"] = heads.SeparateFC(self.num_classes, name="classifier")(x)
    return out


class GlobalLocal(nn.Module):
  """A 3-D convolution of the image and another one of each of its strips.

  Attributes:
    features: width of both.
    strips: horizontal strips of the local one; must divide the height.
    stack: whether the local map is put below the global one instead of added.
    dtype: of the computation.
  """

  features: int
  strips: int
  stack: bool = False
  dtype: jnp.dtype = jnp.float32

  @nn.compact
  def __call__(self, x: jax.Array, mask: jax.Array | None) -> jax.Array:
    """Maps `[n, s, h, w, c]` to `[n, s, h or 2 h, w, features]`."""
    n, s, h, w, c = x.shape
    plain.check_strips(h, self.strips)
    x = blocks.zero_outside(x, mask)
    whole, local = (
      blocks.SpatioTemporalConv(self.features, dtype=self.dtype, name=name)
      for name in ("global", "local")
    )
    y = x.reshape(n, s, self.strips, h // self.strips, w, c)
    y = y.swapaxes(1, 2).reshape(n * self.strips, s, h // self.strips, w, c)
    y = local(y, None).reshape(n, self.strips, s, -1, w, self.features)
    y = y.swapaxes(1, 2).reshape(n, s, h, w, self.features)
    x, y = plain.leaky_relu(whole(x, None)), plain.leaky_relu(y)
    return jnp.concatenate([x, y], axis=2) if self.stack else x + y


class GeneralisedMean(nn.Module):
  """The generalised mean of every horizontal strip, its exponent learned."""

  parts: int

  @nn.compact
  def __call__(self, x: jax.Array) -> jax.Array:
    """Maps float32 `[n, h, w, c]` to `[n, p, c]`."""
    n, h, w, c = x.shape
    plain.check_strips(h, self.parts)
    exponent = self.param("exponent", nn.initializers.constant(_EXPONENT), (1,))
    x = x.reshape(n, self.parts, (h // self.parts) * w, c)
    # With logarithms: a small value's power is less than float32 can hold, and
    # the root's gradient there infinite.
    x = exponent[0] * jnp.log(jnp.maximum(x, _LEAST))
    mean = jax.nn.logsumexp(x, axis=2) - jnp.log(x.shape[2])
    return jnp.exp(mean / exponent[0])


def repeat_short(
  x: jax.Array, lengths: jax.Array | None
) -> tuple[jax.Array, jax.Array | None]:
  """Repeats sequences of one and two frames, which cannot be aggregated.

  One frame is repeated to three, two to four, each sequence on its own.

  Args:
    x: `[n, s, ...]`.
    lengths: int32 `[n]`, or None if all frames are valid.

  Returns:
    `[n, s', ...]`, `s'` at least 3, and its lengths (or None).
  """
  s = x.shape[1]
  if lengths is None:
    times = {1: 3, 2: 2}.get(s, 1)
    return jnp.concatenate([x] * times, axis=1), None
  # Four frames are what two become.
  x = jnp.pad(x, [(0, 0), (0, max(4 - s, 0))] + [(0, 0)] * (x.ndim - 2))
  shape = (-1,) + (1,) * (x.ndim - 2)
  one, two = ((lengths == short).reshape(shape) for short in (1, 2))
  start = [
    x[:, 0],
    jnp.where(one, x[:, 0], x[:, 1]),
    jnp.where(one | two, x[:, 0], x[:, 2]),
    jnp.where(two, x[:, 1], x[:, 3]),
  ]
  x = jnp.concatenate([jnp.stack(start, axis=1), x[:, 4:]], axis=1)
  lengths = jnp.where(lengths == 1, 3, jnp.where(lengths == 2, 4, lengths))
  return x, lengths


def _mask(lengths: jax.Array | None, frames: int) -> jax.Array | None:
  mask = pooling.frame_mask(lengths, frames)
  return None if mask is None else mask[:, :, None, None, None]
