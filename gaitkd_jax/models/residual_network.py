"""What GaitBase, DeepGaitV2 and FoundationGait share: residual stages."""

import abc
from collections.abc import Mapping
from typing import Any

from flax import linen as nn
import jax
import jax.numpy as jnp

from gaitkd_jax.models import checks
from gaitkd_jax.models import heads
from gaitkd_jax.models import inputs
from gaitkd_jax.models import layers
from gaitkd_jax.models import network
from gaitkd_jax.models import pooling


class ResidualStages(network.GaitNetwork):
  """Frames -> residual stages -> maximum over time -> strips -> parts.

  Feature maps: "stage0" ... "stage4" `[n, s, h, w, c]` and "set"
  `[n, h, w, c]`.

  Attributes:
    channels: widths of the four stages.
    blocks: number of residual blocks of the four stages.
    num_classes: see `GaitNetwork`.
    retrieval: see `GaitNetwork`.
    remat: whether a backward pass computes the inside of every block anew,
      which saves memory and costs about a forward pass.
  """

  channels: tuple[int, ...] = (64, 128, 256, 512)
  blocks: tuple[int, ...] = (1, 1, 1, 1)
  num_classes: int = 0
  retrieval: str = "embedding"
  remat: bool = False

  config_checks = {
    **network.GaitNetwork.config_checks,
    "channels": checks.FOUR_WIDTHS,
    "blocks": checks.FOUR_DEPTHS,
  }

  @property
  @abc.abstractmethod
  def width(self) -> int:
    """Width `d` of a part's embedding."""

  @property
  @abc.abstractmethod
  def block(self) -> type[layers.Block]:
    """The block of stages 2 to 4; that of stage 1 is 2-D."""

  @property
  def smoke_size(self) -> Mapping[str, Any]:
    """Narrow stages."""
    return {"channels": (4, 8, 16, 16)}

  @nn.compact
  def encode(
    self, frames: inputs.Frames, *, train: bool
  ) -> dict[str, jax.Array]:
    """Computes the end points; see `GaitNetwork.encode`."""
    clips = frames.clips
    x = layers.stem(
      frames.merged,
      clips,
      self.channels[0],
      name="stem",
      dtype=self.dtype,
      train=train,
    )
    out = {"stage0": clips.split(x)}
    for i in range(4):
      x = layers.stage(
        x,
        clips,
        self.channels[i],
        self.blocks[i],
        block=self.block if i else layers.BasicBlock2D,
        stride=layers.STRIDES[i],
        name=f"stage{i + 1}",
        dtype=self.dtype,
        train=train,
        remat=self.remat,
      )
      out[f"stage{i + 1}"] = clips.split(x)
    x = out["set"] = pooling.temporal_max(clips.split(x), frames.valid)
    # Strips are averaged in float32: a bfloat16 mean loses the small ones.
    x = pooling.pyramid_pooling(x.astype(jnp.float32), self.bins)
    return out | self.describe(x, train)

  def describe(self, x: jax.Array, train: bool) -> dict[str, jax.Array]:
    """Embeds and classifies parts; called by `encode`, as a part of it.

    Args:
      x: float32 `[n, p, c]`, the pooled strips; no value is negative.
      train: see `GaitNetwork.__call__`.

    Returns:
      See `heads.describe_parts`.
    """
    return heads.describe_parts(
      x, self.width, self.num_classes, self.dtype, train
    )


class ResidualNetwork(ResidualStages):
  """Residual stages and one level of strips.

  Attributes:
    parts: number of horizontal strips `p`.
  """

  parts: int = 16

  @property
  def bins(self) -> tuple[int, ...]:
    """One level of strips."""
    return (self.parts,)
