"""The frame of GaitBase and DeepGaitV2: residual stages, set pooling, parts."""

from collections.abc import Mapping

from flax import linen as nn
import jax
import jax.numpy as jnp

from gaitkd_jax.models import blocks
from gaitkd_jax.models import heads
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
    remat: whether a backward pass computes the inside of every block anew,
      which saves memory and costs about a forward pass.
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
  remat: bool = False
  dtype: jnp.dtype = jnp.float32

  @property
  def bins(self) -> tuple[int, ...]:
    """Strips of equal height that the parts are, level by level."""
    return (self.parts,)

  @property
  def temporal(self) -> bool:
    """Whether the order of frames matters."""
    return self.mode != "2d"

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
        `read_frames` for the channels.
      lengths: int32 `[n]`, valid frames (at least 1) of each sequence; frames
        beyond never change a result. None: all are valid.
      train: whether normalisations use the statistics of this batch.

    Returns:
      "embedding" `[n, p, d]`, "retrieval" `[n, p, d]`, if it classifies
      "logits" `[n, p, k]` (cosines) and "neck" `[n, p, d]`, and the feature
      maps "stage0" ... "stage4" `[n, s, h, w, c]` and "set" `[n, h, w, c]`.
    """
    x = read_frames(silhouettes, self.in_channels, self.dtype)
    valid = pooling.frame_mask(lengths, x.shape[1])
    mask = None if valid is None else valid[:, :, None, None, None]
    x = blocks.zero_outside(x, mask)  # NaN times 0 is NaN in a gradient
    common = dict(dtype=self.dtype, train=train, mask=mask)
    out = {}
    x = blocks.stem(x, self.channels[0], name="stem", **common)
    out["stage0"] = x
    for i in range(4):
      x = out[f"stage{i + 1}"] = blocks.stage(
        x,
        self.channels[i],
        self.blocks[i],
        block=BLOCKS["2d" if i == 0 else self.mode],
        stride=STRIDES[i],
        name=f"stage{i + 1}",
        remat=self.remat,
        **common,
      )
    x = out["set"] = pooling.temporal_max(x, valid)
    # Strips are averaged in float32: a bfloat16 mean loses the small ones.
    x = pooling.horizontal_pooling(x.astype(jnp.float32), self.parts)
    out |= describe_parts(
      x, self.embedding_dim, self.num_classes, self.dtype, train
    )
    out["retrieval"] = out[self.retrieval]
    return out


def describe_parts(
  x: jax.Array,
  embedding_dim: int,
  num_classes: int,
  dtype: jnp.dtype,
  train: bool,
) -> dict[str, jax.Array]:
  """Embeds and classifies parts `[n, p, c]`.

  For the inside of a compact method: the modules "fc" and "neck" become the
  caller's.

  Returns:
    "embedding" and, if there are classes, "logits" and "neck".
  """
  out = {
    "embedding": heads.SeparateFC(embedding_dim, dtype=dtype, name="fc")(x)
  }
  if num_classes:
    out["neck"], out["logits"] = heads.Neck(num_classes, name="neck")(
      out["embedding"], train=train
    )
  return out


def read_frames(
  silhouettes: jax.Array, in_channels: int, dtype: jnp.dtype
) -> jax.Array:
  """Picks a network's channels out of a batch.

  Args:
    silhouettes: `[n, s, h, w]` or `[n, s, h, w, c]`. A network of one channel
      takes the last of several (the silhouette), one of two channels the first
      two of three (the heat maps).
    in_channels: channels of the network.
    dtype: of the computation.

  Returns:
    `[n, s, h, w, in_channels]`.

  Raises:
    ValueError: another number of axes or channels.
  """
  x = silhouettes
  if x.ndim == 4:
    x = x[..., None]
  if x.ndim != 5:
    raise ValueError(
      f"silhouettes have shape {silhouettes.shape}; give [n, s, h, w] or "
      "[n, s, h, w, c]"
    )
  if in_channels == 1:
    x = x[..., -1:]
  elif in_channels == 2 and x.shape[-1] == 3:
    x = x[..., :2]
  if x.shape[-1] != in_channels:
    raise ValueError(
      f"silhouettes of shape {silhouettes.shape} have {x.shape[-1]} "
      f"channels; the network takes {in_channels}"
    )
  return x.astype(dtype)
