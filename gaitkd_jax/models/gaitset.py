"""GaitSet (Chao et al., AAAI 2019)."""

from flax import linen as nn
import jax
import jax.numpy as jnp

from gaitkd_jax.models import blocks
from gaitkd_jax.models import heads
from gaitkd_jax.models import part_network
from gaitkd_jax.models import plain
from gaitkd_jax.models import pooling

_BINS = (16, 8, 4, 2, 1)


class GaitSet(nn.Module):
  """Frames as a set: a stream of frames beside one of their maxima.

  Attributes:
    channels: widths of the three stages.
    embedding_dim: width `d` of a part's embedding.
    in_channels: channels of the input.
    dtype: of the computation; parameters and results are float32.
  """

  channels: tuple[int, ...] = (32, 64, 128)
  embedding_dim: int = 256
  in_channels: int = 1
  dtype: jnp.dtype = jnp.float32

  @property
  def bins(self) -> tuple[int, ...]:
    """Strips of equal height that the parts are, level by level."""
    return _BINS + _BINS

  @property
  def temporal(self) -> bool:
    """Whether the order of frames matters."""
    return False

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
      "embedding" and "retrieval" `[n, 62, d]`, the same: 31 parts (16, 8, 4, 2
      and 1 strips) of the maximum over frames, then 31 of the stream of sets;
      the feature maps "stage1" ... "stage3" `[n, s, h, w, c]` of the frames,
      "set" `[n, h, w, c]`, their maximum, and "global" of the same shape, the
      last of the stream of sets.
    """
    del train
    x = part_network.read_frames(silhouettes, self.in_channels, self.dtype)
    valid = pooling.frame_mask(lengths, x.shape[1])
    mask = None if valid is None else valid[:, :, None, None, None]
    x = blocks.zero_outside(x, mask)  # NaN times 0 is NaN in a gradient
    out = {}
    for i, features in enumerate(self.channels):
      common = dict(dtype=self.dtype, pool=i < 2)
      x = out[f"stage{i + 1}"] = plain.stage(
        x,
        features,
        name=f"stage{i + 1}",
        first_size=3 if i else 5,
        **common,
      )
      highest = pooling.temporal_max(x, valid)
      if i == 0:
        total = highest
        continue
      # A set is a sequence of one frame.
      total = plain.stage(
        total[:, None], features, name=f"set_stage{i + 1}", **common
      )
      total = total[:, 0] + highest
    out["set"], out["global"] = highest, total
    parts = [
      pooling.horizontal_pooling(x.astype(jnp.float32), bins)
      for x in (highest, total)
      for bins in _BINS
    ]
    out["embedding"] = heads.SeparateFC(
      self.embedding_dim, dtype=self.dtype, name="fc"
    )(jnp.concatenate(parts, axis=1))
    out["retrieval"] = out["embedding"]
    return out
