"""Reads the reference's numbers and fills networks with its weights."""

import json
import pathlib

import jax
import numpy as np

from gaitkd_jax.opengait import convert
from tests.parity import weights

FOLDER = pathlib.Path(__file__).parent
# Vectors of a network each.
NETWORKS = (
  "gaitbase",
  "gaitbase_plain",
  "gaitbase_plain_hid",
  "deepgaitv2_2d",
  "deepgaitv2_p3d",
  "deepgaitv2_3d",
  "skeletongaitpp",
  "swingait",
  "gaitset",
  "gaitpart",
  "gaitgl",
)


def load(name):
  """Returns the arrays of a vector file, and its description."""
  with np.load(FOLDER / f"{name}.npz") as f:
    arrays = {key: f[key] for key in f.files if key != "meta"}
    meta = json.loads(bytes(f["meta"])) if "meta" in f.files else {}
  return arrays, meta


def model_config(meta):
  """Translates a reference model_cfg into ours."""
  if meta["model"] == "GaitSet":
    return dict(
      name="gaitset",
      channels=tuple(meta["in_channels"][1:]),
      embedding_dim=meta["SeparateFCs"]["out_channels"],
    )
  if meta["model"] == "GaitPart":
    layers = [x.split("-") for x in meta["backbone_cfg"]["layers_cfg"]]
    return dict(
      name="gaitpart",
      channels=tuple(int(x[1]) for x in layers if x != ["M"])[::2],
      embedding_dim=meta["SeparateFCs"]["out_channels"],
    )
  if meta["model"] == "GaitGL":
    return dict(
      name="gaitgl",
      channels=tuple(meta["channels"]),
      num_classes=meta["class_num"],
    )
  necks = meta["SeparateBNNecks"]
  if meta.get("backbone_cfg", {}).get("type") == "Plain":
    layers = meta["backbone_cfg"]["layers_cfg"]
    return dict(
      name="gaitbase_plain",
      channels=tuple(int(x[3:]) for x in layers if x != "M")[::2],
      halvings=layers.count("M"),
      bins=tuple(meta["bin_num"]),
      embedding_dim=meta["SeparateFCs"]["out_channels"],
      num_classes=necks["class_num"],
    )
  if meta["model"] == "Baseline":
    return dict(
      name="gaitbase",
      channels=tuple(meta["backbone_cfg"]["channels"]),
      blocks=tuple(meta["backbone_cfg"]["layers"]),
      embedding_dim=meta["SeparateFCs"]["out_channels"],
      num_classes=necks["class_num"],
    )
  backbone = meta["Backbone"]
  if meta["model"] == "FoundationGait_Scaling_Finetune":
    return dict(
      name="foundationgait",
      channels=tuple(backbone["channels"]),
      blocks=tuple(backbone["layers"]),
      bins=tuple(meta["bin_num"]),
      embedding_dim=meta["SeparateFCs"]["out_channels"],
      num_classes=necks["class_num"],
    )
  if meta["model"] == "SkeletonGaitPP":
    return dict(
      name="skeletongaitpp",
      base_channels=32 * backbone["C"],
      blocks=tuple(backbone["blocks"]),
      num_classes=necks["class_num"],
    )
  if meta["model"] == "SwinGait":
    return dict(
      name="swingait",
      channels=tuple(backbone["channels"]),
      blocks=tuple(backbone["layers"]),
      num_classes=necks["class_num"],
      drop_path_rate=0.0,
    )
  return dict(
    name="deepgaitv2",
    mode=backbone["mode"],
    channels=tuple(backbone["channels"]),
    blocks=tuple(backbone["layers"]),
    in_channels=backbone["in_channels"],
    num_classes=necks["class_num"],
  )


def variables(config, shapes, salt):
  """The reference's deterministic weights as variables of `config`."""
  return convert.variables_from_opengait(
    weights.state_dict(shapes, salt), config
  )


def flat(tree):
  """Leaves by path."""
  return {
    "/".join(k.key for k in path): np.asarray(leaf)
    for path, leaf in jax.tree.leaves_with_path(tree)
  }


def difference(ours, theirs):
  """The largest absolute difference, relative to the largest value."""
  ours, theirs = np.asarray(ours), np.asarray(theirs)
  assert ours.shape == theirs.shape, (ours.shape, theirs.shape)
  return np.max(np.abs(ours - theirs)) / np.max(np.abs(theirs))
