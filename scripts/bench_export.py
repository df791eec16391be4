"""Times a network in every runtime that it is exported for, and in PyTorch.

python scripts/bench_export.py --config=configs/gaitbase.py:casiab
python scripts/bench_export.py --config=configs/deepgaitv2.py:gait3d \
  --range=half --rounds=9
python scripts/bench_export.py --config=configs/walkers_baseline.py \
  --checkpoint=runs/walkers_baseline --json

The network is that of the config, from a float --checkpoint or untrained, with
normalisations that fit its values. It is written for every runtime in float,
and in bytes with steps that two walkers ask for. Each runtime is a
process of its own, and all of them wait while one works: a round is one pass of
each, in turn, so that what else the machine does slows all alike. All have the
same --threads and the same clips of walkers, batches of one and of --batch.

Printed are milliseconds for one clip (median and quartiles of --rounds), the
median over rounds of the ratio to PyTorch's in the same round (or to the float
file in ONNX Runtime, where PyTorch is missing or the network is not among those
of scripts/torch_networks.py), clips a second in batches, the process's peak
memory with the runtime's own code, the size of the file, the smallest cosine of
a part to what JAX embeds in the same bits, and how many of the convolutions
that ran are of bytes. What is not installed is named and left out. --json
prints all seconds as well.
"""

from collections.abc import Mapping
import contextlib
import json
import os
import pathlib
import statistics
import subprocess
import sys
import tempfile
import time
from typing import Any
from typing import NamedTuple

from absl import flags
import jax
from jax.sharding import Mesh
from ml_collections import config_flags
import numpy as np
import tqdm

from gaitkd_jax import checkpoint
from gaitkd_jax import cli
from gaitkd_jax import errors
from gaitkd_jax import models
from gaitkd_jax import opengait
from gaitkd_jax import sharding
from gaitkd_jax.evaluation import restoring
from gaitkd_jax.export import metadata as metadata_lib
from gaitkd_jax.export import onnx_graph
from gaitkd_jax.export import plan as plan_lib
from gaitkd_jax.export import planning
from gaitkd_jax.export import quantising
from gaitkd_jax.export import reference
from gaitkd_jax.export import silhouettes
from gaitkd_jax.export import stablehlo
from gaitkd_jax.models import inputs
from gaitkd_jax.quantize import calibration
from gaitkd_jax.quantize import post_training

_CONFIG = config_flags.DEFINE_config_file("config", lock_config=True)
_CHECKPOINT = flags.DEFINE_string("checkpoint", "", "float; empty: untrained")
_RANGE = flags.DEFINE_enum(
  "range", "full", ["full", "half"], "of the codes of weights in bytes"
)
_RUNTIMES = flags.DEFINE_list("runtimes", [], "empty: all that are installed")
_ROUNDS = flags.DEFINE_integer("rounds", 5, "passes of each", 1)
_FRAMES = flags.DEFINE_integer("frames", 30, "of a clip", 1)
_BATCH = flags.DEFINE_integer("batch", 4, "clips, for clips a second", 1)
_THREADS = flags.DEFINE_integer("threads", 0, "0: all", 0)
_JSON = flags.DEFINE_bool("json", False, "print JSON instead of a table")
# The network settles on clips of so many frames, so many times.
_SETTLING, _TIMES = 8, 3
_RUNNER = pathlib.Path(__file__).with_name("export_runners.py")
_PAUSE = 0.05  # seconds: threads of the one before spin for a while
_WAIT = 30.0  # seconds that a process may take to end


class Entry(NamedTuple):
  """A file for a runtime.

  Attributes:
    name: in the table.
    runtime: of `export_runners.RUNTIMES`.
    bits: "float" or those of the int8 network, such as "W8A8".
    path: of the file.
  """

  name: str
  runtime: str
  bits: str
  path: pathlib.Path


class Runner:
  """A process that runs one file.

  Attributes:
    entry: what it runs.
    version: of the runtime; empty if that is missing.
    missing: the package that it needs.
    seconds: of every pass, by number of clips.
  """

  def __init__(self, entry: Entry, threads: int) -> None:
    self.entry = entry
    self.seconds: dict[int, list[float]] = {}
    self._process = subprocess.Popen(
      [sys.executable, _RUNNER, entry.runtime, entry.path, str(threads)],
      stdin=subprocess.PIPE,
      stdout=subprocess.PIPE,
      stderr=subprocess.PIPE,
      text=True,
      env={**os.environ, "JAX_PLATFORMS": "cpu"},
    )
    answer = self._answer()
    self.version = answer.get("version", "")
    self.missing = answer.get("missing", "")

  def ask(self, **request: str) -> dict[str, Any]:
    """Sends a request; returns the answer."""
    assert self._process.stdin is not None
    with contextlib.suppress(BrokenPipeError):  # the answer says so
      print(json.dumps(request), file=self._process.stdin, flush=True)
    return self._answer()

  def close(self) -> None:
    """Ends the process."""
    try:
      self._process.communicate(timeout=_WAIT)
    except (subprocess.TimeoutExpired, BrokenPipeError):
      self._process.kill()
      self._process.wait()

  def _answer(self) -> dict[str, Any]:
    assert self._process.stdout is not None
    line = self._process.stdout.readline()
    if not line:
      _, problem = self._process.communicate()
      last = (problem.strip().splitlines() or ["it says nothing"])[-1]
      raise errors.UserError(
        f"{self.entry.name} ({self.entry.bits}) ended: {last}; leave it out by "
        "--runtimes"
      )
    return json.loads(line)


def network(
  config: Any, settling: np.ndarray, mesh: Mesh
) -> tuple[models.GaitNetwork, dict[str, Any]]:
  """The float network and its variables.

  Args:
    config: the whole config.
    settling: uint8 `[n, s, 64, 44]`, on which an untrained one settles.
    mesh: one device.
  """
  if _CHECKPOINT.value:
    return restoring.restore_network(
      _CHECKPOINT.value, config.model, "float32", sharding.replicated(mesh)
    )
  module = models.create_model(config.model)
  _check_silhouettes(module)
  variables = models.init_variables(module, jax.random.key(0))

  @jax.jit
  def settle(variables: Any, clips: jax.Array) -> Any:
    _, new = module.apply(
      variables,
      inputs.scale(clips),
      train=True,
      mutable=["batch_stats"],
      rngs={"dropout": jax.random.key(1)},
    )
    return {**variables, **new}

  for _ in range(_TIMES if variables.get("batch_stats") else 0):
    variables = settle(variables, settling)
  return module, variables


def _check_silhouettes(module: models.GaitNetwork) -> None:
  if module.in_channels > 1:
    raise errors.UserError(
      f"{type(module).__name__} takes heat maps; give --config of a network "
      "that takes silhouettes alone"
    )


class Files:
  """Writes a network for every runtime that shall be timed."""

  def __init__(
    self,
    folder: pathlib.Path,
    model: Mapping[str, Any],
    module: models.GaitNetwork,
    variables: Mapping[str, Any],
    bits: str,
  ) -> None:
    self._folder, self._model, self._bits = folder, model, bits
    self._module, self._variables = module, variables
    self._plan: plan_lib.Plan = planning.plan_of(module, variables)

  def onnx(self, name: str, runtime: str, target: str) -> Entry:
    """A graph."""
    graph = onnx_graph.to_onnx(self._plan, target)
    content = metadata_lib.attach(graph, self._metadata(target))
    return self._written(name, runtime, f"{target}.onnx", content)

  def litert(self) -> Entry | None:
    """A file of LiteRT; None: there is no writer for the network."""
    try:
      from gaitkd_jax.export import tflite

      content = tflite.to_tflite(self._plan, self._metadata("tflite"))
    except (ImportError, errors.UserError) as e:
      note(f"LiteRT ({self._bits}) is left out: {e}")
      return None
    return self._written("LiteRT", "litert", f"{self._bits}.tflite", content)

  def jax(self) -> Entry:
    """A program of StableHLO."""
    path = self._folder / "float.stablehlo"
    stablehlo.write(self._module, self._variables, {}, path)
    return Entry("JAX", "jax", self._bits, path)

  def torch(self) -> Entry | None:
    """Weights by OpenGait's names; None: the network is not written there."""
    try:
      import torch_networks
    except ImportError as e:
      note(f"PyTorch is left out: {e.name} is not installed")
      return None
    if torch_networks.create(self._model) is None:
      note(
        f"PyTorch is left out: scripts/torch_networks.py has no "
        f"{type(self._module).__name__} as the config has it"
      )
      return None
    path = self._folder / "torch.npz"
    state = opengait.variables_to_opengait(self._variables, self._model)
    np.savez(path, model=json.dumps(self._model), **state)
    return Entry("PyTorch", "torch", self._bits, path)

  def _written(
    self, name: str, runtime: str, file: str, content: bytes
  ) -> Entry:
    path = self._folder / file
    path.write_bytes(content)
    return Entry(name, runtime, self._bits, path)

  def _metadata(self, target: str) -> dict[str, Any]:
    module = self._module
    return metadata_lib.describe(
      model=self._model,
      target=target,
      bits=module.quantization.form if module.quantization else {},
      digest=checkpoint.digest(self._variables),
      step=0,
      classes=0,
      metric="euclidean",
      frame=module.frame_size,
      shape=reference.shape(module),
      min_frames=reference.min_frames(module),
      within=metadata_lib.weights_within(self._plan),
      threshold=None,
      calibration=None,
    )


def entries(float_files: Files, int8_files: Files) -> list[Entry]:
  """What shall be timed, PyTorch first."""
  wanted = set(_RUNTIMES.value)
  makers = {
    "torch": (float_files.torch,),
    "onnxruntime": (
      lambda: float_files.onnx("ONNX Runtime", "onnxruntime", "float"),
      lambda: int8_files.onnx("ONNX Runtime", "onnxruntime", "ort"),
    ),
    "openvino": (
      lambda: float_files.onnx("OpenVINO", "openvino", "float"),
      lambda: int8_files.onnx("OpenVINO", "openvino", "openvino"),
    ),
    "litert": (float_files.litert, int8_files.litert),
    "jax": (float_files.jax,),
  }
  if unknown := wanted - set(makers):
    raise errors.UserError(
      f"--runtimes has {min(unknown)}; give some of {', '.join(makers)}"
    )
  made = [
    make()
    for runtime, each in makers.items()
    for make in each
    if not wanted or runtime in wanted
  ]
  return [entry for entry in made if entry is not None]


def note(text: str) -> None:
  """Says what is no result."""
  print(text, file=sys.stderr, flush=True)


def measure(
  listed: list[Entry],
  clips: np.ndarray,
  wanted: Mapping[str, np.ndarray],
  threads: int,
  folder: pathlib.Path,
) -> list[dict[str, Any]]:
  """Times all files in turns.

  Args:
    listed: the files.
    clips: uint8 `[n, s, 64, 44]`; batches are all of them, and the first alone.
    wanted: the first one's embedding in JAX, by bits.
    threads: that compute.
    folder: for files.

  Returns:
    A row for each runtime that is installed.
  """
  paths = {}
  for count in sorted({1, len(clips)}):
    paths[count] = folder / f"clips_{count}.npy"
    np.save(paths[count], clips[:count])
  runners: list[Runner] = []
  try:
    for entry in tqdm.tqdm(listed, desc="open", disable=None):
      runner = Runner(entry, threads)
      if runner.missing:
        runner.close()
        note(f"{entry.name} is left out: {runner.missing} is not installed")
        continue
      runners.append(runner)
    cosines = []
    for runner in runners:
      output = folder / "embeddings.npy"
      runner.ask(embed=str(paths[1]), output=str(output))
      cosines.append(cosine(np.load(output), wanted[runner.entry.bits]))
      # Each size is compiled, or planned for, when it is met.
      runner.ask(run=str(paths[len(clips)]))
    for count, path in paths.items():
      for _ in tqdm.trange(
        _ROUNDS.value, desc=f"{count} clips", leave=False, disable=None
      ):
        for runner in runners:
          time.sleep(_PAUSE)
          seconds = runner.ask(run=str(path))["seconds"]
          runner.seconds.setdefault(count, []).append(seconds)
    ends = [runner.ask(end="") for runner in runners]
  finally:
    for runner in runners:
      runner.close()
  return rows(runners, cosines, ends, len(clips))


def rows(
  runners: list[Runner],
  cosines: list[float],
  ends: list[dict[str, Any]],
  batch: int,
) -> list[dict[str, Any]]:
  """What was measured, as JSON."""
  base = next(
    (
      runner.seconds[1]
      for runtime in ("torch", "onnxruntime")
      for runner in runners
      if runner.entry.runtime == runtime and runner.entry.bits == "float"
    ),
    None,
  )
  found = []
  for runner, similar, end in zip(runners, cosines, ends, strict=True):
    times = runner.seconds[1]
    low, middle, high = np.quantile(times, (0.25, 0.5, 0.75)).tolist()
    convolutions, of_bytes = end["convolutions"]
    found.append(
      {
        "runtime": runner.version,
        "bits": runner.entry.bits,
        "latency_ms": 1000 * middle,
        "quartiles_ms": [1000 * low, 1000 * high],
        "ratio": base
        and statistics.median(a / b for a, b in zip(times, base, strict=True)),
        "clips_per_second": batch / statistics.median(runner.seconds[batch]),
        "peak_mib": end["peak"] / 2**20,
        "file_mb": runner.entry.path.stat().st_size / 1e6,
        "cosine": similar,
        "convolutions": convolutions,
        "int8_convolutions": of_bytes,
        "kernels": end["kernels"],
        "seconds": {str(k): v for k, v in runner.seconds.items()},
      }
    )
  return found


def cosine(found: np.ndarray, wanted: np.ndarray) -> float:
  """The smallest cosine of a part of two arrays `[n, p, d]`."""
  a, b = (np.asarray(x, np.float64) for x in (found, wanted))
  norms = np.linalg.norm(a, axis=-1) * np.linalg.norm(b, axis=-1)
  return float(((a * b).sum(-1) / np.maximum(norms, 1e-30)).min())


def table(found: list[dict[str, Any]]) -> str:
  """The rows as text."""
  base = "PyTorch" if "PyTorch" in found[0]["runtime"] else "ORT float"
  heads = (
    *("runtime", "bits", "ms (quartiles)", f"x {base}", "clips/s"),
    *("peak MiB", "file MB", "cosine", "int8 conv."),
  )
  lines = [heads]
  for row in found:
    low, high = row["quartiles_ms"]
    share = f"{row['int8_convolutions']} of {row['convolutions']}"
    lines.append(
      (
        row["runtime"],
        row["bits"],
        f"{row['latency_ms']:.1f} ({low:.1f}-{high:.1f})",
        f"{row['ratio']:.2f}" if row["ratio"] else "-",
        f"{row['clips_per_second']:.2f}",
        f"{row['peak_mib']:.0f}",
        f"{row['file_mb']:.2f}",
        f"{row['cosine']:.6f}",
        share if row["convolutions"] else "-",
      )
    )
  widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
  return "\n".join(
    "  ".join(x.ljust(width) for x, width in zip(line, widths, strict=True))
    for line in lines
  )


def main(argv: list[str]) -> None:
  """Writes the files, times them and prints what was measured."""
  del argv
  config = cli.config(_CONFIG)
  model = config.model.to_dict()
  mesh = sharding.create_mesh(1)
  walkers = next(iter(silhouettes.walkers_batches(1)))["silhouettes"]
  few = walkers[:2, :_SETTLING]
  module, variables = network(config, few, mesh)
  _check_silhouettes(module)
  settings = quantising.settings(None, {"range": _RANGE.value})
  small = module.clone(quantization=settings)
  steps = post_training.with_quantizers(small, variables, mesh)
  steps = calibration.with_steps(
    steps, calibration.observe(small, steps, [{"silhouettes": few}], mesh)
  )
  clips = np.resize(walkers, (_BATCH.value, *walkers.shape[1:]))
  turns = -(-_FRAMES.value // clips.shape[1])
  clips = np.concatenate([clips] * turns, axis=1)[:, : _FRAMES.value]
  clips = np.ascontiguousarray(clips)
  wanted = {
    bits: reference.embedder(each, arrays)(list(clips[:1]))
    for bits, each, arrays in (
      ("float", module, variables),
      (settings.name, small, steps),
    )
  }
  cores = len(os.sched_getaffinity(0))
  threads = min(_THREADS.value or cores, cores)
  with tempfile.TemporaryDirectory() as name:
    folder = pathlib.Path(name)
    listed = entries(
      Files(folder, model, module, variables, "float"),
      Files(folder, model, small, steps, settings.name),
    )
    found = measure(listed, clips, wanted, threads, folder)
  if not found:
    raise errors.UserError(
      "none of the runtimes is installed; pip install -e '.[export]'"
    )
  if _JSON.value:
    print(
      json.dumps({"threads": threads, "load": os.getloadavg(), "rows": found})
    )
    return
  n, s = clips.shape[:2]
  print(
    f"{model['name']}, {s} frames a clip, batches of {n}, {threads} threads of "
    f"{cores} cores, load {os.getloadavg()[0]:.1f}, {_ROUNDS.value} rounds"
  )
  print(table(found))


if __name__ == "__main__":
  cli.run(main)
