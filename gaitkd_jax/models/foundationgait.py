"""FoundationGait (Ye et al., arXiv 2512.00691): a pre-trained DeepGaitV2."""

from collections.abc import Mapping
from collections.abc import Sequence
from typing import Any

import jax
import numpy as np

from gaitkd_jax.models import checks
from gaitkd_jax.models import heads
from gaitkd_jax.models import layers
from gaitkd_jax.models import network
from gaitkd_jax.models import opengait_keys
from gaitkd_jax.models import residual_network

# OpenGait's name of the network that the self-supervised stage leaves.
_BACKBONE = "teacher_backbone."
_PREDICTOR = f"{_BACKBONE}predictor"
# Multiples of the learning rate in OpenGait's recipes, by the module's name.
_FROZEN = ("stem", "stage1", "stage2")
_SLOWER = {"stage3": 0.01, "stage4": 0.05, "projector": 0.1, "predictor": 0.1}


def fine_tuning(path: Sequence[str]) -> network.ParameterGroup:
  """The first stages stay as they are, the others learn the faster the later.

  Rates are those of OpenGait's recipes, 0.1 being that of the heads: 0 for the
  stem and stages 1 and 2, 0.001 for stage 3, 0.005 for stage 4, 0.01 for the
  projector. What stays still normalises with the batch's statistics, as there.
  """
  module = path[0].partition("_block")[0]
  rate = 0.0 if module in _FROZEN else _SLOWER.get(module, 1.0)
  return network.ParameterGroup(rate, decays=True)


class FoundationGait(residual_network.ResidualStages):
  """A deep DeepGaitV2-P3D, a pyramid of strips, a projector of each part.

  With `embedding_dim` it is the network as fine-tuned: the projector's result
  at unit length goes through a linear layer and a neck ("embedding" `[n, p,
  d]`, "logits", "neck"). Without, it is what the self-supervised stage leaves:
  "embedding" is the predictor's result at unit length, `[n, p, c]`, as wide as
  stage 4, which OpenGait compares where nothing is fine-tuned. "projection"
  `[n, p, c]` is the projector's result at unit length.

  Differences: OpenGait trains on clips of which some are cut into strips that
  the stages see one by one ("crop_list"); here all clips are whole.

  Attributes:
    embedding_dim: width `d` of a part's embedding; 0 leaves the linear layer
      and the neck out, and `num_classes` must be 0 then.
    bins: strips of each level of the pyramid; their sum is the parts `p`.
  """

  blocks: tuple[int, ...] = (1, 4, 8, 4)
  embedding_dim: int = 256
  bins: tuple[int, ...] = (16, 8, 4, 2, 1)

  config_checks = {
    **residual_network.ResidualStages.config_checks,
    "bins": checks.some_of(1, 2, 4, 8, 16),
    "embedding_dim": checks.at_least(
      0, "0 (the pre-trained network, without a head) or more"
    ),
  }
  optimizer_groups = {"fine_tuning": fine_tuning}

  def __post_init__(self) -> None:
    if self.num_classes and not self.embedding_dim:
      raise ValueError(
        f"embedding_dim is 0, but there are {self.num_classes} classes; give "
        "the width of the embeddings that are classified, or num_classes=0"
      )
    super().__post_init__()

  @property
  def width(self) -> int:
    """As the config says, or as wide as stage 4."""
    return self.embedding_dim or self.channels[3]

  @property
  def block(self) -> type[layers.Block]:
    """Pseudo-3-D, as in all that is published."""
    return layers.P3DBlock

  @property
  def temporal(self) -> bool:
    """Blocks convolve over time."""
    return True

  @property
  def smoke_size(self) -> Mapping[str, Any]:
    """Few narrow blocks and narrow embeddings."""
    size = {**super().smoke_size, "blocks": (1, 1, 1, 1)}
    return size | ({"embedding_dim": 16} if self.embedding_dim else {})

  @property
  def opengait_rules(self) -> opengait_keys.Rules:
    """OpenGait's "FoundationGait_Scaling_Finetune", or "..._Scaling"."""
    return (
      *opengait_keys.first_stage(_BACKBONE),
      *opengait_keys.later_stages("p3d", key_prefix=_BACKBONE),
      *_part_layers(f"{_BACKBONE}projector", "projector"),
      *_part_layers(_PREDICTOR, "predictor"),
      *opengait_keys.HEAD,
    )

  @property
  def opengait_unused(self) -> Mapping[str, np.ndarray]:
    """The predictor, which fine-tuning does not use: one that gives zeros."""
    if not self.embedding_dim:
      return {}
    width, parts = self.channels[3], sum(self.bins)
    kernel = np.zeros((parts, width, width), np.float32)
    flat = np.zeros(parts * width, np.float32)
    norm = f"{_PREDICTOR}.1.bn1d"
    return {
      f"{_PREDICTOR}.0.fc_bin": kernel,
      f"{norm}.weight": flat + 1,
      f"{norm}.bias": flat,
      f"{norm}.running_mean": flat,
      f"{norm}.running_var": flat + 1,
      f"{norm}.num_batches_tracked": np.zeros((), np.int64),
      f"{_PREDICTOR}.3.fc_bin": kernel,
    }

  def describe(self, x: jax.Array, train: bool) -> dict[str, jax.Array]:
    """Projects, embeds and classifies parts; see `ResidualStages`."""
    projector = heads.PartLayers(
      rectified=True, dtype=self.dtype, name="projector"
    )
    x = projector(x, train=train)
    projection = heads.unit_length(x, axis=-1)
    out = {"projection": projection}
    if self.embedding_dim:
      return out | heads.describe_parts(
        projection,
        self.width,
        self.num_classes,
        self.dtype,
        train,
        rectified=False,
      )
    predictor = heads.PartLayers(
      normalized=False, dtype=self.dtype, name="predictor"
    )
    x = predictor(x, train=train)
    return out | {"embedding": heads.unit_length(x, axis=-1)}


def _part_layers(key: str, path: str) -> opengait_keys.Rules:
  """The layers of a projector or a predictor; rectifiers are numbered, too."""
  return (
    opengait_keys.Rule(f"{key}.0.fc_bin", f"params/{path}/fc1/kernel"),
    *opengait_keys.norm(f"{key}.1.bn1d", f"{path}/norm1", "neck"),
    opengait_keys.Rule(f"{key}.3.fc_bin", f"params/{path}/fc2/kernel"),
    *opengait_keys.norm(f"{key}.4.bn1d", f"{path}/norm2", "neck"),
  )
