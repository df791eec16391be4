"""GaitSet (Chao et al., AAAI 2019)."""

from collections.abc import Mapping
import functools
from typing import Any

from flax import linen as nn
import jax
import jax.numpy as jnp

from gaitkd_jax.models import checks
from gaitkd_jax.models import heads
from gaitkd_jax.models import inputs
from gaitkd_jax.models import leaky_stages
from gaitkd_jax.models import network
from gaitkd_jax.models import opengait_keys
from gaitkd_jax.models import pooling
from gaitkd_jax.models import quantizers

_BINS = (16, 8, 4, 2, 1)


class GaitSet(network.GaitNetwork):
  """Frames as a set: a stream of frames beside one of their maxima.

  There are 62 parts: 31 (16, 8, 4, 2 and 1 strips) of the maximum over frames,
  then 31 of the stream of maxima. There is no neck, and training makes no
  difference: nothing is normalised. Feature maps: "stage1" ... "stage3"
  `[n, s, h, w, c]` of the frames, "set" `[n, h, w, c]`, their maximum, and
  "global" of the same shape, the end of the stream of maxima.

  Attributes:
    channels: widths of the three stages.
    embedding_dim: width `d` of a part's embedding.
  """

  channels: tuple[int, ...] = (32, 64, 128)
  embedding_dim: int = 256

  config_checks = {
    **network.GaitNetwork.config_checks,
    "channels": checks.THREE_WIDTHS,
  }

  @property
  def bins(self) -> tuple[int, ...]:
    """Five levels of each stream."""
    return _BINS + _BINS

  @property
  def temporal(self) -> bool:
    """Frames are a set."""
    return False

  @property
  def smoke_size(self) -> Mapping[str, Any]:
    """Narrow stages and embeddings."""
    return {"channels": (4, 8, 16), "embedding_dim": 16}

  @property
  def opengait_rules(self) -> opengait_keys.Rules:
    """OpenGait's "GaitSet"."""
    return (
      *opengait_keys.leaky_stage(
        "set_block{stage}.forward_block", "stage{stage}"
      ),
      *opengait_keys.leaky_stage("gl_block{stage}", "set_stage{stage}"),
      *opengait_keys.HEAD_WITHOUT_NECK,
    )

  @nn.compact
  def encode(
    self, frames: inputs.Frames, *, train: bool
  ) -> dict[str, jax.Array]:
    """Computes the end points; see `GaitNetwork.encode`."""
    x, clips = frames.merged, frames.clips
    out = {}
    for i, features in enumerate(self.channels):
      stage = functools.partial(
        leaky_stages.stage, dtype=self.dtype, pool=i < 2, train=train
      )
      x = stage(
        x,
        features,
        name=f"stage{i + 1}",
        frames=clips.frames,
        first_size=3 if i else 5,
        reads_frames=i == 0,
      )
      out[f"stage{i + 1}"] = clips.split(x)
      highest = pooling.temporal_max(clips.split(x), frames.valid)
      if i == 0:
        total = highest
        continue
      # A set is a sequence of one frame.
      total = stage(total, features, name=f"set_stage{i + 1}", frames=1)
      total = quantizers.activation(
        total + highest,
        rectified=False,
        name=f"set_sum{i + 1}",
        train=train,
      )
    out["set"], out["global"] = highest, total
    parts = [
      pooling.horizontal_pooling(x.astype(jnp.float32), bins)
      for x in (highest, total)
      for bins in _BINS
    ]
    out["embedding"] = heads.SeparateFC(
      self.embedding_dim, dtype=self.dtype, name="fc"
    )(jnp.concatenate(parts, axis=1), train=train)
    return out
