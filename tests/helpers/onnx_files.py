"""A small graph in the form of an exported network, made without the exporter.

Of each strip of 4 rows it gives the mean over pixels, in 2 scales, of the
maximum over valid frames: embeddings `[n, 16, 2]`.
"""

import json

import numpy as np
import onnx
from onnx import TensorProto
from onnx import helper
from onnx import numpy_helper

METADATA = {
  "format": 1,
  "library": "gaitkd_jax 0",
  "network": "strips",
  "model": {"name": "strips"},
  "target": "float",
  "bits": {},
  "checkpoint": {"digest": "0" * 64, "step": 7},
  "metric": "euclidean",
  "parts": 16,
  "width": 2,
  "min_frames": 1,
}


def expected(sequence):
  """What the graph gives for uint8 `[s, 64, 44]`."""
  top = sequence.max(0).astype(np.float32) / np.float32(255)
  strips = top.reshape(16, 4 * 44).mean(-1)
  return np.stack([strips, 2 * strips], -1)


def graph():
  """The graph of `expected`, without metadata."""

  def constant(name, values, dtype=np.int64):
    return numpy_helper.from_array(np.array(values, dtype), name)

  node = helper.make_node
  nodes = [
    node("Shape", ["silhouettes"], ["frames"], start=1, end=2),
    node("Squeeze", ["frames"], ["s"]),
    node("Range", ["zero", "s", "one"], ["places"]),
    node("Unsqueeze", ["lengths", "axis1"], ["column"]),
    node("Cast", ["column"], ["ends"], to=TensorProto.INT64),
    node("Less", ["places", "ends"], ["valid"]),
    node("Unsqueeze", ["valid", "axes23"], ["mask"]),
    node("Cast", ["silhouettes"], ["pixels"], to=TensorProto.FLOAT),
    node("Where", ["mask", "pixels", "nothing"], ["kept"]),
    node("ReduceMax", ["kept", "axis1"], ["top"], keepdims=0),
    node("Div", ["top", "full"], ["scaled"]),
    node("Reshape", ["scaled", "shape"], ["strips"]),
    node("ReduceMean", ["strips", "last"], ["mean"], keepdims=1),
    node("Mul", ["mean", "scales"], ["embedding"]),
  ]
  constants = [
    constant("zero", 0),
    constant("one", 1),
    constant("axis1", [1]),
    constant("axes23", [2, 3]),
    constant("nothing", 0, np.float32),
    constant("full", 255, np.float32),
    constant("shape", [0, 16, 176]),
    constant("last", [-1]),
    constant("scales", [1, 2], np.float32),
  ]
  inputs = [
    helper.make_tensor_value_info(
      "silhouettes", TensorProto.UINT8, ["n", "s", 64, 44]
    ),
    helper.make_tensor_value_info("lengths", TensorProto.INT32, ["n"]),
  ]
  outputs = [
    helper.make_tensor_value_info("embedding", TensorProto.FLOAT, ["n", 16, 2])
  ]
  made = helper.make_model(
    helper.make_graph(nodes, "strips", inputs, outputs, constants),
    opset_imports=[helper.make_opsetid("", 21)],
  )
  made.ir_version = 10
  onnx.checker.check_model(made, full_check=True)
  return made


def write(path, **changes):
  """Writes the graph with its metadata; a value of None leaves a key out."""
  made = graph()
  values = {
    f"gaitkd_jax.{key}": json.dumps(value)
    for key, value in {**METADATA, **changes}.items()
    if value is not None
  }
  helper.set_model_props(made, values)
  path.write_bytes(made.SerializeToString())
  return path
