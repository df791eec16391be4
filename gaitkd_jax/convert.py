"""OpenGait state dicts to Flax variables.

The keys of all families are rewritten by the tables below; what is left over
or missing afterwards is an error that lists it.
"""

from collections.abc import Mapping
from collections.abc import Sequence
import functools
import re
from typing import Any

import jax
import numpy as np

from gaitkd_jax import errors
from gaitkd_jax import models

# Written by distillation, by losses with parameters, and buffers of no use.
IGNORED = re.compile(
  r"^(teacher_models?|loss_aggregator)\."
  r"|num_batches_tracked$|relative_position_index$"
)
_HEAD = (
  (r"FCs\.fc_bin", "fc/kernel"),
  (r"BNNecks\.fc_bin", "neck/kernel"),
  (r"BNNecks\.bn1d", "neck/bn"),
)
_BLOCK = (
  (r"(?P<conv>conv[12])(\.forward_block\.0)?\.weight", r"\g<conv>/conv/kernel"),
  (r"conv(?P<i>[12])\.forward_block\.1", r"bn\g<i>"),
  (r"bn(?P<i>[12])", r"bn\g<i>"),
  (r"shortcut3d\.weight", "temporal/conv/kernel"),
  (r"sbn", "temporal_bn"),
  (r"downsample\.0\.weight", "shortcut/conv/kernel"),
  (r"downsample\.1", "shortcut_bn"),
)


def _stages(prefix: str, ours: str = "") -> tuple[tuple[str, str], ...]:
  """The rules of a block for every block of every stage."""
  return tuple(
    (
      rf"{prefix}layer(?P<stage>[1-4])\.(forward_block\.)?(?P<block>\d+)\.{key}",
      rf"{ours}stage\g<stage>_block\g<block>/{path}",
    )
    for key, path in _BLOCK
  )


def _stem(prefix: str = "", ours: str = "") -> tuple[tuple[str, str], ...]:
  layer = rf"{prefix}layer0\.forward_block"
  return (
    (rf"{layer}\.0\.weight", f"{ours}stem/conv/kernel"),
    (rf"{layer}\.1", f"{ours}stem_bn"),
  )


def _linear(key: str, path: str) -> tuple[tuple[str, str], ...]:
  return (
    (rf"{key}\.weight", f"{path}/kernel"),
    (rf"{key}\.bias", f"{path}/bias"),
  )


_SWIN_BLOCK = (
  (r"(?P<norm>norm[12])", r"\g<norm>"),
  (r"attn\.relative_position_bias_table", "attention/bias_table"),
  *_linear(r"attn\.(?P<linear>qkv|proj)", r"attention/\g<linear>"),
  *_linear(r"mlp\.(?P<linear>fc[12])", r"\g<linear>"),
)
_FUSION = r"fusion\.conv\.forward_block"


RULES: Mapping[str, Sequence[tuple[str, str]]] = {
  "gaitbase": (
    (r"Backbone\.forward_block\.conv1\.conv\.weight", "stem/conv/kernel"),
    (r"Backbone\.forward_block\.bn1", "stem_bn"),
    *_stages(r"Backbone\.forward_block\."),
    *_HEAD,
  ),
  "deepgaitv2": (
    *_stem(),
    *_stages(""),
    *_HEAD,
  ),
  "skeletongaitpp": (
    *_stem("sil_", "silhouette_"),
    *_stem("map_", "map_"),
    *_stages("sil_", "silhouette_"),
    *_stages("map_", "map_"),
    (rf"{_FUSION}\.0\.weight", "fusion/squeeze/conv/kernel"),
    (rf"{_FUSION}\.1", "fusion/squeeze_bn"),
    (rf"{_FUSION}\.3\.weight", "fusion/mix/conv/kernel"),
    (rf"{_FUSION}\.4", "fusion/mix_bn"),
    (rf"{_FUSION}\.6\.weight", "fusion/expand/conv/kernel"),
    *_stages(""),
    *_HEAD,
  ),
  "swingait": (
    *_stem(),
    *_stages(""),
    *_linear(r"transformer\.patch_embed\.proj", "transformer/patch_embed/proj"),
    (r"transformer\.patch_embed\.norm", "transformer/patch_embed/norm"),
    *(
      (
        rf"transformer\.layers\.(?P<stage>[01])\.blocks\.(?P<block>\d+)\.{key}",
        rf"transformer/stage\g<stage>_block\g<block>/{path}",
      )
      for key, path in _SWIN_BLOCK
    ),
    (r"transformer\.layers\.0\.downsample\.0", "transformer/downsample_norm"),
    *_linear(
      r"transformer\.layers\.0\.downsample\.1", "transformer/downsample"
    ),
    (r"transformer\.norm", "transformer/norm"),
    *_HEAD,
  ),
}
_STATISTICS = {
  "weight": ("params", "scale"),
  "bias": ("params", "bias"),
  "running_mean": ("batch_stats", "mean"),
  "running_var": ("batch_stats", "var"),
}


def variables_from_opengait(
  state: Mapping[str, np.ndarray], model_config: Mapping[str, Any]
) -> dict[str, Any]:
  """Converts the state dict of an OpenGait model.

  Args:
    state: arrays by OpenGait's key. Prefixes `module.` are stripped; keys of
      teachers, of losses and `num_batches_tracked` are ignored.
    model_config: the model's config, as for `models.create_model`.

  Returns:
    `{"params": ..., "batch_stats": ...}` for `module.apply`.

  Raises:
    UserError: a key is left over or missing, or has another shape; the message
      lists them.
  """
  module = models.create_model(model_config)
  name = model_config["name"]
  wanted = jax.eval_shape(
    functools.partial(models.init_variables, module), jax.random.key(0)
  )
  wanted = {
    "/".join(k.key for k in path): leaf
    for path, leaf in jax.tree.leaves_with_path(wanted)
  }
  parts = wanted["params/fc/kernel"].shape[0]
  found: dict[str, np.ndarray] = {}
  left_over = []
  for key, value in state.items():
    key = key.removeprefix("module.")
    if IGNORED.search(key):
      continue
    path = _path(key, RULES[name])
    if path not in wanted:
      left_over.append(key)
      continue
    value = np.asarray(value, np.float32)
    found[path] = _layout(key, value, wanted[path].shape, parts)
  missing = sorted(set(wanted) - set(found))
  if left_over or missing:
    raise errors.UserError(
      f"the OpenGait weights do not fit model {name}: "
      f"left over {_list(sorted(left_over))}; missing {_list(missing)}; "
      "compare mode, channels, blocks and num_classes with its YAML"
    )
  variables: dict[str, Any] = {}
  for path, value in found.items():
    *parents, leaf = path.split("/")
    node = variables
    for parent in parents:
      node = node.setdefault(parent, {})
    node[leaf] = value
  return variables


def _path(key: str, rules: Sequence[tuple[str, str]]) -> str | None:
  """The place of `key` in our variables, or None if no rule knows it."""
  for pattern, replacement in rules:
    if match := re.fullmatch(pattern, key):
      return "params/" + match.expand(replacement)
    stem, _, leaf = key.rpartition(".")
    match = re.fullmatch(pattern, stem)
    if match and leaf in _STATISTICS and not replacement.endswith("kernel"):
      collection, leaf = _STATISTICS[leaf]
      return f"{collection}/{match.expand(replacement)}/{leaf}"
  return None


def _layout(
  key: str, value: np.ndarray, shape: tuple[int, ...], parts: int
) -> np.ndarray:
  """Turns PyTorch's axes into ours."""
  original = value.shape
  if "fc_bin" not in key and value.ndim >= 4:
    # [out, in, ...window] -> [...window, in, out]; our (3, 1) and 1 x 1
    # convolutions lack one of the reference's window axes of length 1.
    value = np.moveaxis(value, (0, 1), (-1, -2))
    if value.ndim == len(shape) + 1 and 1 in value.shape[:3]:
      value = np.squeeze(value, value.shape[:3].index(1))
  elif value.ndim == 2 and key.endswith("weight"):
    value = value.T
  if "bn1d" in key and value.shape == shape:
    # The reference flattens channels before parts, we parts before channels.
    value = value.reshape(-1, parts).T.reshape(-1)
  if value.shape != shape:
    raise errors.UserError(
      f"the OpenGait weights do not fit the model: {key} has shape {original}, "
      f"which becomes {value.shape}, but the config asks for {shape}; compare "
      "channels, blocks and num_classes with its YAML"
    )
  return np.ascontiguousarray(value)


def _list(keys: Sequence[str]) -> str:
  return ", ".join(keys) if keys else "nothing"
