"""One runtime in a process of its own; scripts/bench_export.py starts it.

python scripts/export_runners.py <runtime> <file> <threads>

Reads requests from standard input, a JSON object a line, and answers each on
standard output: {"run": <clips.npy>} is answered by the seconds of one pass,
{"embed": <clips.npy>, "output": <file.npy>} writes embeddings, and {"end": 1}
tells the process's peak memory and which kernels ran. The first line is about
the start. It imports nothing but numpy before the runtime, so that memory is
the runtime's.
"""

from collections import Counter
from collections.abc import Callable
from collections.abc import Mapping
import json
import os
import pathlib
import re
import resource
import sys
import time
from typing import Any
from typing import NamedTuple

import numpy as np


class Opened(NamedTuple):
  """A file that is open.

  Attributes:
    version: of the runtime, in words.
    run: from uint8 clips `[n, s, 64, 44]` to float32 `[n, p, d]`.
    kernels: gives how many layers ran by each kernel.
  """

  version: str
  run: Callable[[np.ndarray], np.ndarray]
  kernels: Callable[[], Mapping[str, int]] = dict


def _lengths(clips: np.ndarray) -> np.ndarray:
  return np.full(len(clips), clips.shape[1], np.int32)


def _onnxruntime(path: str, threads: int) -> Opened:
  import onnxruntime

  from gaitkd_jax import runtime

  network = runtime.load(path, threads)
  return Opened(
    f"ONNX Runtime {onnxruntime.__version__}",
    network.run,
    lambda: network.kernels,
  )


def _openvino(path: str, threads: int) -> Opened:
  # It would report to its maker when it is imported.
  sys.modules["openvino_telemetry"] = None  # type: ignore[assignment]
  import openvino

  core = openvino.Core()
  # A processor with bfloat16 would compute what is float in it.
  options = {
    "INFERENCE_PRECISION_HINT": "f32",
    "INFERENCE_NUM_THREADS": threads,
  }
  network = core.compile_model(
    core.read_model(pathlib.Path(path).read_bytes()), "CPU", options
  )

  def run(clips: np.ndarray) -> np.ndarray:
    feed = dict(silhouettes=clips, lengths=_lengths(clips))
    return np.array(network(feed)["embedding"])

  def kernels() -> Mapping[str, int]:
    nodes = [x.get_rt_info() for x in network.get_runtime_model().get_ops()]
    return Counter(
      " ".join(str(x[key].value) for key in ("layerType", "runtimePrecision"))
      for x in nodes
    )

  version = openvino.__version__.partition("-")[0]
  return Opened(f"OpenVINO {version}", run, kernels)


def _litert(path: str, threads: int) -> Opened:
  import ai_edge_litert

  from gaitkd_jax.export import tflite

  network = tflite.Network(path, threads)
  return Opened(
    f"LiteRT {ai_edge_litert.__version__}",
    network.run,
    lambda: network.operations,
  )


def _jax(path: str, threads: int) -> Opened:
  del threads  # those of the processors that the process may use
  import jax

  from gaitkd_jax.export import stablehlo

  program, _ = stablehlo.read(path)
  call = jax.jit(program.call)
  return Opened(
    f"JAX {jax.__version__}",
    lambda clips: np.asarray(call(clips, _lengths(clips))),
  )


def _torch(path: str, threads: int) -> Opened:
  import torch
  import torch_networks

  torch.set_num_threads(threads)
  with np.load(path, allow_pickle=False) as arrays:
    state = dict(arrays)
  network = torch_networks.create(json.loads(str(state.pop("model"))))
  torch_networks.load(network, state)

  @torch.inference_mode()
  def run(clips: np.ndarray) -> np.ndarray:
    return network(torch.from_numpy(clips)).numpy()

  return Opened(f"PyTorch {torch.__version__}", run)


RUNTIMES: Mapping[str, Callable[[str, int], Opened]] = {
  "onnxruntime": _onnxruntime,
  "openvino": _openvino,
  "litert": _litert,
  "jax": _jax,
  "torch": _torch,
}


def count_convolutions(kernels: Mapping[str, int]) -> tuple[int, int]:
  """How many convolutions ran, and how many of them computed in bytes.

  Args:
    kernels: ONNX Runtime's names, or OpenVINO's and LiteRT's with the type.
  """
  every = of_bytes = 0
  for name, count in kernels.items():
    kind, _, dtype = name.lower().partition(" ")
    if "conv" not in kind or "convert" in kind:
      continue
    every += count
    if kind.startswith("qlinear") or dtype in ("i8", "u8", "int8", "uint8"):
      of_bytes += count
  return every, of_bytes


def _answers(opened: Opened, request: Mapping[str, str]) -> dict[str, Any]:
  if "run" in request:
    clips = np.load(request["run"])
    start = time.perf_counter()
    opened.run(clips)
    return {"seconds": time.perf_counter() - start}
  if "embed" in request:
    np.save(request["output"], opened.run(np.load(request["embed"])))
    return {}
  # Kernels are asked for afterwards: some runtimes open the file anew for it.
  peak, kernels = _peak(), dict(opened.kernels())
  return {
    "peak": peak,
    "kernels": kernels,
    "convolutions": count_convolutions(kernels),
  }


def _peak() -> int:
  """Bytes of the largest resident set so far."""
  status = pathlib.Path("/proc/self/status")
  if status.exists():  # `getrusage` counts what the process was forked from
    found = re.search(r"VmHWM:\s+(\d+)", status.read_text())
    return 1024 * int(found[1])
  return 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def main() -> None:
  """Answers until standard input ends."""
  kind, path, threads = sys.argv[1], sys.argv[2], int(sys.argv[3])
  # What libraries print is no answer.
  answers = os.fdopen(os.dup(1), "w")
  os.dup2(2, 1)

  def say(answer: Mapping[str, Any]) -> None:
    print(json.dumps(answer), file=answers, flush=True)

  if hasattr(os, "sched_setaffinity"):  # for those that cannot be told
    known = sorted(os.sched_getaffinity(0))
    os.sched_setaffinity(0, known[:threads])
  try:
    opened = RUNTIMES[kind](path, threads)
  except ImportError as e:
    say({"missing": e.name or str(e)})
    return
  say({"version": opened.version})
  for line in sys.stdin:
    say(_answers(opened, json.loads(line)))


if __name__ == "__main__":
  main()
