"""The frame of GaitBase and DeepGaitV2: residual stages, set pooling, parts."""

from collections.abc import Mapping

from flax import linen as nn
import jax
import jax.numpy as jnp

from gaitkd_jax.models import blocks
from gaitkd_jax.models import heads
from gaitkd_jax.models import normalization
from gaitkd_jax.models import pooling

BLOCKS: Mapping[str, type[nn.Module]] = {
  "2d": blocks.BasicBlock2D,
  "p3d": blocks.P3DBlock,
  "3d": blocks.BasicBlock3D,
}
STRIDES = (1, 2, 2, 1)


class PartNetwork(nn.Module):
  """Frames -> residual stages -> maximum over time -> strips -> parts.

  Attributes:
    channels: widths of the four stages.
    blocks: number of residual blocks of the four stages.
    mode: block of stages 2 to 4: "2d", "p3d" or "3d"; stage 1 is 2-D.
    embedding_dim: width `d` of a part's embedding.
    num_classes: identities `k`; 0 leaves the classifier out.
    in_channels: channels of the input.
    parts: number of horizontal strips `p`.
    retrieval: what a search compares: "embedding" (before the neck, OpenGait's
      default) or "neck" (the unit-length feature behind it, `use_emb2`).
    dtype: of the computation; parameters and results are float32.
  """

  channels: tuple[int, ...]
  blocks: tuple[int, ...]
  mode: str
  embedding_dim: int
  num_classes: int
  in_channels: int = 1
  parts: int = 16
  retrieval: str = "embedding"
  dtype: jnp.dtype = jnp.float32

  @nn.compact
  def __call__(
    self,
    silhouettes: jax.Array,
    lengths: jax.Array | None = None,
    train: bool = False,
  ) -> dict[str, jax.Array]:
    """Embeds sequences.

    Args:
      silhouettes: `[n, s, h, w]` or `[n, s, h, w, c]` in [0, 1]. A network of
        one channel takes the last of several (the silhouette, by convention).
      lengths: int32 `[n]`, valid frames (at least 1) of each sequence; frames
        beyond never change a result. None: all are valid.
      train: whether normalisations use the statistics of this batch.

    Returns:
      "embedding" `[n, p, d]`, "retrieval" `[n, p, d]`, if it classifies
      "logits" `[n, p, k]` (cosines) and "neck" `[n, p, d]`, and the feature
      maps "stage0" ... "stage4" `[n, s, h, w, c]` and "set" `[n, h, w, c]`.
    """
    x = self._frames(silhouettes)
    valid = pooling.frame_mask(lengths, x.shape[1])
    mask = None if valid is None else valid[:, :, None, None, None]
    x = blocks.zero_outside(x, mask)  # NaN times 0 is NaN in a gradient
    out = {}
    x = blocks.SpatialConv(self.channels[0], dtype=self.dtype, name="stem")(x)
    x = normalization.BatchNorm(dtype=self.dtype, name="stem_bn")(
      x, train=train, mask=mask
    )
    x = out["stage0"] = nn.relu(x)
    for stage in range(4):
      block = BLOCKS["2d" if stage == 0 else self.mode]
      for i in range(self.blocks[stage]):
        x = block(
          self.channels[stage],
          stride=STRIDES[stage] if i == 0 else 1,
          dtype=self.dtype,
          name=f"stage{stage + 1}_block{i}",
        )(x, train=train, mask=mask)
      out[f"stage{stage + 1}"] = x
    x = out["set"] = pooling.temporal_max(x, valid)
    # Strips are averaged in float32: a bfloat16 mean loses the small ones.
    x = pooling.horizontal_pooling(x.astype(jnp.float32), self.parts)
    out["embedding"] = heads.SeparateFC(
      self.embedding_dim, dtype=self.dtype, name="fc"
    )(x)
    if self.num_classes:
      out["neck"], out["logits"] = heads.Neck(self.num_classes, name="neck")(
        out["embedding"], train=train
      )
    out["retrieval"] = out[self.retrieval]
    return out

  def _frames(self, silhouettes: jax.Array) -> jax.Array:
    """Returns `[n, s, h, w, in_channels]` in the dtype of the computation."""
    x = silhouettes
    if x.ndim == 4:
      x = x[..., None]
    if x.ndim != 5:
      raise ValueError(
        f"silhouettes have shape {silhouettes.shape}; give [n, s, h, w] or "
        "[n, s, h, w, c]"
      )
    if self.in_channels == 1:
      x = x[..., -1:]
    if x.shape[-1] != self.in_channels:
      raise ValueError(
        f"silhouettes of shape {silhouettes.shape} have {x.shape[-1]} "
        f"channels; the network takes {self.in_channels}"
      )
    return x.astype(self.dtype)
