"""Writes a plan as a file of LiteRT, and runs one.

The file takes one sequence of any number of frames: its signature has the
inputs "silhouettes", uint8 `[1, s, h, w]` (or `[1, s, h, w, c]`), and
"lengths", int32 `[1]`, of how many of them count; and the output "embedding",
float32 `[1, p, d]`.

A quantised network has the plan's steps and codes. Convolutions and residual
sums compute in int8; strips and the linear layer behind them, of which
LiteRT has no product with a step for each part and channel, in float. Codes of
4 bits are in bytes. What differs: LiteRT rounds a bias to the steps of input
and weights, and a result that lies between two codes to either.

Metadata are JSON in the buffer `tflite_graph.METADATA`.
"""

from collections import Counter
from collections.abc import Callable
from collections.abc import Mapping
import importlib.metadata
import json
import os
import pathlib
from typing import Any

import numpy as np

from gaitkd_jax import errors
from gaitkd_jax import storage
from gaitkd_jax.export import plan as plan_lib

_INSTALL = "pip install '.[export]'"


def write(
  plan: plan_lib.Plan, metadata: Mapping[str, Any], path: storage.Place
) -> None:
  """Writes a plan; the whole file or nothing.

  Args:
    plan: of a network, in float or quantised.
    metadata: JSON that goes with it.
    path: of the file.

  Raises:
    errors.UserError: the plan has a layer that the target has not, LiteRT is
      missing, or the file cannot be written.
  """
  content = to_tflite(plan, metadata)
  try:
    storage.write_bytes(path, content)
  except OSError as e:
    raise errors.UserError(
      f"{path} cannot be written ({e.strerror or e}); make room, or give "
      "another file"
    ) from e


def to_tflite(plan: plan_lib.Plan, metadata: Mapping[str, Any]) -> bytes:
  """The content of the file of a plan; the same for the same arguments.

  Raises:
    errors.UserError: see `write`.
  """
  try:
    from gaitkd_jax.export import tflite_graph
    from gaitkd_jax.export import tflite_layers
    from gaitkd_jax.export import tflite_values
  except ImportError as e:
    raise errors.UserError(
      f"--target=tflite needs LiteRT ({e}); {_INSTALL}"
    ) from e
  graph = tflite_graph.Graph()
  values = tflite_values.Values(graph, plan)
  for layer in plan.layers:
    if values.has(layer.output):
      continue  # one operation with a layer before
    layer_writer = tflite_layers.LAYERS.get(layer.op)
    if layer_writer is None:
      raise errors.UserError(
        f"--target=tflite has no layer {layer.op}, which {layer.name} of "
        f"{plan.network} needs; give --target=float or stablehlo"
      )
    layer_writer(values, layer)
  return graph.finish(
    plan.network,
    {"silhouettes": values.silhouettes, "lengths": values.lengths},
    {"embedding": values.float(plan.output)},
    metadata,
  )


class Network:
  """A file of `write` that is open; needs numpy and LiteRT alone.

  Attributes:
    path: of the file.
    metadata: that it was written with.
  """

  def __init__(self, path: str | os.PathLike[str], threads: int = 1) -> None:
    """Opens a file.

    Args:
      path: on the disk.
      threads: how many compute.

    Raises:
      errors.UserError: there is no such file, it is damaged or of another
        program, or LiteRT is missing.
    """
    try:
      from ai_edge_litert import interpreter
    except ImportError as e:
      raise errors.UserError(
        f"LiteRT, which runs {path}, is missing ({e}); {_INSTALL}"
      ) from e
    self.path = pathlib.Path(path)
    content = _read(self.path)
    self._model = _parse(content, self.path)
    self.metadata = _metadata(self._model, self.path)
    try:
      self._interpreter = interpreter.Interpreter(
        model_content=content, num_threads=threads
      )
      self._signature = self._interpreter.get_signature_runner()
    except (RuntimeError, ValueError) as e:
      raise errors.UserError(
        f"{path} is no network that LiteRT can open "
        f"({str(e).partition(chr(10))[0]}); export the checkpoint again"
      ) from e

  def run(
    self, silhouettes: np.ndarray, lengths: np.ndarray | None = None
  ) -> np.ndarray:
    """Embeds a padded batch, sequence by sequence.

    Args:
      silhouettes: uint8 `[n, s, 64, 44]`, or with channels.
      lengths: int `[n]`, valid frames of each sequence; None: all.

    Returns:
      float32 `[n, p, d]`.
    """
    n, s = silhouettes.shape[:2]
    lengths = np.full(n, s) if lengths is None else lengths
    rows = [
      self._signature(
        silhouettes=sequence[None], lengths=np.array([length], np.int32)
      )["embedding"]
      for sequence, length in zip(silhouettes, lengths, strict=True)
    ]
    return np.concatenate(rows)

  @property
  def operations(self) -> dict[str, int]:
    """How many operations there are of each kind and type, as "CONV_2D int8".

    The type is that of the result.
    """
    from ai_edge_litert import schema_py_generated as schema

    kinds, types = (
      {value: name for name, value in vars(table).items() if name[0] != "_"}
      for table in (schema.BuiltinOperator, schema.TensorType)
    )
    graph = self._model.subgraphs[0]
    codes = [each.builtinCode for each in self._model.operatorCodes]
    return dict(
      Counter(
        f"{kinds[codes[node.opcodeIndex]]} "
        f"{types[graph.tensors[node.outputs[0]].type].lower()}"
        for node in graph.operators
      )
    )


def open_file(
  path: str | os.PathLike[str], threads: int = 1
) -> tuple[str, Callable[[np.ndarray, np.ndarray], np.ndarray]]:
  """The name of the runtime, and `Network.run` of a file.

  Raises:
    errors.UserError: see `Network`.
  """
  network = Network(path, threads)
  version = importlib.metadata.version("ai-edge-litert")
  return f"LiteRT {version}", network.run


def _read(path: pathlib.Path) -> bytes:
  try:
    return path.read_bytes()
  except OSError as e:
    raise errors.UserError(
      f"{path} cannot be read ({e.strerror or e}); give a file that "
      "--target=tflite has written"
    ) from e


def _parse(content: bytes, path: pathlib.Path) -> Any:
  from ai_edge_litert import schema_py_generated as schema

  try:
    if not schema.Model.ModelBufferHasIdentifier(content, 0):
      raise ValueError("it is no FlatBuffer of LiteRT")
    return schema.ModelT.InitFromPackedBuf(content)
  # What is damaged raises whatever the damaged part leads to.
  except Exception as e:
    raise errors.UserError(
      f"{path} is no file of --target=tflite, or damaged ({e}); export the "
      "checkpoint again"
    ) from e


def _metadata(model: Any, path: pathlib.Path) -> dict[str, Any]:
  from gaitkd_jax.export import tflite_graph

  for each in model.metadata or ():
    if each.name.decode() == tflite_graph.METADATA:
      return json.loads(bytes(model.buffers[each.buffer].data))
  raise errors.UserError(
    f"{path} has no metadata of this library; export the checkpoint with "
    "--target=tflite"
  )
