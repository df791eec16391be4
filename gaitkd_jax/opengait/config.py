"""OpenGait's YAML to a model config.

Whatever changes the network but is not offered here is refused by name, so that
a config never silently means another network than OpenGait's.
"""

from collections.abc import Callable
from collections.abc import Mapping
import os
import pathlib
from typing import Any

import yaml

from gaitkd_jax import errors
from gaitkd_jax import models
from gaitkd_jax.models import gaitpart
from gaitkd_jax.opengait import sections

# Data sets for which OpenGait builds the large GaitGL.
_GAITGL_LARGE = ("OUMVLP", "GREW")
_Section = sections.Section
_LAYERS = "a list such as [BC-32, BC-32, M, ...]"
# Keys of a student that describe its teachers.
_TEACHERS = ("teachers", "teacher_cfg_path")


def read(path: str | os.PathLike[str]) -> dict[str, Any]:
  """Reads the model config of one of OpenGait's YAML files.

  Raises:
    UserError: no such file, no YAML, or see `model_config_from_opengait`.
  """
  path = pathlib.Path(path)
  try:
    content = yaml.safe_load(path.read_text(encoding="utf-8"))
  except (OSError, UnicodeDecodeError) as e:
    raise errors.UserError(
      f"OpenGait's config {path} cannot be read: {e}; name its YAML file"
    ) from e
  except (yaml.YAMLError, RecursionError, ValueError) as e:
    reason = " ".join(str(e).split())
    raise errors.UserError(
      f"OpenGait's config {path} is no plain YAML: {reason}"
    ) from e
  try:
    return model_config_from_opengait(content)
  except errors.UserError as e:
    raise errors.UserError(f"OpenGait's config {path}: {e}") from e


def model_config_from_opengait(mapping: Mapping[str, Any]) -> dict[str, Any]:
  """Translates OpenGait's description of a network.

  Args:
    mapping: the content of a YAML file, or its `model_cfg` alone. Nothing else
      in a file matters but the name of the data set, to GaitGL.

  Returns:
    A config for `models.create_model`.

  Raises:
    UserError: no `model_cfg`, an unknown network, a key that is missing,
      unknown or of the wrong kind, or a network that is not offered.
  """
  if not isinstance(mapping, Mapping):
    raise errors.UserError("there is no model_cfg")
  whole = _Section(mapping, "the file")
  model = mapping if "model" in mapping else whole.section("model_cfg").values
  data = mapping.get("data_cfg")
  dataset = data.get("dataset_name") if isinstance(data, Mapping) else None
  name = model.get("model")
  if not isinstance(name, str) or name not in _FAMILIES:
    raise errors.UserError(
      f"model {name!r} is not offered; known are {', '.join(_FAMILIES)}"
    )
  section = _Section(model, "model_cfg")
  for key in ("model", *_TEACHERS):
    section.read.add(key)
  config = _FAMILIES[name](section, dataset)
  section.finish()
  models.create_model(config)  # refuses values of the wrong number or size
  return config


def _gaitbase(model: _Section, dataset: str | None) -> dict[str, Any]:
  del dataset
  backbone = model.section("backbone_cfg")
  kind = backbone.get(
    "type", lambda v: v in ("ResNet9", "Plain"), "ResNet9 or Plain"
  )
  if kind == "Plain":
    return _gaitbase_plain(model, backbone)
  backbone.only("block", "BasicBlock")
  backbone.only("strides", [1, 2, 2, 1], [1, 2, 2, 1])
  backbone.only("maxpool", False)  # left out, it is true in OpenGait
  channels = backbone.integers("channels")
  bins = model.integers("bin_num")
  if len(bins) != 1:
    raise errors.UserError(
      f"{model.name}.bin_num is {list(bins)}; a Baseline with ResNet9 is "
      "offered with one number of strips, such as [16]"
    )
  parts = bins[0]
  width = _fcs(model, channels[-1] if channels else 0, parts)
  config = dict(
    name="gaitbase",
    channels=channels,
    blocks=backbone.integers("layers"),
    embedding_dim=width,
    num_classes=_classes(model, width, parts),
    in_channels=backbone.integer("in_channel", 1),
    retrieval=_retrieval(model),
  )
  return config if parts == 16 else config | dict(parts=parts)


def _gaitbase_plain(model: _Section, backbone: _Section) -> dict[str, Any]:
  channels, halvings = _plain(_layers(backbone))
  bins = model.integers("bin_num")
  parts = sum(bins)
  width = _fcs(model, channels[-1], parts)
  return dict(
    name="gaitbase_plain",
    channels=channels,
    halvings=halvings,
    bins=bins,
    embedding_dim=width,
    num_classes=_classes(model, width, parts),
    in_channels=backbone.integer("in_channels", 1),
    retrieval=_retrieval(model),
  )


def _deepgaitv2(model: _Section, dataset: str | None) -> dict[str, Any]:
  del dataset
  backbone = model.section("Backbone")
  channels = backbone.integers("channels")
  *_, width, last = (0, 0, *channels)
  _fixed_head(model, 16, last, width, 16)
  return dict(
    name="deepgaitv2",
    mode=backbone.get(
      "mode", lambda v: v in ("2d", "p3d", "3d"), "2d, p3d or 3d"
    ),
    channels=channels,
    blocks=backbone.integers("layers"),
    num_classes=_classes(model, width, 16),
    in_channels=backbone.integer("in_channels"),
    retrieval=_retrieval(model),
  )


def _skeletongaitpp(model: _Section, dataset: str | None) -> dict[str, Any]:
  del dataset
  backbone = model.section("Backbone")
  base = 32 * backbone.integer("C")
  _fixed_head(model, 16, 8 * base, 4 * base, 16)
  return dict(
    name="skeletongaitpp",
    base_channels=base,
    blocks=backbone.integers("blocks"),
    num_classes=_classes(model, 4 * base, 16),
    in_channels=backbone.integer("in_channels"),
    retrieval=_retrieval(model),
  )


def _swingait(model: _Section, dataset: str | None) -> dict[str, Any]:
  del dataset
  backbone = model.section("Backbone")
  backbone.only("mode", "p3d", "p3d")
  # The heads keep DeepGaitV2's sixteenth part.
  _fixed_head(model, 15, 512, 256, 16)
  return dict(
    name="swingait",
    channels=backbone.integers("channels"),
    blocks=backbone.integers("layers"),
    num_classes=_classes(model, 256, 16),
    in_channels=backbone.integer("in_channels", 1),
    drop_path_rate=0.1,
    dim=256,
    retrieval=_retrieval(model),
  )


def _foundationgait(model: _Section, dataset: str | None) -> dict[str, Any]:
  del dataset
  config = _foundation_backbone(model)
  # Which layers learn how fast, and how clips are cut up: of training alone.
  for key in ("backbone_lr", "projector_lr", "crop_list", "use_emb2"):
    model.read.add(key)
  parts = sum(config["bins"])
  *_, width = (0, *config["channels"])
  config["embedding_dim"] = _fcs(model, width, parts)
  config["num_classes"] = _classes(model, config["embedding_dim"], parts)
  return config


def _foundationgait_pretrained(
  model: _Section, dataset: str | None
) -> dict[str, Any]:
  del dataset
  for key in ("EMA_value", "crop_list"):  # of training alone
    model.read.add(key)
  return _foundation_backbone(model) | dict(embedding_dim=0, num_classes=0)


def _foundation_backbone(model: _Section) -> dict[str, Any]:
  """What both stages of FoundationGait have; a search compares `embed_1`."""
  backbone = model.section("Backbone")
  backbone.only("mode", "p3d")
  bins = model.integers("bin_num")
  model.only("parts_num", sum(bins))
  return dict(
    name="foundationgait",
    channels=backbone.integers("channels"),
    blocks=backbone.integers("layers"),
    bins=bins,
    in_channels=backbone.integer("in_channels"),
    retrieval="embedding",
  )


def _gaitset(model: _Section, dataset: str | None) -> dict[str, Any]:
  del dataset
  first, *channels = model.integers("in_channels") or (0,)
  model.only("bin_num", [16, 8, 4, 2, 1])
  return dict(
    name="gaitset",
    channels=tuple(channels),
    embedding_dim=_fcs(model, channels[-1] if channels else 0, 62),
    in_channels=first,
  )


def _gaitpart(model: _Section, dataset: str | None) -> dict[str, Any]:
  del dataset
  backbone = model.section("backbone_cfg")
  backbone.only("type", "Plain")
  variant, channels = _focal(_layers(backbone))
  model.only("bin_num", [16])
  return dict(
    name="gaitpart",
    channels=channels,
    embedding_dim=_fcs(model, channels[-1], 16),
    variant=variant,
    in_channels=backbone.integer("in_channels", 1),
  )


def _gaitgl(model: _Section, dataset: str | None) -> dict[str, Any]:
  channels = model.integers("channels")
  # OpenGait asks for the name of the data set alone. With four widths and
  # another name its stages have three and its heads the fourth, so that its
  # first batch fails. Such files are of forks that build the large network for
  # their data set as well (HID), which is therefore what four widths mean here.
  large = len(channels) == 4
  if dataset in _GAITGL_LARGE and not large:
    raise errors.UserError(
      f"{model.name}.channels is {list(channels)}; GaitGL has four for "
      f"{' and '.join(_GAITGL_LARGE)}, and data_cfg.dataset_name is {dataset}"
    )
  neck = "SeparateBNNecks" in model
  if neck:
    # Then this one counts nothing.
    model.integer("class_num", 0)
    classes = _classes(model, channels[-1] if channels else 0, 64)
  else:
    classes = model.integer("class_num")
  return dict(
    name="gaitgl",
    channels=channels,
    num_classes=classes,
    variant="large" if large else "casiab",
    neck=neck,
    in_channels=1,
    retrieval="embedding",
  )


def _fcs(model: _Section, width: int, parts: int) -> int:
  """Reads the width of an embedding."""
  section = model.section("SeparateFCs")
  section.only("in_channels", width)
  section.only("parts_num", parts)
  section.only("norm", False, False)
  return section.integer("out_channels")


def _classes(model: _Section, width: int, parts: int) -> int:
  """Reads the number of classes of a neck."""
  section = model.section("SeparateBNNecks")
  section.only("in_channels", width, width)
  section.only("parts_num", parts, parts)
  section.only("norm", True, True)
  section.only("parallel_BN1d", True, True)
  return section.integer("class_num")


def _fixed_head(
  model: _Section, bins: int, width: int, out: int, parts: int
) -> None:
  """Checks a head that the YAML need not describe: the rest determines it."""
  model.only("bin_num", [bins], [bins])
  if "SeparateFCs" in model and _fcs(model, width, parts) != out:
    raise errors.UserError(
      f"{model.name}.SeparateFCs.out_channels is not {out}, which is not "
      "offered for this network"
    )


def _retrieval(model: _Section) -> str:
  """Reads what a search compares."""
  return "neck" if model.flag("use_emb2", False) else "embedding"


def _layers(backbone: _Section) -> tuple[str, ...]:
  """Reads the layers of a plain backbone."""
  return backbone.get(
    "layers_cfg",
    lambda v: isinstance(v, list | tuple) and all(type(x) is str for x in v),
    _LAYERS,
  )


def _stage_widths(layers: tuple[str, ...]) -> tuple[int, ...]:
  """The width of every second convolution."""
  return tuple(
    int(layer.split("-")[1])
    for layer in layers
    if layer.count("-") and layer.split("-")[1].isdecimal()
  )[::2]


def _plain(layers: tuple[str, ...]) -> tuple[tuple[int, ...], int]:
  """The widths of a plain backbone and how often it halves the image."""
  widths, halvings = _stage_widths(layers), layers.count("M")
  expected: list[str] = []
  for i, width in enumerate(widths):
    expected += [f"BC-{width}"] * 2 + ["M"] * (i < halvings)
  if halvings >= len(widths) or tuple(expected) != tuple(layers):
    raise errors.UserError(
      f"Baseline with layers_cfg {', '.join(layers)} is not offered; known are "
      "stages of twice the same BC-<width>, with an M behind the first of them"
    )
  return widths, halvings


def _focal(layers: tuple[str, ...]) -> tuple[str, tuple[int, ...]]:
  """The variant of a GaitPart and its widths, from the list of its layers."""
  widths = _stage_widths(layers)
  for variant, stages in gaitpart.STAGES.items():
    expected: list[str] = []
    for width, (strips, pool) in zip(widths, stages, strict=False):
      focal = f"FC-{width}-{strips.bit_length() - 1}"
      expected += [focal if strips > 1 else f"BC-{width}"] * 2
      expected += ["M"] * pool
    if tuple(expected) == tuple(layers) and len(widths) == len(stages):
      return variant, widths
  raise errors.UserError(
    f"GaitPart with layers_cfg {', '.join(layers)} is not offered; known are "
    "the published ones, of any width"
  )


# By OpenGait's name of the network.
_FAMILIES: Mapping[str, Callable[[_Section, str | None], dict[str, Any]]] = {
  "Baseline": _gaitbase,
  "DeepGaitV2": _deepgaitv2,
  "SkeletonGaitPP": _skeletongaitpp,
  "SwinGait": _swingait,
  "FoundationGait_Scaling": _foundationgait_pretrained,
  "FoundationGait_Scaling_Finetune": _foundationgait,
  "GaitSet": _gaitset,
  "GaitPart": _gaitpart,
  "GaitGL": _gaitgl,
}
