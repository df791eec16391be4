"""SwinGait (Fan et al., "Exploring Deep Models", 2023)."""

from flax import linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from gaitkd_jax.models import blocks
from gaitkd_jax.models import part_network
from gaitkd_jax.models import pooling
from gaitkd_jax.models import swin

_SIZE = (30, 20)  # of the transformer's input
_STRIPS = 15
# DeepGaitV2's heads, whose weights SwinGait starts from, have one more.
_HEADS = 16


class SwinGait(nn.Module):
  """DeepGaitV2-P3D's first stages, then a video Swin transformer.

  Attributes:
    channels: widths of the two convolutional stages.
    blocks: number of 2-D, P3D, first and second transformer blocks.
    num_classes: identities `k`; 0 leaves the classifier out.
    drop_path_rate: share of sequences that skip the last transformer block in
      training; it grows linearly from 0 at the first.
    dim: width of the first transformer stage and of an embedding; the second
      stage has twice as much.
    in_channels: channels of the input.
    retrieval: what a search compares: "embedding" or "neck".
    remat: whether a backward pass computes the inside of every block anew,
      which saves memory and costs about a forward pass.
    dtype: of the computation; parameters and results are float32.
  """

  channels: tuple[int, ...] = (64, 128)
  blocks: tuple[int, ...] = (1, 4, 4, 2)
  num_classes: int = 0
  drop_path_rate: float = 0.1
  dim: int = 256
  in_channels: int = 1
  retrieval: str = "embedding"
  remat: bool = False
  dtype: jnp.dtype = jnp.float32

  @property
  def bins(self) -> tuple[int, ...]:
    """Strips of equal height that the parts are, level by level."""
    return (_STRIPS,)

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
      train: whether normalisations use the statistics of this batch, and paths
        are dropped: that needs an rng "dropout".

    Returns:
      As `PartNetwork.__call__`, with 15 parts; "stage3" and "stage4" are the
      transformer's.
    """
    x = part_network.read_frames(silhouettes, self.in_channels, self.dtype)
    valid = pooling.frame_mask(lengths, x.shape[1])
    mask = None if valid is None else valid[:, :, None, None, None]
    x = blocks.zero_outside(x, mask)  # NaN times 0 is NaN in a gradient
    common = dict(dtype=self.dtype, train=train, mask=mask)
    out = {}
    x = blocks.stem(x, self.channels[0], name="stem", **common)
    out["stage0"] = x
    for i, block in enumerate((blocks.BasicBlock2D, blocks.P3DBlock)):
      x = out[f"stage{i + 1}"] = blocks.stage(
        x,
        self.channels[i],
        self.blocks[i],
        block=block,
        stride=part_network.STRIDES[i],
        name=f"stage{i + 1}",
        remat=self.remat,
        **common,
      )
    out["stage3"], x = swin.Transformer(
      self.dim,
      self.blocks[2:],
      self.drop_path_rate,
      remat=self.remat,
      dtype=self.dtype,
      name="transformer",
    )(resize(x, _SIZE), lengths, train=train)
    out["stage4"] = x
    x = out["set"] = pooling.temporal_max(x, valid)
    x = pooling.horizontal_pooling(x.astype(jnp.float32), _STRIPS)
    surplus = jnp.repeat(x[:, -1:], _HEADS - _STRIPS, axis=1)
    parts = part_network.describe_parts(
      jnp.concatenate([x, surplus], axis=1),
      self.dim,
      self.num_classes,
      self.dtype,
      train,
    )
    out |= {name: value[:, :_STRIPS] for name, value in parts.items()}
    out["retrieval"] = out[self.retrieval]
    return out


def resize(x: jax.Array, size: tuple[int, int]) -> jax.Array:
  """Bilinear, with the centres of the corner pixels kept in place.

  This is PyTorch's `align_corners=True`; `jax.image.resize` keeps the outer
  edges instead.

  Args:
    x: `[n, s, h, w, c]`.
    size: the new height and width.

  Returns:
    `[n, s, *size, c]`.
  """
  for axis, old, new in zip("hw", x.shape[2:4], size, strict=True):
    place = np.arange(new)[:, None] * (old - 1) / (new - 1)
    weights = np.maximum(1 - np.abs(place - np.arange(old)), 0)
    x = jnp.einsum(
      f"o{axis},nshwc->ns{'hw'.replace(axis, 'o')}c",
      jnp.asarray(weights, x.dtype),
      x,
      precision=jax.lax.Precision.HIGHEST,
    )
  return x
