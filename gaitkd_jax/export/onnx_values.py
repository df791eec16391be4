"""The arrays of a graph that stand for the values of a plan."""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from gaitkd_jax.export import graph as graph_lib
from gaitkd_jax.export import plan as plan_lib
from gaitkd_jax.export import targets

Value = plan_lib.Value
# Writes a layer: its result is in the values then.
Writer = Callable[["Values", plan_lib.Layer], None]


class Codes(NamedTuple):
  """A quantised array.

  Attributes:
    name: of its codes.
    step: what one code stands for.
    zero: the code of 0.
    low: the smallest code.
  """

  name: str
  step: float
  zero: int
  low: int


class Values:
  """What of a plan is in a graph already, as floats, as codes or as both.

  Attributes:
    graph: takes the nodes.
    plan: that is written.
    target: for whom.
  """

  def __init__(
    self,
    graph: graph_lib.Graph,
    plan: plan_lib.Plan,
    target: targets.Target,
  ) -> None:
    self.graph, self.plan, self.target = graph, plan, target
    self._floats: dict[str, str] = {}
    self._codes: dict[str, Codes] = {}
    self._frames: dict[int, str] = {}
    self._lengths: dict[int, str] = {}
    self._masks: dict[int, str] = {}

  def set(self, value: Value, name: str) -> None:
    """Says which array holds a value."""
    self._floats[value.name] = name

  def set_codes(self, value: Value, codes: Codes) -> None:
    """Says which array holds the codes of a value."""
    self._codes[value.name] = codes

  def codes(self, value: Value) -> Codes | None:
    """The codes of a value, if it has some."""
    return self._codes.get(value.name)

  def float(self, value: Value) -> str:
    """The array of a value; where there are only codes, these times the step.

    Every reader gets a node of its own: a compiler fuses it with what reads it.
    """
    codes = self.codes(value)
    if codes is None:
      return self._floats[value.name]
    scale, zero = self.scale(codes)
    return self.graph.node(
      "DequantizeLinear", codes.name, scale, zero, name=value.name
    )

  def scale(self, codes: Codes) -> tuple[str, str]:
    """Step and zero point, as quantisers take them."""
    dtype = np.uint8 if self.target.unsigned else np.int8
    return (
      self.graph.constant(codes.step, np.float32),
      self.graph.constant(codes.zero, dtype),
    )

  def frames(self, time: int) -> str:
    """How many frames a padded sequence has: a vector of one int64."""
    if time not in self._frames:
      self._frames[time] = self._count(time)
    return self._frames[time]

  def lengths(self, time: int) -> str:
    """How many frames each sequence has: int64 `[n]`."""
    if time not in self._lengths:
      self._lengths[time] = self._count_each(time)
    return self._lengths[time]

  def places(self, time: int) -> str:
    """The numbers of frames, from 0 on: int64 `[s]`."""
    last = self.graph.node("Squeeze", self.frames(time), self.graph.integers(0))
    return self.count(last)

  def count(self, stop: str) -> str:
    """Numbers from 0 to a scalar of int64, not included."""
    start, step = (self.graph.constant(i, np.int64) for i in (0, 1))
    return self.graph.node("Range", start, stop, step)

  def mask(self, time: int) -> str:
    """Which frames are real: bool `[n, s]`."""
    if time not in self._masks:
      graph = self.graph
      each = graph.node("Unsqueeze", self.lengths(time), graph.integers(1))
      self._masks[time] = graph.node("Less", self.places(time), each)
    return self._masks[time]

  def mask_of(self, value: Value) -> str:
    """Which frames of a value are real, with the axes of `split`."""
    assert value.time is not None
    axes = range(2, 2 + (value.strips > 1) + len(value.shape))
    graph = self.graph
    return graph.node("Unsqueeze", self.mask(value.time), graph.integers(*axes))

  def split(self, name: str, value: Value) -> str:
    """The frames of a value by sequence: `[n, s, ...]`.

    Args:
      name: the array.
      value: whose it is; if it has strips, these are the third axis.
    """
    assert value.time is not None
    strips = [value.strips] if value.strips > 1 else []
    frames = self.frames(value.time)
    return self.graph.reshape(
      name, -1, frames, *strips, *value.shape, name=value.name
    )

  def merge(self, name: str, value: Value) -> str:
    """The inverse."""
    return self.graph.reshape(name, -1, *value.shape, name=value.name)

  def _count(self, time: int) -> str:
    graph, axis = self.graph, self.plan.times[time]
    if axis.source is None:
      return graph.node("Shape", "silhouettes", start=1, end=2)
    before = self.frames(axis.source)
    if axis.how == "divide":
      return graph.node("Div", before, graph.integers(axis.by))
    # Two frames become four, and one among others of any number, three.
    return graph.node("Max", before, graph.integers(4))

  def _count_each(self, time: int) -> str:
    graph, axis = self.graph, self.plan.times[time]
    if axis.source is None:
      return graph.node("Cast", "lengths", to=graph_lib.INT64)
    before = self.lengths(axis.source)
    if axis.how == "divide":
      return graph.node("Div", before, graph.integers(axis.by))
    one, two = (
      graph.node("Equal", before, graph.integers(short)) for short in (1, 2)
    )
    longer = graph.node("Where", two, graph.integers(4), before)
    return graph.node("Where", one, graph.integers(3), longer)


def moved(
  v: Values,
  layer: plan_lib.Layer,
  move: Callable[[str, str], str],
  fill: str = "zero",
) -> None:
  """Writes a layer that only moves values: of codes, if there are some.

  Args:
    v: the values.
    layer: of one input.
    move: from the name of an array, and that of a scalar of its type that
      stands for `fill`, to the name of the result.
    fill: "zero", or "least", what no maximum takes.
  """
  (source,) = layer.inputs
  codes = v.codes(source)
  if codes is None or not v.target.codes_travel:
    least = -np.inf if fill == "least" else 0.0
    scalar = v.graph.constant(least, np.float32)
    v.set(layer.output, move(v.float(source), scalar))
    return
  dtype = np.uint8 if v.target.unsigned else np.int8
  scalar = v.graph.constant(codes.low if fill == "least" else codes.zero, dtype)
  v.set_codes(layer.output, codes._replace(name=move(codes.name, scalar)))
