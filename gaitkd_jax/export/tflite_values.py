"""The arrays of a graph of LiteRT that stand for the values of a plan."""

from collections.abc import Sequence
from typing import Any

from ai_edge_litert import schema_py_generated as schema
import numpy as np

from gaitkd_jax.export import plan as plan_lib
from gaitkd_jax.export import tflite_graph

Tensor = tflite_graph.Tensor
Value = plan_lib.Value


class Values:
  """What of a plan is in a graph already, as floats or as codes.

  Attributes:
    graph: takes the operations.
    plan: that is written.
    silhouettes: the input, uint8 `[1, s, h, w]`, or with channels.
    lengths: the input, int32 `[1]`.
  """

  def __init__(self, graph: tflite_graph.Graph, plan: plan_lib.Plan) -> None:
    self.graph, self.plan = graph, plan
    height, width, channels = plan.frame
    shape = (1, -1, height, width) + ((channels,) if channels > 1 else ())
    self.silhouettes = graph.tensor("silhouettes", shape, np.uint8, 1 / 255)
    self.lengths = graph.tensor("lengths", (1,), np.int32)
    self._values: dict[str, Tensor] = {}
    self._floats: dict[str, Tensor] = {}
    self._orders: dict[str, Tensor] = {}

  def has(self, value: Value) -> bool:
    """Whether an operation makes a value already."""
    return value.name in self._values

  def set(self, value: Value, tensor: Tensor) -> None:
    """Says which array holds a value."""
    self._values[value.name] = tensor

  def get(self, value: Value) -> Tensor:
    """The array of a value, floats or codes."""
    return self._values[value.name]

  def float(self, value: Value) -> Tensor:
    """The array of a value as floats."""
    x = self.get(value)
    if x.step is None:
      return x
    if value.name not in self._floats:
      output = self.graph.tensor(value.name, x.shape, np.float32)
      self._floats[value.name] = self.graph.node(
        "DEQUANTIZE", [x], output, "DequantizeOptions"
      )
    return self._floats[value.name]

  def shape(self, value: Value) -> tuple[int, ...]:
    """Of the array of a value."""
    first = 1 if value.time is None else -1
    if len(value.shape) == 3:
      c, h, w = value.shape
      return first, h, w, c
    return first, *value.shape

  def like(self, x: Tensor, name: str, shape: Sequence[int]) -> Tensor:
    """An array of another shape that a move makes of `x`."""
    return self.graph.tensor(name, shape, x.dtype, x.step, x.zero)

  def reshape(self, x: Tensor, name: str, shape: Sequence[int]) -> Tensor:
    """Reshapes."""
    sizes = self.integers(name, *shape)
    output = self.like(x, name, shape)
    return self.graph.node(
      "RESHAPE", [x, sizes], output, "ReshapeOptions", newShape=list(shape)
    )

  def integers(self, name: str, *values: int) -> Tensor:
    """A constant vector, as shapes and axes are."""
    return self.graph.constant(name, values, np.int32)

  def pad(
    self, x: Tensor, name: str, pads: Sequence[tuple[int, int]]
  ) -> Tensor:
    """Adds zeros before and after."""
    shape = [
      size if size < 0 else size + sum(pad)
      for size, pad in zip(x.shape, pads, strict=True)
    ]
    pads = self.graph.constant(name, pads, np.int32)
    output = self.like(x, name, shape)
    return self.graph.node("PAD", [x, pads], output, "PadOptions")

  def zero_outside(self, x: Tensor, name: str) -> Tensor:
    """Zeroes frames beyond the length: there a frame of zeros is gathered."""
    pads = [(0, 1)] + [(0, 0)] * (len(x.shape) - 1)
    return self._gather(self.pad(x, name, pads), name, "zero")

  def repeat_outside(self, x: Tensor, name: str) -> Tensor:
    """Puts the first frame where frames are beyond the length."""
    return self._gather(x, name, "first")

  def _gather(self, x: Tensor, name: str, beyond: str) -> Tensor:
    if not self._orders:
      self._count()
    output = self.like(x, name, x.shape)
    order = self._orders[beyond]
    return self.graph.node(
      "GATHER", [x, order], output, "GatherOptions", axis=0
    )

  def _count(self) -> None:
    """Numbers of frames, other ones beyond the length: int32 `[s]`.

    A runtime that is told the number of frames has to know all shapes before
    it computes, so they are counted without their number: by adding up ones.
    """
    graph, name = self.graph, "frames"
    rank = len(self.silhouettes.shape)
    places = [
      self.integers(name, *x)
      for x in ([0] * rank, [1, 0] + [1] * (rank - 2), [1] * rank)
    ]
    x = graph.node(
      "STRIDED_SLICE",
      [self.silhouettes, *places],
      self.like(self.silhouettes, name, (1, -1) + (1,) * (rank - 2)),
      "StridedSliceOptions",
      endMask=2,
    )
    x = self.reshape(x, name, (-1,))
    number = graph.tensor(name, (-1,), np.int32)
    number = graph.node("CAST", [x], number, "CastOptions", **_cast(x, number))

    def compute(
      op: str, x: Tensor, y: Tensor, options: str = "", **arguments: Any
    ) -> Tensor:
      output = graph.tensor(name, (-1,), np.int32)
      return graph.node(op, [x, y], output, options, **arguments)

    zero, one = (self.integers(name, i) for i in range(2))
    ones = compute("MUL", number, zero, "MulOptions")
    ones = compute("ADD", ones, one, "AddOptions")
    axis = graph.constant(name, 0, np.int32)
    after = compute("CUMSUM", ones, axis, "CumsumOptions")
    before = compute("SUB", after, one, "SubOptions")
    real = graph.node(
      "LESS",
      [before, self.lengths],
      graph.tensor(name, (-1,), np.bool_),
      "LessOptions",
    )
    # The frame that `zero_outside` adds comes after all others.
    count = graph.tensor(name, (1,), np.int32)
    graph.node(
      "SUM",
      [ones, self.integers(name, 0)],
      count,
      "ReducerOptions",
      keepDims=True,
    )
    for beyond, other in (("zero", count), ("first", zero)):
      self._orders[beyond] = graph.node(
        "SELECT_V2",
        [real, before, other],
        graph.tensor(name, (-1,), np.int32),
        "SelectV2Options",
      )


def _cast(x: Tensor, y: Tensor) -> dict[str, int]:
  types = {
    np.dtype(np.uint8): schema.TensorType.UINT8,
    np.dtype(np.int32): schema.TensorType.INT32,
  }
  return dict(inDataType=types[x.dtype], outDataType=types[y.dtype])
