"""Opens a file that was written, with the runtime that its target is for."""

from collections.abc import Callable
from collections.abc import Mapping
import dataclasses
import importlib.metadata
import os
import pathlib
import sys
from typing import Any

import jax
import numpy as np

from gaitkd_jax import runtime
from gaitkd_jax.runtime import processor


@dataclasses.dataclass(frozen=True)
class Runner:
  """A file that is open.

  Attributes:
    name: of the runtime, with its version.
    run: from a padded batch, uint8 `[n, s, 64, 44]`, and int32 lengths `[n]` to
      float32 `[n, p, d]`.
    kernels: how many layers run by each kernel; empty where the runtime does
      not say it.
    threads: how many compute; 0: the runtime does not say it.
    note: what was done about the processor.
  """

  name: str
  run: Callable[[np.ndarray, np.ndarray], np.ndarray]
  kernels: Mapping[str, int]
  threads: int = 0
  note: str = ""


def open_file(path: str | os.PathLike[str], target: str) -> Runner:
  """Opens a file.

  TensorRT needs a GPU of NVIDIA, so its graph is run by ONNX Runtime, and so is
  that for OpenVINO where that is not installed.

  Args:
    path: on the disk.
    target: for which it was written.

  Raises:
    errors.UserError: the runtime is missing or cannot open it.
  """
  if target == "openvino":
    try:
      return _openvino(pathlib.Path(path))
    except ImportError:
      pass
  if target == "stablehlo":
    return _stablehlo(path)
  if target == "tflite":
    return _tflite(path)
  return _onnxruntime(path)


def _stablehlo(path: str | os.PathLike[str]) -> Runner:
  from gaitkd_jax.export import stablehlo

  program, _ = stablehlo.read(path)
  call = jax.jit(program.call)

  def run(silhouettes: np.ndarray, lengths: np.ndarray) -> np.ndarray:
    return np.asarray(call(silhouettes, lengths.astype(np.int32)))

  return Runner(f"JAX {jax.__version__} on {jax.default_backend()}", run, {})


def _tflite(path: str | os.PathLike[str]) -> Runner:
  from gaitkd_jax.export import tflite

  threads = processor.cores()
  network = tflite.Network(path, threads)
  version = importlib.metadata.version("ai-edge-litert")
  return Runner(f"LiteRT {version}", network.run, network.operations, threads)


def _onnxruntime(path: str | os.PathLike[str]) -> Runner:
  network = runtime.Exported(path)
  version = importlib.metadata.version("onnxruntime")
  return Runner(
    f"ONNX Runtime {version}",
    network.run,
    network.kernels,
    network.threads,
    network.note,
  )


def import_openvino() -> Any:
  """The module of OpenVINO.

  When it is imported it reports to its maker, in a fork of this process, which
  JAX does not survive for certain. It reports nothing without the package that
  does so.

  Raises:
    ImportError: it is not installed.
  """
  if "openvino" not in sys.modules:
    sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]
  import openvino

  return openvino


def _openvino(path: pathlib.Path) -> Runner:
  """Raises an ImportError where it is not installed."""
  openvino = import_openvino()
  core = openvino.Core()
  # By default a processor that has bfloat16 computes what is float in it.
  compiled = core.compile_model(
    core.read_model(path.read_bytes()),
    "CPU",
    {"INFERENCE_PRECISION_HINT": "f32"},
  )

  def run(silhouettes: np.ndarray, lengths: np.ndarray) -> np.ndarray:
    feed = dict(silhouettes=silhouettes, lengths=lengths.astype(np.int32))
    return np.array(compiled(feed)["embedding"])

  found: dict[str, int] = {}
  for node in compiled.get_runtime_model().get_ops():
    info = node.get_rt_info()
    kind, precision = (
      str(info[key].value) for key in ("layerType", "runtimePrecision")
    )
    if kind not in ("Const", "Input", "Output"):
      name = f"{kind} {precision}"
      found[name] = found.get(name, 0) + 1
  version = importlib.metadata.version("openvino")
  threads = int(compiled.get_property("INFERENCE_NUM_THREADS"))
  return Runner(
    f"OpenVINO {version}", run, dict(sorted(found.items())), threads
  )
