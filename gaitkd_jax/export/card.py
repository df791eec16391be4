"""The model card of an exported file: what it is, and what was measured."""

from collections.abc import Iterator
from collections.abc import Mapping
from typing import Any

from gaitkd_jax import quantize
from gaitkd_jax.evaluation import metrics as metrics_lib
from gaitkd_jax.export import check as check_lib
from gaitkd_jax.export import source as source_lib

_TARGETS = {
  "float": "ONNX, float32",
  "ort": "ONNX, int8 for ONNX Runtime on processors",
  "openvino": "ONNX, int8 for OpenVINO on processors",
  "tensorrt": "ONNX, symmetric int8 for TensorRT; not run on TensorRT here",
  "stablehlo": "StableHLO, one program for CPUs, GPUs and TPUs",
  "tflite": "LiteRT",
}
_ONNX = ("float", "ort", "openvino", "tensorrt")
_SHOWN = ("rank1", "mAP")
_WALKERS = "walkers"


def write(
  name: str,
  metadata: Mapping[str, Any],
  result: check_lib.Result,
  source: source_lib.Source,
  parameters: int,
) -> str:
  """The card in Markdown: what was measured, and nothing that was not.

  Args:
    name: of the file.
    metadata: of the file.
    result: of its check.
    source: its checkpoint.
    parameters: of the network, without what only training needs.
  """
  parts = (
    [f"# {name}", ""],
    _what(metadata, result, source, parameters),
    ["", "## Input and output", ""],
    _input(metadata),
    ["", "## How to run it", ""],
    _usage(name, metadata),
    ["", "## Measured", ""],
    _measured(metadata, result, source),
    ["", "## Limits", ""],
    _limits(metadata, source),
  )
  return "\n".join(line for part in parts for line in part) + "\n"


def _what(
  metadata: Mapping[str, Any],
  result: check_lib.Result,
  source: source_lib.Source,
  parameters: int,
) -> Iterator[str]:
  kept = metadata["checkpoint"]
  trained = source.data or "data that the checkpoint does not name"
  if metadata["classes"]:
    trained += f", {metadata['classes']:,} people"
  yield "| | |"
  yield "|---|---|"
  yield "| task | gait recognition: an embedding of a walking person |"
  yield f"| network | {metadata['network']}, {parameters:,} parameters |"
  yield f"| format | {_TARGETS[metadata['target']]} |"
  yield f"| bits | {quantize.describe(metadata['bits'])} |"
  if calibration := metadata["calibration"]:
    yield (
      f"| quantised | after training, on {calibration['batches']} batches of "
      f"{calibration['data']} ({calibration['observer']}) |"
    )
  yield f"| trained on | {trained} |"
  yield f"| checkpoint | step {kept['step']}, SHA-256 {kept['digest']} |"
  yield f"| size | {result.bytes:,} bytes |"
  yield f"| written by | {metadata['library']} |"


def _input(metadata: Mapping[str, Any]) -> Iterator[str]:
  parts, width = metadata["parts"], metadata["width"]
  yield f"- `silhouettes`: {metadata['preprocessing']}"
  yield (
    "- `lengths`: int32, frames of each sequence of a padded batch; what lies "
    "beyond has no influence."
  )
  yield f"- `embedding`: float32 `[n, {parts}, {width}]`, a row a body part."
  yield (
    f"- Distance of two walks: the mean over the {parts} parts of the "
    f"{metadata['metric']} distance."
  )
  found = metadata["threshold"]
  if found is None:
    yield (
      "- Threshold: none. It was exported without data of people whom the "
      "network was made for; measure one with yours."
    )
    return
  yield (
    f"- Threshold: {found['distance']:.6g}. At or below it lie "
    f"{found['accepted']} of {found['strangers']:,} pairs of two people "
    f"(asked for: {found['false_accept_rate']:.0%}) and {found['named']} of "
    f"{found['same']:,} pairs of one person, among {found['sequences']} "
    f"sequences of {found['data']}. A start: measure it with your cameras."
  )


def _usage(name: str, metadata: Mapping[str, Any]) -> Iterator[str]:
  if metadata["target"] not in _ONNX:
    yield "See `docs/export.md` of gaitkd_jax."
    return
  yield "```python"
  yield "import numpy as np"
  yield "from gaitkd_jax import runtime"
  yield ""
  yield f'network = runtime.load("{name}")'
  shape = ", ".join(map(str, (30, *metadata["frame"])))
  yield f"frames = np.zeros(({shape}), np.uint8)  # your silhouettes"
  yield "print(network.embed([frames]).shape)"
  yield "```"
  yield ""
  yield (
    "That takes numpy and onnxruntime alone. Any runtime of ONNX runs the file."
  )


def _measured(
  metadata: Mapping[str, Any],
  result: check_lib.Result,
  source: source_lib.Source,
) -> Iterator[str]:
  yield "This file, when it was written:"
  yield ""
  yield from (f"- {line}" for line in result.lines())
  found = [
    (file, content, _figures(content)) for file, content in source.evaluations()
  ]
  found = [one for one in found if one[2]]
  yield ""
  if not found:
    yield (
      "Nothing else: no evaluation of the checkpoint lies beside it. Evaluate "
      "the file with `--mode=eval --config.eval.model=<file>`."
    )
    return
  of = "The float checkpoint" if metadata["calibration"] else "The checkpoint"
  yield f"{of}, evaluated in JAX, not this file:"
  yield ""
  yield "| evaluation | protocol | metric | % |"
  yield "|---|---|---|---|"
  for file, content, figures in found:
    for figure, value in figures:
      yield f"| {file} | {content['protocol']} | {figure} | {value:.2f} |"


def _figures(content: Mapping[str, Any]) -> list[tuple[str, float]]:
  """Rank-1 and mAP of all views by condition."""
  if "protocol" not in content:
    return []
  figures = []
  for flat, value in content.items():
    if "/" not in flat or not isinstance(value, int | float):
      continue
    metric = metrics_lib.parse(flat)
    if metric.name in _SHOWN and metric.view is None:
      figures.append((flat, float(value)))
  return figures


def _limits(
  metadata: Mapping[str, Any], source: source_lib.Source
) -> Iterator[str]:
  if _WALKERS in source.data:
    yield (
      "- Trained on synthetic walkers, which are rendered: nothing here says "
      "how it does on recorded people."
    )
  yield (
    "- Figures hold for the data and the protocol that stand beside them; "
    "other cameras, clothes, ground or segmentation were not measured."
  )
  if metadata["target"] == "tensorrt":
    yield (
      "- The graph follows TensorRT's rules and was run by ONNX Runtime; it "
      "was not run by TensorRT."
    )
