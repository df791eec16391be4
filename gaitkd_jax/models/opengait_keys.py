"""How a network says where OpenGait keeps its arrays.

A network declares rules (`GaitNetwork.opengait_rules`); the package `opengait`
reads them in both directions. The functions below are the rules of layers that
several networks share.
"""

from collections.abc import Mapping
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np


class Rule(NamedTuple):
  """Where an array lies in OpenGait's state dict and in Flax variables.

  Attributes:
    key: in OpenGait's state dict, with fields in braces.
    path: in Flax variables, with the same fields, which stand for lower-case
      letters and digits.
    layout: how the axes differ. "same": not at all. "kernel": OpenGait has
      [out, in, ...window], Flax [...window, in, out]. "spatial" and
      "temporal": such a kernel whose window is (h, w) or (t, 1) in Flax, but
      (1, h, w) or (t, 1, 1) in OpenGait. "neck": a vector that OpenGait
      flattens with channels before parts, Flax with parts before channels.
    beside: arrays that OpenGait computes itself but keeps beside this one, by
      the last component of their key.
  """

  key: str
  path: str
  layout: str = "same"
  beside: Mapping[str, np.ndarray] = {}


Rules = tuple[Rule, ...]


def norm(key: str, path: str, layout: str = "same") -> Rules:
  """Batch normalisation, or layer normalisation, which has no statistics."""
  counter = {"num_batches_tracked": np.zeros((), np.int64)}
  return (
    Rule(f"{key}.weight", f"params/{path}/scale", layout),
    Rule(f"{key}.bias", f"params/{path}/bias", layout),
    Rule(f"{key}.running_mean", f"batch_stats/{path}/mean", layout),
    Rule(f"{key}.running_var", f"batch_stats/{path}/var", layout, counter),
  )


def conv(key: str, path: str, layout: str = "kernel") -> Rules:
  """The convolution of a `conv_layer.ConvLayer`."""
  return (Rule(f"{key}.weight", f"params/{path}/kernel", layout),)


def linear(key: str, path: str, layout: str = "kernel") -> Rules:
  """A linear layer with or without a bias."""
  return (
    Rule(f"{key}.weight", f"params/{path}/kernel", layout),
    Rule(f"{key}.bias", f"params/{path}/bias"),
  )


def leaky_stage(prefix: str, path: str, first: int = 0) -> Rules:
  """The two convolutions of `leaky_stages.stage`.

  Args:
    prefix: OpenGait's name of the sequence of layers.
    path: of the stage.
    first: number of the first convolution; rectifiers are numbered, too.
  """
  return (
    *conv(f"{prefix}.{first}.conv", f"{path}_conv1"),
    *conv(f"{prefix}.{first + 2}.conv", f"{path}_conv2"),
  )


def residual_stage(key: str, path: str, kind: str) -> Rules:
  """The blocks of a stage.

  Args:
    key: OpenGait's name of the stage.
    path: of the stage.
    kind: of its blocks: "2d", "p3d", "3d", or "frames": 2-D like "2d", but in
      GaitBase's ResNet9.
  """
  # To go frame by frame OpenGait wraps a whole 2-D stage, but of a pseudo-3-D
  # block its single layers, and of GaitBase the whole backbone.
  key += ".forward_block.{block}" if kind == "2d" else ".{block}"
  path = f"{path}_block{{block}}"
  rules: list[Rule] = []
  for i in (1, 2):
    wrapper = f"{key}.conv{i}.forward_block"
    names = (f"{wrapper}.0", f"{wrapper}.1")
    if kind != "p3d":
      names = (f"{key}.conv{i}", f"{key}.bn{i}")
    rules += conv(names[0], f"{path}/conv{i}")
    rules += norm(names[1], f"{path}/conv{i}/norm")
  if kind == "p3d":
    rules += conv(f"{key}.shortcut3d", f"{path}/temporal", "temporal")
    rules += norm(f"{key}.sbn", f"{path}/temporal/norm")
  flat = kind in ("2d", "frames")
  rules += conv(
    f"{key}.downsample.0", f"{path}/shortcut", "kernel" if flat else "spatial"
  )
  rules += norm(f"{key}.downsample.1", f"{path}/shortcut/norm")
  return tuple(rules)


def first_stage(key_prefix: str = "", path_prefix: str = "") -> Rules:
  """DeepGaitV2's stem and first stage, which are 2-D in all of its modes.

  Args:
    key_prefix: in front of OpenGait's names.
    path_prefix: in front of the names in Flax.
  """
  return (
    *conv(f"{key_prefix}layer0.forward_block.0", f"{path_prefix}stem"),
    *norm(f"{key_prefix}layer0.forward_block.1", f"{path_prefix}stem/norm"),
    *residual_stage(f"{key_prefix}layer1", f"{path_prefix}stage1", "2d"),
  )


def later_stages(
  mode: str, stages: Sequence[int] = (2, 3, 4), key_prefix: str = ""
) -> Rules:
  """DeepGaitV2's further stages, in one of its modes.

  Args:
    mode: "2d", "p3d" or "3d".
    stages: their numbers.
    key_prefix: in front of OpenGait's names.
  """
  return tuple(
    rule
    for i in stages
    for rule in residual_stage(f"{key_prefix}layer{i}", f"stage{i}", mode)
  )


NECK: Rules = (
  Rule("BNNecks.fc_bin", "params/neck/kernel"),
  *norm("BNNecks.bn1d", "neck/bn", "neck"),
)
# Linear layer and neck of the parts.
HEAD: Rules = (Rule("FCs.fc_bin", "params/fc/kernel"), *NECK)
# The linear layer of networks without a neck.
HEAD_WITHOUT_NECK: Rules = (Rule("Head.fc_bin", "params/fc/kernel"),)
