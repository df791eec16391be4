"""SkeletonGait++ (Fan et al., AAAI 2024): silhouettes and heat maps, fused."""

from flax import linen as nn
import jax
import jax.numpy as jnp

from gaitkd_jax.models import blocks
from gaitkd_jax.models import normalization
from gaitkd_jax.models import part_network
from gaitkd_jax.models import pooling

_SQUEEZE = 16


class SkeletonGaitPP(nn.Module):
  """Two first stages -> attention fusion -> DeepGaitV2-P3D's further stages.

  Attributes:
    base_channels: width `b` of both first stages; the further ones have 2 b,
      4 b and 8 b, an embedding 4 b.
    blocks: number of residual blocks of the four stages.
    num_classes: identities `k`; 0 leaves the classifier out.
    in_channels: channels of the input; the last is the silhouette.
    parts: number of horizontal strips `p`.
    retrieval: what a search compares: "embedding" or "neck".
    remat: whether a backward pass computes the inside of every block anew,
      which saves memory and costs about a forward pass.
    dtype: of the computation; parameters and results are float32.
  """

  base_channels: int = 64
  blocks: tuple[int, ...] = (1, 4, 4, 1)
  num_classes: int = 0
  in_channels: int = 3
  parts: int = 16
  retrieval: str = "embedding"
  remat: bool = False
  dtype: jnp.dtype = jnp.float32

  @property
  def bins(self) -> tuple[int, ...]:
    """Strips of equal height that the parts are, level by level."""
    return (self.parts,)

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
      silhouettes: `[n, s, h, w, 3]` in [0, 1]: limbs, joints, silhouette.
      lengths: int32 `[n]`, valid frames (at least 1) of each sequence; frames
        beyond never change a result. None: all are valid.
      train: whether normalisations use the statistics of this batch.

    Returns:
      As `PartNetwork.__call__`, but instead of "stage0" the first stages of
      both inputs, "silhouette_stage1" and "map_stage1"; "stage1" is fused.
    """
    x = part_network.read_frames(silhouettes, self.in_channels, self.dtype)
    valid = pooling.frame_mask(lengths, x.shape[1])
    mask = None if valid is None else valid[:, :, None, None, None]
    x = blocks.zero_outside(x, mask)  # NaN times 0 is NaN in a gradient
    common = dict(dtype=self.dtype, train=train, mask=mask)
    out = {}
    for branch, y in (("silhouette", x[..., -1:]), ("map", x[..., :-1])):
      y = blocks.stem(y, self.base_channels, name=f"{branch}_stem", **common)
      out[f"{branch}_stage1"] = blocks.stage(
        y,
        self.base_channels,
        self.blocks[0],
        block=blocks.BasicBlock2D,
        stride=1,
        name=f"{branch}_stage1",
        remat=self.remat,
        **common,
      )
    x = out["stage1"] = AttentionFusion(self.dtype, name="fusion")(
      out["silhouette_stage1"], out["map_stage1"], train=train, mask=mask
    )
    for i in (1, 2, 3):
      x = out[f"stage{i + 1}"] = blocks.stage(
        x,
        self.base_channels * 2**i,
        self.blocks[i],
        block=blocks.P3DBlock,
        stride=part_network.STRIDES[i],
        name=f"stage{i + 1}",
        remat=self.remat,
        **common,
      )
    x = out["set"] = pooling.temporal_max(x, valid)
    x = pooling.horizontal_pooling(x.astype(jnp.float32), self.parts)
    out |= part_network.describe_parts(
      x, 4 * self.base_channels, self.num_classes, self.dtype, train
    )
    out["retrieval"] = out[self.retrieval]
    return out


class AttentionFusion(nn.Module):
  """Weighs two feature maps against each other, per pixel and channel."""

  dtype: jnp.dtype = jnp.float32

  @nn.compact
  def __call__(
    self,
    silhouette: jax.Array,
    heat_map: jax.Array,
    *,
    train: bool,
    mask: jax.Array | None = None,
  ) -> jax.Array:
    """Maps two `[n, s, h, w, c]` to one."""
    features = silhouette.shape[-1]
    squeezed = max(features // _SQUEEZE, 1)
    x = jnp.concatenate([silhouette, heat_map], axis=-1)
    for name, size in (("squeeze", 1), ("mix", 3)):
      x = blocks.SpatialConv(
        squeezed, kernel_size=size, dtype=self.dtype, name=name
      )(x)
      x = normalization.BatchNorm(dtype=self.dtype, name=f"{name}_bn")(
        x, train=train, mask=mask
      )
      x = nn.relu(x)
    x = blocks.SpatialConv(
      2 * features, kernel_size=1, dtype=self.dtype, name="expand"
    )(x)
    score = x.astype(jnp.float32).reshape(*x.shape[:-1], 2, features)
    weight = nn.softmax(score, axis=-2).astype(self.dtype)
    return silhouette * weight[..., 0, :] + heat_map * weight[..., 1, :]
