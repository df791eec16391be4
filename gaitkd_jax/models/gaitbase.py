"""GaitBase (Fan et al., "OpenGait", CVPR 2023)."""

from collections.abc import Mapping
from typing import Any

from gaitkd_jax.models import layers
from gaitkd_jax.models import opengait_keys
from gaitkd_jax.models import residual_network

_RESNET = "Backbone.forward_block"


class GaitBase(residual_network.ResidualNetwork):
  """ResNet9 on every frame, maximum over time, 16 strips.

  Attributes:
    embedding_dim: width `d` of a part's embedding.
  """

  embedding_dim: int = 256

  @property
  def width(self) -> int:
    """As the config says."""
    return self.embedding_dim

  @property
  def block(self) -> type[layers.Block]:
    """2-D, as in stage 1."""
    return layers.BasicBlock2D

  @property
  def temporal(self) -> bool:
    """Frames are a set."""
    return False

  @property
  def smoke_size(self) -> Mapping[str, Any]:
    """Narrow stages and embeddings."""
    return {**super().smoke_size, "embedding_dim": 16}

  @property
  def opengait_rules(self) -> opengait_keys.Rules:
    """OpenGait's "Baseline" with a ResNet9."""
    return (
      *opengait_keys.conv(f"{_RESNET}.conv1.conv", "stem"),
      *opengait_keys.norm(f"{_RESNET}.bn1", "stem/norm"),
      *(
        rule
        for i in (1, 2, 3, 4)
        for rule in opengait_keys.residual_stage(
          f"{_RESNET}.layer{i}", f"stage{i}", "frames"
        )
      ),
      *opengait_keys.HEAD,
    )
