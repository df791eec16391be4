"""GaitGL (Lin et al., ICCV 2021)."""

from collections.abc import Iterator
from collections.abc import Mapping
from typing import Any

from flax import linen as nn
import jax
from jax import core
import jax.numpy as jnp

from gaitkd_jax.models import checks
from gaitkd_jax.models import conv_layer
from gaitkd_jax.models import heads
from gaitkd_jax.models import inputs
from gaitkd_jax.models import layers
from gaitkd_jax.models import leaky_stages
from gaitkd_jax.models import network
from gaitkd_jax.models import normalization
from gaitkd_jax.models import opengait_keys
from gaitkd_jax.models import padding
from gaitkd_jax.models import pooling
from gaitkd_jax.models import quantizers

# Convolutions of the stem, global-local layers of a stage, local strips.
VARIANTS: Mapping[str, tuple[int, int, int]] = {
  "casiab": (1, 1, 8),
  "large": (2, 2, 2),
}
_PARTS = 64
_PACE = 3  # frames that become one
_EXPONENT = 6.5
LEAST = 1e-6


class GaitGL(network.GaitNetwork):
  """3-D convolutions of the whole image and of its strips, side by side.

  Sequences of one or two frames are repeated to three or four, as in the
  reference. There are 64 parts. Without a neck "logits" are those of a linear
  layer, of any size. Feature maps: "stage0" `[n, s, h, w, c]`, "stage1" ...
  "stage3" `[n, s // 3, h, w, c]`, the last with the map of the strips below
  that of the whole image, and "set" `[n, h, w, c]`.

  Attributes:
    channels: widths of the stem and the stages: three (the last serves both
      last stages), or four of the large variant.
    num_classes: see `GaitNetwork`.
    variant: "casiab", or "large" (of OU-MVLP and GREW).
    neck: whether a cosine classifier behind a neck (BNNecks) is trained. If
      not, the paper's head: the normalised parts are the embedding, and a
      linear layer classifies them.
    retrieval: see `GaitNetwork`.
  """

  channels: tuple[int, ...] = (32, 64, 128)
  num_classes: int = 0
  variant: str = "casiab"
  neck: bool = False
  retrieval: str = "embedding"

  config_checks = {
    **network.GaitNetwork.config_checks,
    "channels": checks.VARIANT_WIDTHS,
    "neck": checks.boolean(),
    "variant": checks.VARIANT,
  }

  def __post_init__(self) -> None:
    leaky_stages.check_widths(self.channels, self.variant)
    if self.retrieval == "neck" and not self.neck:
      raise ValueError("retrieval is neck, but neck is False: there is none")
    super().__post_init__()

  @property
  def bins(self) -> tuple[int, ...]:
    """Two levels: the map of the strips lies below that of the whole image."""
    return (_PARTS // 2, _PARTS // 2)

  @property
  def temporal(self) -> bool:
    """All convolutions are 3-D."""
    return True

  @property
  def smoke_size(self) -> Mapping[str, Any]:
    """Narrow stages; an embedding is as wide as the last."""
    return {"channels": (4, 8, 16, 16)[: len(self.channels)]}

  @property
  def opengait_rules(self) -> opengait_keys.Rules:
    """OpenGait's "GaitGL", with either head."""
    return (
      *opengait_keys.conv("conv3d.0.conv3d", "stem0"),
      *opengait_keys.conv("conv3d.2.conv3d", "stem1"),
      *opengait_keys.conv("LTA.0.conv3d", "pace", "temporal"),
      *_global_local_rules(),
      opengait_keys.Rule("HPP.p", "params/pool/exponent"),
      opengait_keys.Rule("Head0.fc_bin", "params/fc/kernel"),
      *opengait_keys.norm("Bn", "bn"),
      opengait_keys.Rule("Head1.fc_bin", "params/classifier/kernel"),
      *opengait_keys.NECK,
    )

  @nn.compact
  def encode(
    self, frames: inputs.Frames, *, train: bool
  ) -> dict[str, jax.Array]:
    """Computes the end points; see `GaitNetwork.encode`."""
    x, lengths = repeat_short(frames.pixels, frames.lengths)
    valid = padding.frame_mask(lengths, x.shape[1])
    clips = padding.Clips(x.shape[1], valid)
    stem, depth, strips = VARIANTS[self.variant]
    out = {}
    for i in range(stem):
      layer = _conv(self.channels[0], self.dtype, f"stem{i}", i == 0)
      x = layer(padding.zero_outside(x, clips.mask), train=train)
    out["stage0"] = x
    # One frame of every three; the rest is dropped.
    pace = conv_layer.ConvLayer(
      self.channels[0],
      (3, 1),
      (_PACE, 1),
      (0, 0),
      normalized=False,
      activation="leaky_relu",
      dtype=self.dtype,
      name="pace",
    )
    x = layers.over_time(lambda x, _: pace(x, train=train), x, clips)
    lengths = None if lengths is None else lengths // _PACE
    valid = padding.frame_mask(lengths, x.shape[1])
    mask = padding.map_mask(valid)
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
        )(x, mask, train=train)
      if i == 0:
        x = leaky_stages.max_pool(x)
      out[f"stage{i + 1}"] = x
    x = out["set"] = pooling.temporal_max(x, valid)
    x = GeneralisedMean(_PARTS, name="pool")(x.astype(jnp.float32), train=train)
    return out | self._head(x, train)

  def _head(self, x: jax.Array, train: bool) -> dict[str, jax.Array]:
    """Either head on parts `[n, p, c]`."""
    d = x.shape[-1]
    if self.neck:
      return heads.describe_parts(x, d, self.num_classes, self.dtype, train)
    fc = heads.SeparateFC(d, rectified=True, dtype=self.dtype, name="fc")
    x = fc(x, train=train)
    x = normalization.BatchNorm(d, name="bn")(x, train=train)
    out = {"embedding": x}
    if self.num_classes:
      out["logits"] = heads.SeparateFC(
        self.num_classes, training_only=True, name="classifier"
      )(x)
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
  dtype: jax.typing.DTypeLike = jnp.float32

  @nn.compact
  def __call__(
    self, x: jax.Array, mask: jax.Array | None, *, train: bool = False
  ) -> jax.Array:
    """Maps `[n, s, h, w, c]` to `[n, s, h or 2 h, w, features]`."""
    n, s, h, w, c = x.shape
    leaky_stages.check_strips(h, self.strips)
    x = padding.zero_outside(x, mask)
    whole, local = (
      _conv(self.features, self.dtype, name) for name in ("global", "local")
    )
    y = x.reshape(n, s, self.strips, h // self.strips, w, c)
    y = y.swapaxes(1, 2).reshape(n * self.strips, s, h // self.strips, w, c)
    y = local(y, train=train).reshape(n, self.strips, s, -1, w, self.features)
    y = y.swapaxes(1, 2).reshape(n, s, h, w, self.features)
    x = whole(x, train=train)
    if self.stack:
      return jnp.concatenate([x, y], axis=2)
    return quantizers.activation(
      x + y, rectified=False, name="sum", train=train
    )


def _conv(
  features: int,
  dtype: jax.typing.DTypeLike,
  name: str,
  reads_frames: bool = False,
) -> conv_layer.ConvLayer:
  return conv_layer.ConvLayer(
    features,
    (3, 3, 3),
    normalized=False,
    activation="leaky_relu",
    reads_frames=reads_frames,
    dtype=dtype,
    name=name,
  )


class GeneralisedMean(nn.Module):
  """The generalised mean of every horizontal strip, its exponent learned."""

  parts: int

  @nn.compact
  def __call__(self, x: jax.Array, *, train: bool = False) -> jax.Array:
    """Maps float32 `[n, h, w, c]` to `[n, p, c]`."""
    n, h, w, c = x.shape
    leaky_stages.check_strips(h, self.parts)
    exponent = self.param("exponent", nn.initializers.constant(_EXPONENT), (1,))
    x = x.reshape(n, self.parts, (h // self.parts) * w, c)
    # With logarithms: a small value's power is less than float32 can hold, and
    # the root's gradient there infinite.
    x = exponent[0] * jnp.log(jnp.maximum(x, LEAST))
    mean = jax.nn.logsumexp(x, axis=2) - jnp.log(x.shape[2])
    if train:
      return jnp.exp(mean / exponent[0])
    # What compilers make of the division, but not of every program.
    return jnp.exp(mean * (1 / exponent[0]))


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
  # Four frames are what two become. `max` does not know symbolic numbers.
  missing = core.max_dim(4 - s, 0)
  x = jnp.pad(x, [(0, 0), (0, missing)] + [(0, 0)] * (x.ndim - 2))
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


def _global_local_rules() -> Iterator[opengait_keys.Rule]:
  for stage, key in enumerate(("A0", "A1", "B2"), start=1):
    yield from opengait_keys.conv(
      f"GLConv{key}.{{kind}}_conv3d.conv3d", f"stage{stage}/{{kind}}"
    )
    yield from opengait_keys.conv(
      f"GLConv{key}.{{layer}}.{{kind}}_conv3d.conv3d",
      f"stage{stage}_layer{{layer}}/{{kind}}",
    )
