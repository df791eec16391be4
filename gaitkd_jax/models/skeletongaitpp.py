"""SkeletonGait++ (Fan et al., AAAI 2024): silhouettes and heat maps, fused."""

from collections.abc import Mapping
import functools
from typing import Any

from flax import linen as nn
import jax
import jax.numpy as jnp

from gaitkd_jax.models import checks
from gaitkd_jax.models import conv_layer
from gaitkd_jax.models import heads
from gaitkd_jax.models import inputs
from gaitkd_jax.models import layers
from gaitkd_jax.models import network
from gaitkd_jax.models import opengait_keys
from gaitkd_jax.models import padding
from gaitkd_jax.models import pooling
from gaitkd_jax.models import quantizers

_SQUEEZE = 16
_FUSION = "fusion.conv.forward_block"


class SkeletonGaitPP(network.GaitNetwork):
  """Two first stages -> attention fusion -> DeepGaitV2-P3D's further stages.

  Feature maps `[n, s, h, w, c]`: the first stages of both inputs,
  "silhouette_stage1" and "map_stage1"; "stage1", which is fused of them;
  "stage2" ... "stage4"; and "set" `[n, h, w, c]`.

  Attributes:
    in_channels: three: limbs, joints, silhouette.
    base_channels: width `b` of both first stages; the further ones have 2 b,
      4 b and 8 b, an embedding 4 b.
    blocks: number of residual blocks of the four stages.
    num_classes: see `GaitNetwork`.
    parts: number of horizontal strips `p`.
    retrieval: see `GaitNetwork`.
    remat: whether a backward pass computes the inside of every block anew,
      which saves memory and costs about a forward pass.
  """

  in_channels: int = 3
  base_channels: int = 64
  blocks: tuple[int, ...] = (1, 4, 4, 1)
  num_classes: int = 0
  parts: int = 16
  retrieval: str = "embedding"
  remat: bool = False

  config_checks = {
    **network.GaitNetwork.config_checks,
    "base_channels": checks.at_least(1),
    "blocks": checks.FOUR_DEPTHS,
    "in_channels": checks.Check(
      lambda v: v == 3, "3 (limbs, joints, silhouette)"
    ),
  }

  @property
  def bins(self) -> tuple[int, ...]:
    """One level of strips."""
    return (self.parts,)

  @property
  def temporal(self) -> bool:
    """P3D blocks convolve over time."""
    return True

  @property
  def smoke_size(self) -> Mapping[str, Any]:
    """Narrow stages of one block."""
    return {"base_channels": 4, "blocks": (1, 1, 1, 1)}

  @property
  def opengait_rules(self) -> opengait_keys.Rules:
    """OpenGait's "SkeletonGaitPP"."""
    return (
      *opengait_keys.first_stage("sil_", "silhouette_"),
      *opengait_keys.first_stage("map_", "map_"),
      *opengait_keys.conv(f"{_FUSION}.0", "fusion/squeeze"),
      *opengait_keys.norm(f"{_FUSION}.1", "fusion/squeeze/norm"),
      *opengait_keys.conv(f"{_FUSION}.3", "fusion/mix"),
      *opengait_keys.norm(f"{_FUSION}.4", "fusion/mix/norm"),
      *opengait_keys.conv(f"{_FUSION}.6", "fusion/expand"),
      *opengait_keys.later_stages("p3d"),
      *opengait_keys.HEAD,
    )

  @nn.compact
  def encode(
    self, frames: inputs.Frames, *, train: bool
  ) -> dict[str, jax.Array]:
    """Computes the end points; see `GaitNetwork.encode`."""
    clips = frames.clips
    stage = functools.partial(
      layers.stage, dtype=self.dtype, train=train, remat=self.remat
    )
    silhouette, heat_map = frames.merged[..., -1:], frames.merged[..., :-1]
    maps = {}
    for branch, y in (("silhouette", silhouette), ("map", heat_map)):
      y = layers.stem(
        y,
        clips,
        self.base_channels,
        name=f"{branch}_stem",
        dtype=self.dtype,
        train=train,
      )
      maps[f"{branch}_stage1"] = stage(
        y,
        clips,
        self.base_channels,
        self.blocks[0],
        block=layers.BasicBlock2D,
        stride=1,
        name=f"{branch}_stage1",
      )
    x = maps["stage1"] = AttentionFusion(self.dtype, name="fusion")(
      maps["silhouette_stage1"], maps["map_stage1"], clips, train=train
    )
    for i in (1, 2, 3):
      x = maps[f"stage{i + 1}"] = stage(
        x,
        clips,
        self.base_channels * 2**i,
        self.blocks[i],
        block=layers.P3DBlock,
        stride=layers.STRIDES[i],
        name=f"stage{i + 1}",
      )
    out = {name: clips.split(y) for name, y in maps.items()}
    x = out["set"] = pooling.temporal_max(clips.split(x), frames.valid)
    x = pooling.horizontal_pooling(x.astype(jnp.float32), self.parts)
    return out | heads.describe_parts(
      x, 4 * self.base_channels, self.num_classes, self.dtype, train
    )


class AttentionFusion(nn.Module):
  """Weighs two feature maps against each other, per pixel and channel."""

  dtype: jax.typing.DTypeLike = jnp.float32

  @nn.compact
  def __call__(
    self,
    silhouette: jax.Array,
    heat_map: jax.Array,
    clips: padding.Clips,
    *,
    train: bool,
  ) -> jax.Array:
    """Maps two `[n * s, h, w, c]` to one."""
    features = silhouette.shape[-1]
    squeezed = max(features // _SQUEEZE, 1)
    x = quantizers.activation(
      jnp.concatenate([silhouette, heat_map], axis=-1),
      rectified=True,
      name="both",
      train=train,
    )
    for name, size in (("squeeze", 1), ("mix", 3)):
      x = conv_layer.ConvLayer(
        squeezed,
        (size, size),
        activation="relu",
        dtype=self.dtype,
        name=name,
      )(x, train=train, mask=clips.merged_mask, frames=clips.frames)
    x = conv_layer.ConvLayer(
      2 * features, (1, 1), normalized=False, dtype=self.dtype, name="expand"
    )(x, train=train, frames=clips.frames)
    # The softmax of two scores, element by element: compilers then write no
    # float32 array of both.
    first, second = (
      part.astype(jnp.float32)
      for part in (x[..., :features], x[..., features:])
    )
    highest = jax.lax.stop_gradient(jnp.maximum(first, second))
    first, second = jnp.exp(first - highest), jnp.exp(second - highest)
    total = first + second
    first, second = (
      (part / total).astype(self.dtype) for part in (first, second)
    )
    return quantizers.activation(
      silhouette * first + heat_map * second,
      rectified=True,
      name="sum",
      train=train,
    )
