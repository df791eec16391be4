"""What an exported file says of itself."""

from collections.abc import Mapping
import importlib.metadata
import json
from typing import Any

import numpy as np
import onnx

from gaitkd_jax.runtime import exported

PREPROCESSING = (
  "uint8 {height} x {width}, 0 (background) to 255 (person). Each frame is cut "
  "to the rows that the person fills and scaled to a height of {height}; the "
  "column that halves the mass of the silhouette is in the middle of the "
  "width. Frames are consecutive, in the order of the video."
)
_PREFIX = "gaitkd_jax."


def library() -> str:
  """Name and version of this library."""
  try:
    version = importlib.metadata.version("gaitkd_jax")
  except importlib.metadata.PackageNotFoundError:
    version = "of unknown version"
  return f"gaitkd_jax {version}"


def attach(model: onnx.ModelProto, values: Mapping[str, Any]) -> bytes:
  """Gives a graph its metadata.

  Args:
    model: the graph.
    values: JSON by key.

  Returns:
    The file; the same for the same graph and values.
  """
  del model.metadata_props[:]
  for key in sorted(values):
    entry = model.metadata_props.add()
    entry.key = f"{_PREFIX}{key}"
    entry.value = json.dumps(values[key], sort_keys=True)
  model.producer_name = "gaitkd_jax"
  return model.SerializeToString(deterministic=True)


def weights_within(plan: Any) -> int | None:
  """The largest code of a plan's weights; None: none is quantised.

  Runtimes ask for it: sums of products of bytes are exact on every processor if
  it is 63 or less.
  """
  codes = [
    layer.arguments["weights"].codes
    for layer in plan.layers
    if layer.arguments.get("weights") is not None
    and layer.arguments["weights"].codes is not None
  ]
  if not codes:
    return None
  return max(int(np.abs(x.astype(np.int16)).max()) for x in codes)


def describe(
  *,
  model: Mapping[str, Any],
  target: str,
  bits: Mapping[str, Any],
  digest: str,
  step: int,
  classes: int,
  metric: str,
  frame: tuple[int, ...],
  shape: tuple[int, int],
  min_frames: int,
  within: int | None,
  threshold: Mapping[str, Any] | None,
  calibration: Mapping[str, Any] | None,
) -> dict[str, Any]:
  """The metadata of a file: JSON by key.

  Args:
    model: config of the network.
    target: of the export.
    bits: `quantize.Settings.form`; empty of a float network.
    digest: of the checkpoint's variables, see `checkpoint.digest`.
    step: of the checkpoint.
    classes: people that it was trained on; 0 if it does not say.
    metric: by which embeddings are compared.
    frame: shape of a frame, such as (64, 44).
    shape: parts and width of an embedding.
    min_frames: see `reference.min_frames`.
    within: see `weights_within`.
    threshold: see `threshold.find`.
    calibration: of a post-training quantisation, what it looked at.
  """
  height, width = frame[:2]
  return {
    "format": exported.FORMAT,
    "library": library(),
    "network": model["name"],
    "model": dict(model),
    "target": target,
    "bits": dict(bits),
    "checkpoint": {"digest": digest, "step": step},
    "classes": classes,
    "frame": list(frame),
    "preprocessing": PREPROCESSING.format(height=height, width=width),
    "metric": metric,
    "parts": shape[0],
    "width": shape[1],
    "min_frames": min_frames,
    "weights_within": within,
    "threshold": threshold and dict(threshold),
    "calibration": calibration and dict(calibration),
  }
