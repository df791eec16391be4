"""Which network a state dict of OpenGait belongs to, by its keys and shapes.

Names of files and folders say the same less reliably; where they disagree the
contents are right, and `disagreements` tells.
"""

from collections.abc import Callable
from collections.abc import Mapping
import re
from typing import Any

from gaitkd_jax import errors

Shapes = Mapping[str, tuple[int, ...]]

# OpenGait's name of what the library calls otherwise.
OPENGAIT_NAMES: Mapping[str, str] = {
  "deepgaitv2": "DeepGaitV2",
  "foundationgait": "FoundationGait_Scaling_Finetune",
  "gaitbase": "Baseline",
  "gaitbase_plain": "Baseline",
  "gaitgl": "GaitGL",
  "gaitpart": "GaitPart",
  "gaitset": "GaitSet",
  "skeletongaitpp": "SkeletonGaitPP",
  "swingait": "SwinGait",
}
_PRETRAINED = "FoundationGait_Scaling"
# All that the library has, by OpenGait's name.
KNOWN = {*OPENGAIT_NAMES.values(), _PRETRAINED}
_RESNET = "Backbone.forward_block"
_FEATURE = "Backbone.forward_block.feature"
_FOUNDATION = "teacher_backbone."
_PARTS = 16
# Beyond these a file means nothing good.
_LARGEST = 2**24
_MOST_LAYERS = 200


class UnsupportedError(errors.UserError):
  """The weights are of a network that the library lacks."""


class _Reader:
  """Shapes by their keys; a key that is missing or odd is a mistake."""

  def __init__(self, shapes: Shapes):
    self.shapes = shapes

  def __contains__(self, key: str) -> bool:
    return key in self.shapes

  def size(self, key: str, axis: int, rank: int) -> int:
    """One size of an array that must have `rank` axes."""
    shape = self.shapes.get(key)
    if (
      shape is None
      or len(shape) != rank
      or not all(0 < size <= _LARGEST for size in shape)
    ):
      what = "is missing" if shape is None else f"has shape {list(shape)}"
      raise UnsupportedError(
        f"{key} {what}; no network of the library has that"
      )
    return shape[axis]

  def numbers(self, pattern: str) -> list[int]:
    """The numbers in keys that match, in order, each once."""
    found = (re.match(pattern, key) for key in self.shapes)
    numbers = sorted({int(match[1]) for match in found if match})
    if len(numbers) > _MOST_LAYERS:
      raise UnsupportedError(f"no network has {len(numbers)} blocks in a stage")
    return numbers

  def blocks(self, stage: str) -> int:
    """How many blocks a stage has, in any of DeepGaitV2's modes."""
    return len(
      self.numbers(rf"{re.escape(stage)}(?:\.forward_block)?\.(\d{{1,4}})\.")
    )

  def classes(self, *keys: str) -> int:
    """How many classes the first classifier has that is there; else 0."""
    for key in keys or ("BNNecks.fc_bin",):
      if key in self:
        return self.size(key, 2, 3)
    return 0

  def bins(self, key: str = "FCs.fc_bin") -> tuple[int, ...]:
    """The levels of a pyramid, by the first axis of what its parts have.

    Levels differ, and powers of two add up in one way only.
    """
    parts = self.size(key, 0, 3)
    return tuple(b for b in (1 << i for i in range(10, -1, -1)) if parts & b)

  def parts(self) -> dict[str, int]:
    """The number of strips, if it is not the usual one."""
    parts = self.size("FCs.fc_bin", 0, 3)
    return {} if parts == _PARTS else {"parts": parts}


def model_config(shapes: Shapes) -> dict[str, Any]:
  """Infers a model config, but for what weights do not tell.

  Args:
    shapes: of the arrays by OpenGait's key, without prefixes; see
      `convert.relevant`.

  Returns:
    A config for `models.create_model`. What a search compares ("retrieval") is
    left at OpenGait's default, the embedding in front of the neck.

  Raises:
    UnsupportedError: no network of the library has such keys or shapes.
  """
  reader = _Reader(shapes)
  for mark, infer in _MARKS:
    if mark in reader:
      return infer(reader)
  some = ", ".join(sorted(shapes)[:3]) or "nothing"
  raise UnsupportedError(
    f"no network of the library has arrays such as {some[:200]}"
  )


def disagreements(
  config: Mapping[str, Any], model: str, save_name: str
) -> list[str]:
  """What names say otherwise than contents.

  Args:
    config: inferred from the contents.
    model: the folder of OpenGait's network, such as "DeepGaitV2".
    save_name: the folder below it, such as "GaitGL_BNNeck".
  """
  told = []
  name = config["name"]
  known = OPENGAIT_NAMES[name]
  if name == "foundationgait" and not config["embedding_dim"]:
    known = _PRETRAINED
  if model and model != known:
    told.append(f"the folder says {model}, the weights are of {known}")
  text = save_name.lower()
  mode = re.search(r"(?<![a-z0-9])(2d|p3d|3d)(?![a-z0-9])", text)
  wanted = {"mode": mode[1]} if mode and "mode" in config else {}
  if name == "deepgaitv2" and text.startswith("skeletongait"):
    wanted["in_channels"] = 2
  if name == "gaitgl" and "bnneck" in text:
    wanted["neck"] = True
  told += [
    f"the name {save_name} says {key} {value}, the weights have {config[key]}"
    for key, value in wanted.items()
    if config[key] != value
  ]
  return told


def _gaitbase(reader: _Reader) -> dict[str, Any]:
  return dict(
    name="gaitbase",
    channels=tuple(
      reader.size(f"{_RESNET}.layer{i}.0.conv1.weight", 0, 4)
      if reader.blocks(f"{_RESNET}.layer{i}")
      else reader.size(f"{_RESNET}.conv1.conv.weight", 0, 4)
      for i in (1, 2, 3, 4)
    ),
    blocks=tuple(reader.blocks(f"{_RESNET}.layer{i}") for i in (1, 2, 3, 4)),
    embedding_dim=reader.size("FCs.fc_bin", 2, 3),
    num_classes=reader.classes(),
    in_channels=reader.size(f"{_RESNET}.conv1.conv.weight", 1, 4),
    retrieval="embedding",
    **reader.parts(),
  )


def _plain(reader: _Reader) -> list[int]:
  """Where the convolutions of a plain backbone stand among its layers."""
  return reader.numbers(rf"{re.escape(_FEATURE)}\.(\d{{1,4}})\.conv\.weight$")


def _plain_widths(reader: _Reader) -> tuple[int, ...]:
  return tuple(
    reader.size(f"{_FEATURE}.{i}.conv.weight", 0, 4)
    for i in _plain(reader)[::2]
  )


def _gaitbase_plain(reader: _Reader) -> dict[str, Any]:
  starts = _plain(reader)[::2]
  # A stage takes four layers, and one more if it halves the image.
  steps = [b - a for a, b in zip(starts, starts[1:], strict=False)]
  return dict(
    name="gaitbase_plain",
    channels=_plain_widths(reader),
    halvings=steps.count(5),
    bins=reader.bins(),
    embedding_dim=reader.size("FCs.fc_bin", 2, 3),
    num_classes=reader.classes(),
    in_channels=reader.size(f"{_FEATURE}.0.conv.weight", 1, 4),
    retrieval="embedding",
  )


def _deepgaitv2(reader: _Reader) -> dict[str, Any]:
  two = "layer2.forward_block.0.conv1.weight"
  if two in reader:
    mode, stage, conv, rank = "2d", ".forward_block.0", "conv1.weight", 4
  elif "layer2.0.shortcut3d.weight" in reader:
    mode, stage, rank = "p3d", ".0", 4
    conv = "conv1.forward_block.0.weight"
  else:
    mode, stage, conv, rank = "3d", ".0", "conv1.weight", 5
  stem = "layer0.forward_block.0.weight"
  last = f"layer4{stage}.{conv}"
  third = reader.size(f"layer3{stage}.{conv}", 0, rank)
  return dict(
    name="deepgaitv2",
    mode=mode,
    channels=(
      reader.size(stem, 0, 4),
      reader.size(f"layer2{stage}.{conv}", 0, rank),
      third,
      reader.size(last, 0, rank) if reader.blocks("layer4") else third,
    ),
    blocks=tuple(reader.blocks(f"layer{i}") for i in (1, 2, 3, 4)),
    num_classes=reader.classes(),
    in_channels=reader.size(stem, 1, 4),
    retrieval="embedding",
    **reader.parts(),
  )


def _foundationgait(reader: _Reader) -> dict[str, Any]:
  stem = f"{_FOUNDATION}layer0.forward_block.0.weight"
  stages = (f"{_FOUNDATION}layer{i}" for i in (1, 2, 3, 4))
  conv = "0.conv1.forward_block.0.weight"
  projector = f"{_FOUNDATION}projector.0.fc_bin"
  head = "FCs.fc_bin"
  return dict(
    name="foundationgait",
    channels=(
      reader.size(stem, 0, 4),
      reader.size(f"{_FOUNDATION}layer2.{conv}", 0, 4),
      reader.size(f"{_FOUNDATION}layer3.{conv}", 0, 4),
      reader.size(projector, 1, 3),
    ),
    blocks=tuple(reader.blocks(stage) for stage in stages),
    bins=reader.bins(projector),
    embedding_dim=reader.size(head, 2, 3) if head in reader else 0,
    num_classes=reader.classes(),
    in_channels=reader.size(stem, 1, 4),
    retrieval="embedding",
  )


def _skeletongaitpp(reader: _Reader) -> dict[str, Any]:
  stages = ("sil_layer1", "layer2", "layer3", "layer4")
  return dict(
    name="skeletongaitpp",
    base_channels=reader.size("sil_layer0.forward_block.0.weight", 0, 4),
    blocks=tuple(reader.blocks(stage) for stage in stages),
    num_classes=reader.classes(),
    in_channels=1 + reader.size("map_layer0.forward_block.0.weight", 1, 4),
    retrieval="embedding",
    **reader.parts(),
  )


def _swingait(reader: _Reader) -> dict[str, Any]:
  stem = "layer0.forward_block.0.weight"
  transformer = (
    len(reader.numbers(rf"transformer\.layers\.{i}\.blocks\.(\d{{1,4}})\."))
    for i in (0, 1)
  )
  return dict(
    name="swingait",
    channels=(
      reader.size(stem, 0, 4),
      reader.size("layer2.0.conv1.forward_block.0.weight", 0, 4),
    ),
    blocks=(*(reader.blocks(f"layer{i}") for i in (1, 2)), *transformer),
    num_classes=reader.classes(),
    in_channels=reader.size(stem, 1, 4),
    drop_path_rate=0.1,
    dim=reader.size("transformer.patch_embed.proj.weight", 0, 5),
    retrieval="embedding",
  )


def _gaitset(reader: _Reader) -> dict[str, Any]:
  keys = [f"set_block{i}.forward_block.0.conv.weight" for i in (1, 2, 3)]
  return dict(
    name="gaitset",
    channels=tuple(reader.size(key, 0, 4) for key in keys),
    embedding_dim=reader.size("Head.fc_bin", 2, 3),
    in_channels=reader.size(keys[0], 1, 4),
  )


def _gaitpart(reader: _Reader) -> dict[str, Any]:
  channels = _plain_widths(reader)
  return dict(
    name="gaitpart",
    channels=channels,
    embedding_dim=reader.size("Head.fc_bin", 2, 3),
    variant="large" if len(channels) == 4 else "casiab",
    in_channels=reader.size(f"{_FEATURE}.0.conv.weight", 1, 4),
  )


def _gaitgl(reader: _Reader) -> dict[str, Any]:
  large = "conv3d.2.conv3d.weight" in reader
  layer = ".0" if large else ""
  stages = ("A0", "A1", "B2") if large else ("A0", "A1")
  return dict(
    name="gaitgl",
    channels=(
      reader.size("conv3d.0.conv3d.weight", 0, 5),
      *(
        reader.size(f"GLConv{s}{layer}.global_conv3d.conv3d.weight", 0, 5)
        for s in stages
      ),
    ),
    num_classes=reader.classes("BNNecks.fc_bin", "Head1.fc_bin"),
    variant="large" if large else "casiab",
    neck="BNNecks.fc_bin" in reader,
    in_channels=reader.size("conv3d.0.conv3d.weight", 1, 5),
    retrieval="embedding",
  )


# A key that only one network has, in the order in which they are looked for.
_MARKS: tuple[tuple[str, Callable[[_Reader], dict[str, Any]]], ...] = (
  ("transformer.patch_embed.proj.weight", _swingait),
  ("sil_layer0.forward_block.0.weight", _skeletongaitpp),
  (f"{_FOUNDATION}projector.0.fc_bin", _foundationgait),
  ("layer0.forward_block.0.weight", _deepgaitv2),
  ("set_block1.forward_block.0.conv.weight", _gaitset),
  ("TFA.pooling_func.conv1d3x1.0.0.conv.weight", _gaitpart),
  ("conv3d.0.conv3d.weight", _gaitgl),
  (f"{_FEATURE}.0.conv.weight", _gaitbase_plain),
  (f"{_RESNET}.conv1.conv.weight", _gaitbase),
)
