"""Where OpenGait keeps every array of a family.

A rule is read in both directions: `convert` turns whole state dicts.
"""

from collections.abc import Iterator
from collections.abc import Mapping
from collections.abc import Sequence
from typing import NamedTuple


class Rule(NamedTuple):
  """Where an array lies.

  Attributes:
    key: OpenGait's, with fields in braces.
    path: ours, with the same fields: lower-case letters and digits.
    layout: "same"; "kernel" [out, in, ...window] for our [...window, in, out];
      "spatial" and "temporal": such a kernel whose window we write (h, w) and
      (t, 1), OpenGait (1, h, w) and (t, 1, 1); "neck": a vector with channels
      before parts, ours with parts before channels.
  """

  key: str
  path: str
  layout: str = "same"


Rules = tuple[Rule, ...]
_STATISTICS = {
  "weight": "params/{}/scale",
  "bias": "params/{}/bias",
  "running_mean": "batch_stats/{}/mean",
  "running_var": "batch_stats/{}/var",
}


def _norm(key: str, path: str, layout: str = "same") -> Rules:
  """Batch normalisation; layer normalisation has no statistics."""
  return tuple(
    Rule(f"{key}.{leaf}", ours.replace("{}", path), layout)
    for leaf, ours in _STATISTICS.items()
  )


def _conv(key: str, path: str, layout: str = "kernel") -> Rules:
  return (Rule(f"{key}.weight", f"params/{path}/conv/kernel", layout),)


def _linear(key: str, path: str, layout: str = "kernel") -> Rules:
  return (
    Rule(f"{key}.weight", f"params/{path}/kernel", layout),
    Rule(f"{key}.bias", f"params/{path}/bias"),
  )


def _layer(key: str, stage: str, mode: str) -> Rules:
  """The blocks of a stage."""
  # Frame by frame: the reference wraps the whole stage, or single layers.
  key += ".forward_block.{block}" if mode == "2d" else ".{block}"
  path = f"{stage}_block{{block}}"
  wrapped = mode == "p3d"
  rules: list[Rule] = []
  for i in (1, 2):
    conv = f"{key}.conv{i}.forward_block.0" if wrapped else f"{key}.conv{i}"
    norm = f"{key}.conv{i}.forward_block.1" if wrapped else f"{key}.bn{i}"
    rules += _conv(conv, f"{path}/conv{i}") + _norm(norm, f"{path}/bn{i}")
  if mode == "p3d":
    rules += _conv(f"{key}.shortcut3d", f"{path}/temporal", "temporal")
    rules += _norm(f"{key}.sbn", f"{path}/temporal_bn")
  flat = mode in ("2d", "frames")
  rules += _conv(
    f"{key}.downsample.0", f"{path}/shortcut", "kernel" if flat else "spatial"
  )
  return (*rules, *_norm(f"{key}.downsample.1", f"{path}/shortcut_bn"))


def _first(prefix: str = "", ours: str = "") -> Rules:
  """The stem and the first stage, which are 2-D in every DeepGaitV2."""
  return (
    *_conv(f"{prefix}layer0.forward_block.0", f"{ours}stem"),
    *_norm(f"{prefix}layer0.forward_block.1", f"{ours}stem_bn"),
    *_layer(f"{prefix}layer1", f"{ours}stage1", "2d"),
  )


def _further(mode: str, stages: Sequence[int] = (2, 3, 4)) -> Rules:
  return tuple(
    rule for i in stages for rule in _layer(f"layer{i}", f"stage{i}", mode)
  )


_NECK = (
  Rule("BNNecks.fc_bin", "params/neck/kernel"),
  *_norm("BNNecks.bn1d", "neck/bn", "neck"),
)
_HEAD = (Rule("FCs.fc_bin", "params/fc/kernel"), *_NECK)
_PLAIN_HEAD = (Rule("Head.fc_bin", "params/fc/kernel"),)


def _swin_blocks(stage: int) -> Rules:
  key = f"transformer.layers.{stage}.blocks.{{block}}"
  path = f"transformer/stage{stage}_block{{block}}"
  return (
    *_norm(f"{key}.norm1", f"{path}/norm1"),
    *_norm(f"{key}.norm2", f"{path}/norm2"),
    Rule(
      f"{key}.attn.relative_position_bias_table",
      f"params/{path}/attention/bias_table",
    ),
    *_linear(f"{key}.attn.qkv", f"{path}/attention/qkv"),
    *_linear(f"{key}.attn.proj", f"{path}/attention/proj"),
    *_linear(f"{key}.mlp.fc1", f"{path}/fc1"),
    *_linear(f"{key}.mlp.fc2", f"{path}/fc2"),
  )


def _leaky(prefix: str, path: str, first: int = 0) -> Rules:
  """The two convolutions of a stage without normalisation."""
  # Numbers count rectifiers too.
  return (
    *_conv(f"{prefix}.{first}.conv", f"{path}_conv1"),
    *_conv(f"{prefix}.{first + 2}.conv", f"{path}_conv2"),
  )


def _micro_motion() -> Iterator[Rule]:
  for size, window in ((1, 3), (3, 5)):
    for layer, name in ((0, "squeeze"), (2, "expand")):
      yield Rule(
        f"TFA.pooling_func.conv1d3x{size}.{{part}}.{layer}.conv.weight",
        f"params/motion/window{window}_{name}/part{{part}}",
        "kernel",
      )


def _global_local() -> Iterator[Rule]:
  for stage, key in enumerate(("A0", "A1", "B2"), start=1):
    yield from _conv(
      f"GLConv{key}.{{kind}}_conv3d.conv3d", f"stage{stage}/{{kind}}"
    )
    yield from _conv(
      f"GLConv{key}.{{layer}}.{{kind}}_conv3d.conv3d",
      f"stage{stage}_layer{{layer}}/{{kind}}",
    )


_RESNET = "Backbone.forward_block"
_FOCAL = "Backbone.forward_block.feature"
_FUSION = "fusion.conv.forward_block"
# By the name of the family; DeepGaitV2 by its mode, too.
RULES: Mapping[str, Rules] = {
  "gaitbase": (
    *_conv(f"{_RESNET}.conv1.conv", "stem"),
    *_norm(f"{_RESNET}.bn1", "stem_bn"),
    *(
      rule
      for i in (1, 2, 3, 4)
      for rule in _layer(f"{_RESNET}.layer{i}", f"stage{i}", "frames")
    ),
    *_HEAD,
  ),
  "deepgaitv2 2d": (*_first(), *_further("2d"), *_HEAD),
  "deepgaitv2 p3d": (*_first(), *_further("p3d"), *_HEAD),
  "deepgaitv2 3d": (*_first(), *_further("3d"), *_HEAD),
  "gaitset": (
    *_leaky("set_block{stage}.forward_block", "stage{stage}"),
    *_leaky("gl_block{stage}", "set_stage{stage}"),
    *_PLAIN_HEAD,
  ),
  "gaitpart": (
    # Numbers count poolings too; the fourth stage is "large" only.
    *_leaky(_FOCAL, "stage1"),
    *_leaky(_FOCAL, "stage2", 5),
    *_leaky(_FOCAL, "stage3", 10),
    *_leaky(_FOCAL, "stage4", 14),
    *_micro_motion(),
    *_PLAIN_HEAD,
  ),
  "gaitgl": (
    *_conv("conv3d.0.conv3d", "stem0"),
    *_conv("conv3d.2.conv3d", "stem1"),
    *_conv("LTA.0.conv3d", "pace", "temporal"),
    *_global_local(),
    Rule("HPP.p", "params/pool/exponent"),
    Rule("Head0.fc_bin", "params/fc/kernel"),
    *_norm("Bn", "bn"),
    Rule("Head1.fc_bin", "params/classifier/kernel"),
    *_NECK,
  ),
  "skeletongaitpp": (
    *_first("sil_", "silhouette_"),
    *_first("map_", "map_"),
    *_conv(f"{_FUSION}.0", "fusion/squeeze"),
    *_norm(f"{_FUSION}.1", "fusion/squeeze_bn"),
    *_conv(f"{_FUSION}.3", "fusion/mix"),
    *_norm(f"{_FUSION}.4", "fusion/mix_bn"),
    *_conv(f"{_FUSION}.6", "fusion/expand"),
    *_further("p3d"),
    *_HEAD,
  ),
  "swingait": (
    *_first(),
    *_further("p3d", (2,)),
    *_linear(
      "transformer.patch_embed.proj", "transformer/patch_embed/proj", "spatial"
    ),
    *_norm("transformer.patch_embed.norm", "transformer/patch_embed/norm"),
    *_swin_blocks(0),
    *_norm("transformer.layers.0.downsample.0", "transformer/downsample_norm"),
    *_linear("transformer.layers.0.downsample.1", "transformer/downsample"),
    *_swin_blocks(1),
    *_norm("transformer.norm", "transformer/norm"),
    *_HEAD,
  ),
}
