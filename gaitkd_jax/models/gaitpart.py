"""GaitPart (Fan et al., CVPR 2020)."""

from collections.abc import Mapping
import functools
from typing import Any

from flax import linen as nn
import jax
import jax.numpy as jnp

from gaitkd_jax.models import activations
from gaitkd_jax.models import checks
from gaitkd_jax.models import conv_layer
from gaitkd_jax.models import heads
from gaitkd_jax.models import inputs
from gaitkd_jax.models import leaky_stages
from gaitkd_jax.models import network
from gaitkd_jax.models import opengait_keys
from gaitkd_jax.models import padding
from gaitkd_jax.models import pooling
from gaitkd_jax.models import quantizers

# Strips of the focal convolutions, and whether the image is halved, by stage.
STAGES: Mapping[str, tuple[tuple[int, bool], ...]] = {
  "casiab": ((1, True), (4, True), (8, False)),
  "large": ((1, True), (1, True), (8, False), (8, False)),
}
_PARTS = 16
_SQUEEZE = 4
_FOCAL = "Backbone.forward_block.feature"
_MOTION = "TFA.pooling_func.conv1d3x{size}.{{part}}.{layer}.conv.weight"


class GaitPart(network.GaitNetwork):
  """Focal convolutions, then short-range motion of every part.

  There is no neck, and training makes no difference: nothing is normalised.
  Feature maps: "stage1", "stage2", ... `[n, s, h, w, c]`, the parts of every
  frame, "parts" `[n, s, 16, c]`, and what is kept of them, "set" `[n, 16, c]`.

  Attributes:
    channels: widths of the stages: three, or four of the large variant.
    embedding_dim: width `d` of a part's embedding.
    variant: "casiab", or "large" (of OU-MVLP and GREW).
  """

  channels: tuple[int, ...] = (32, 64, 128)
  embedding_dim: int = 128
  variant: str = "casiab"

  config_checks = {
    **network.GaitNetwork.config_checks,
    "channels": checks.VARIANT_WIDTHS,
    "variant": checks.VARIANT,
  }

  def __post_init__(self) -> None:
    leaky_stages.check_widths(self.channels, self.variant)
    super().__post_init__()

  @property
  def bins(self) -> tuple[int, ...]:
    """One level of strips."""
    return (_PARTS,)

  @property
  def temporal(self) -> bool:
    """Parts are convolved over time."""
    return True

  @property
  def smoke_size(self) -> Mapping[str, Any]:
    """Narrow stages and embeddings."""
    widths = (4, 8, 16, 16)[: len(self.channels)]
    return {"channels": widths, "embedding_dim": 16}

  @property
  def opengait_rules(self) -> opengait_keys.Rules:
    """OpenGait's "GaitPart"."""
    return (
      # Poolings are numbered, too; the fourth stage is "large" only.
      *opengait_keys.leaky_stage(_FOCAL, "stage1"),
      *opengait_keys.leaky_stage(_FOCAL, "stage2", 5),
      *opengait_keys.leaky_stage(_FOCAL, "stage3", 10),
      *opengait_keys.leaky_stage(_FOCAL, "stage4", 14),
      *(
        opengait_keys.Rule(
          _MOTION.format(size=size, layer=layer),
          f"params/motion/window{window}_{name}/part{{part}}",
          "kernel",
        )
        for size, window in ((1, 3), (3, 5))
        for layer, name in ((0, "squeeze"), (2, "expand"))
      ),
      *opengait_keys.HEAD_WITHOUT_NECK,
    )

  @nn.compact
  def encode(
    self, frames: inputs.Frames, *, train: bool
  ) -> dict[str, jax.Array]:
    """Computes the end points; see `GaitNetwork.encode`."""
    x, clips = frames.merged, frames.clips
    out = {}
    stages = zip(self.channels, STAGES[self.variant], strict=True)
    for i, (features, (strips, pool)) in enumerate(stages):
      x = leaky_stages.stage(
        x,
        features,
        name=f"stage{i + 1}",
        dtype=self.dtype,
        frames=clips.frames,
        first_size=3 if i else 5,
        reads_frames=i == 0,
        train=train,
        strips=strips,
        pool=pool,
      )
      out[f"stage{i + 1}"] = clips.split(x)
    x = pooling.horizontal_pooling(x.astype(jnp.float32), _PARTS)
    x = out["parts"] = clips.split(x)
    x = MicroMotion(dtype=self.dtype, name="motion")(
      x, frames.valid, train=train
    )
    out["set"] = x
    out["embedding"] = heads.SeparateFC(
      self.embedding_dim, dtype=self.dtype, name="fc"
    )(x, train=train)
    return out


class MicroMotion(nn.Module):
  """GaitPart's temporal aggregator: attention over 3 and 5 frames."""

  dtype: jax.typing.DTypeLike = jnp.float32

  @nn.compact
  def __call__(
    self, x: jax.Array, valid: jax.Array | None, *, train: bool = False
  ) -> jax.Array:
    """Maps float32 `[n, s, p, c]` and bool `[n, s]` to `[n, p, c]`."""
    c = x.shape[-1]
    mask = None if valid is None else valid[:, :, None, None]
    x = padding.zero_outside(x, mask)
    weighted = []
    for window, size in ((3, 1), (5, 3)):
      y = PartConv(
        c // _SQUEEZE, 3, dtype=self.dtype, name=f"window{window}_squeeze"
      )(x, train=train)
      y = padding.zero_outside(activations.leaky_relu(y), mask)
      score = PartConv(
        c, size, dtype=self.dtype, name=f"window{window}_expand"
      )(y, train=train)
      pooled = sum(_windows(x, window, 0.0)) / window
      highest = x if mask is None else jnp.where(mask, x, -jnp.inf)
      highest = functools.reduce(
        jnp.maximum, _windows(highest, window, -jnp.inf)
      )
      # Windows that lie wholly beyond the end hold -inf, and -inf times 0 is
      # NaN.
      pooled = padding.zero_outside(pooled + highest, mask)
      weighted.append(nn.sigmoid(score.astype(jnp.float32)) * pooled)
    return pooling.temporal_max(sum(weighted, start=jnp.zeros(())), valid)


class PartConv(nn.Module):
  """A bias-free convolution over time with separate weights for every part."""

  features: int
  size: int
  dtype: jax.typing.DTypeLike = jnp.float32

  @nn.compact
  def __call__(self, x: jax.Array, *, train: bool = False) -> jax.Array:
    """Maps `[n, s, p, c]` to `[n, s, p, features]`."""
    p, c = x.shape[2:]
    shape = (self.size, c, self.features)
    # Drawn one by one: the initialiser must see the fans of one part.
    kernel = jnp.stack(
      [self.param(f"part{i}", conv_layer.conv_init, shape) for i in range(p)]
    )
    kernel = quantizers.weights(kernel, shared=(1, 2))
    x = quantizers.activation(x, rectified=False, name="input", train=train)
    windows = jnp.stack(_windows(x.astype(self.dtype), self.size, 0.0), axis=3)
    return jnp.einsum("nspkc,pkcd->nspd", windows, kernel.astype(self.dtype))


def _windows(x: jax.Array, size: int, fill: float) -> list[jax.Array]:
  """The frames before, at and after every frame: `size` times `[n, s, ...]`."""
  s, beyond = x.shape[1], size // 2
  around = [(0, 0), (beyond, beyond)] + [(0, 0)] * (x.ndim - 2)
  x = jnp.pad(x, around, constant_values=fill)
  return [x[:, i : i + s] for i in range(size)]
