"""DeepGaitV2 (Fan et al., "Exploring Deep Models", 2023): 2-D, P3D and 3-D."""

from collections.abc import Mapping

from gaitkd_jax.models import checks
from gaitkd_jax.models import layers
from gaitkd_jax.models import opengait_keys
from gaitkd_jax.models import residual_network

BLOCKS: Mapping[str, type[layers.Block]] = {
  "2d": layers.BasicBlock2D,
  "p3d": layers.P3DBlock,
  "3d": layers.BasicBlock3D,
}


class DeepGaitV2(residual_network.ResidualNetwork):
  """A deeper GaitBase whose stages 2 to 4 may convolve over time.

  Of heat maps (`in_channels=2`) it is SkeletonGait. An embedding is as wide as
  stage 3.

  Attributes:
    mode: block of stages 2 to 4: "2d", "p3d" or "3d"; stage 1 is 2-D.
  """

  blocks: tuple[int, ...] = (1, 4, 4, 1)
  mode: str = "p3d"

  config_checks = {
    **residual_network.ResidualNetwork.config_checks,
    "mode": checks.one_of(*BLOCKS),
  }
  kinds = {mode: {"mode": mode} for mode in BLOCKS}

  @property
  def width(self) -> int:
    """As wide as stage 3."""
    return self.channels[2]

  @property
  def block(self) -> type[layers.Block]:
    """That of the mode."""
    return BLOCKS[self.mode]

  @property
  def temporal(self) -> bool:
    """The blocks "p3d" and "3d" convolve over time."""
    return self.mode != "2d"

  @property
  def opengait_rules(self) -> opengait_keys.Rules:
    """OpenGait's "DeepGaitV2"."""
    return (
      *opengait_keys.first_stage(),
      *opengait_keys.later_stages(self.mode),
      *opengait_keys.HEAD,
    )
