"""A graph of ONNX that grows node by node."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto
from onnx import helper
from onnx import numpy_helper

OPSET = 21  # the first with codes of 4 bits
INT64 = TensorProto.INT64


class Graph:
  """Nodes and constants; names are given in order, so files are repeatable."""

  def __init__(self) -> None:
    self.nodes: list[onnx.NodeProto] = []
    self._constants: dict[tuple[str, tuple[int, ...], bytes], str] = {}
    self._initializers: list[onnx.TensorProto] = []

  def node(
    self, op: str, *inputs: str, name: str = "", **attributes: Any
  ) -> str:
    """Adds a node with one result.

    Args:
      op: of ONNX's operators.
      *inputs: names of arrays; "" leaves one out.
      name: what it belongs to, the start of its name.
      **attributes: of the operator.

    Returns:
      The name of the result.
    """
    result = f"{name or 'shape'}/{op}_{len(self.nodes)}"
    self.nodes.append(
      helper.make_node(op, inputs, [result], name=result, **attributes)
    )
    return result

  def constant(self, value: Any, dtype: Any = None) -> str:
    """An array of the file; equal ones are kept once."""
    array = np.asarray(value, dtype)
    key = array.dtype.str, array.shape, array.tobytes()
    if key not in self._constants:
      name = f"constant_{len(self._initializers)}"
      self._constants[key] = name
      self._initializers.append(numpy_helper.from_array(array, name))
    return self._constants[key]

  def weights(self, value: np.ndarray, name: str) -> str:
    """An array that is kept for one node alone.

    ONNX Runtime names what it makes of one after it, so two nodes must not
    share it.
    """
    name = f"{name}_{len(self._initializers)}"
    self._initializers.append(numpy_helper.from_array(value, name))
    return name

  def integers(self, *values: int) -> str:
    """A constant vector of int64, as shapes and axes are."""
    return self.constant(values, np.int64)

  def codes(
    self, codes: np.ndarray, bits: int, name: str, factor: int = 1
  ) -> str:
    """Codes of weights as int8; those of 4 bits take 4 in the file.

    Args:
      codes: of any shape.
      bits: of each.
      name: of the node that reads them.
      factor: that multiplies them.
    """
    if bits > 4:
      return self.weights((codes * factor).astype(np.int8), f"{name}/codes")
    packed = f"{name}/codes_{len(self._initializers)}"
    self._initializers.append(
      helper.make_tensor(
        packed, TensorProto.INT4, codes.shape, codes.reshape(-1).tolist()
      )
    )
    # A runtime does this once, when it loads the file.
    x = self.node("Cast", packed, name=name, to=TensorProto.INT32)
    x = self.node("Mul", x, self.constant(factor, np.int32), name=name)
    return self.node("Cast", x, name=name, to=TensorProto.INT8)

  def reshape(self, x: str, *shape: int | str, name: str = "") -> str:
    """Reshapes; sizes that are known only at run time are vectors' names."""
    if all(isinstance(size, int) for size in shape):
      return self.node("Reshape", x, self.integers(*shape), name=name)
    sizes = [
      size if isinstance(size, str) else self.integers(size) for size in shape
    ]
    sizes = self.node("Concat", *sizes, axis=0)
    return self.node("Reshape", x, sizes, name=name)

  def slice(self, x: str, start: int, stop: int, axis: int, name: str) -> str:
    """Entries of one axis."""
    return self.node(
      "Slice",
      x,
      self.integers(start),
      self.integers(stop),
      self.integers(axis),
      name=name,
    )

  def finish(
    self,
    name: str,
    inputs: Sequence[onnx.ValueInfoProto],
    output: onnx.ValueInfoProto,
  ) -> onnx.ModelProto:
    """The model, checked, with the shapes of all arrays."""
    graph = helper.make_graph(
      self.nodes, name, inputs, [output], self._initializers
    )
    model = helper.make_model(
      graph,
      opset_imports=[helper.make_opsetid("", OPSET)],
      ir_version=10,
      producer_name="gaitkd_jax",
    )
    onnx.checker.check_model(model, full_check=True)
    return model
