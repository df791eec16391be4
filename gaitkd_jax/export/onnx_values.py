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

  def set(self, value: Value, name: str, timed: bool = False) -> None:
    """Says which array holds a value; `timed`: see `to_time`."""
    self._floats[_key(value, timed)] = name

  def set_codes(self, value: Value, codes: Codes, timed: bool = False) -> None:
    """Says which array holds the codes of a value; `timed`: see `to_time`."""
    self._codes[_key(value, timed)] = codes

  def timed(self, *values: Value) -> bool:
    """Whether one of some values is only there as `to_time` has it."""
    return any(
      _key(value, True) in held and _key(value, False) not in held
      for held in (self._floats, self._codes)
      for value in values
    )

  def has(self, value: Value) -> bool:
    """Whether an array holds a value already."""
    return any(
      _key(value, timed) in held
      for held in (self._floats, self._codes)
      for timed in (False, True)
    )

  def codes(self, value: Value, timed: bool = False) -> Codes | None:
    """The codes of a value, if it has some; `timed`: see `float`."""
    other = self._codes.get(_key(value, not timed))
    if _key(value, timed) not in self._codes and other is not None:
      move = self.to_time if timed else self.to_frames
      codes = other._replace(name=move(other.name, value))
      self.set_codes(value, codes, timed)
    return self._codes.get(_key(value, timed))

  def float(self, value: Value, timed: bool = False) -> str:
    """The array of a value; where there are only codes, these times the step.

    Every reader gets a node of its own: a compiler fuses it with what reads it.

    Args:
      value: the value.
      timed: whether its axes shall be those of `to_time`.
    """
    codes = self.codes(value, timed)
    if codes is None:
      if _key(value, timed) not in self._floats:
        move = self.to_time if timed else self.to_frames
        other = self._floats[_key(value, not timed)]
        self.set(value, move(other, value), timed)
      return self._floats[_key(value, timed)]
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

  def to_time(
    self, name: str, value: Value, change: Callable[[str], str] | None = None
  ) -> str:
    """Lays time along the height of a picture: `[n, c, s, h * w]`.

    A convolution over time is one over two axes then, for which runtimes have
    kernels. If that has its channels last, the way leads over these, and the
    compiler sees that nothing is moved at all.

    Args:
      name: the array, `[n * s, c, h, w]`.
      value: whose it is.
      change: what is done to it on the way, when its axes start with `[n, s]`.
    """
    graph, (c, h, w) = self.graph, value.shape
    assert value.time is not None and value.strips == 1
    x, made_by, last = name, value.name, self.target.channels_last
    if last:
      x = graph.node("Transpose", x, name=made_by, perm=(0, 2, 3, 1))
    pixels = (h * w, c) if last else (c, h * w)
    x = graph.reshape(x, -1, self.frames(value.time), *pixels, name=made_by)
    if change is not None:
      x = change(x)
    perm = (0, 3, 1, 2) if last else (0, 2, 1, 3)
    return graph.node("Transpose", x, name=made_by, perm=perm)

  def to_frames(self, name: str, value: Value) -> str:
    """The inverse."""
    graph, (c, h, w) = self.graph, value.shape
    made_by = value.name
    if not self.target.channels_last:
      x = graph.node("Transpose", name, name=made_by, perm=(0, 2, 1, 3))
      return self.merge(x, value)
    x = graph.node("Transpose", name, name=made_by, perm=(0, 2, 3, 1))
    x = graph.reshape(x, -1, h, w, c, name=made_by)
    return graph.node("Transpose", x, name=made_by, perm=(0, 3, 1, 2))

  def _count(self, time: int) -> str:
    graph, axis = self.graph, self.plan.times[time]
    if axis.source is None:
      return graph.node("Shape", "silhouettes", start=1, end=2)
    before = self.frames(axis.source)
    if axis.how == "divide":
      return graph.node("Div", before, graph.integers(axis.by))
    if axis.how == "whole":
      by = graph.integers(axis.by)
      more = graph.node("Add", before, graph.integers(axis.by - 1))
      return graph.node("Mul", graph.node("Div", more, by), by)
    # Two frames become four, and one among others of any number, three.
    return graph.node("Max", before, graph.integers(4))

  def _count_each(self, time: int) -> str:
    graph, axis = self.graph, self.plan.times[time]
    if axis.source is None:
      return graph.node("Cast", "lengths", to=graph_lib.INT64)
    before = self.lengths(axis.source)
    if axis.how == "divide":
      return graph.node("Div", before, graph.integers(axis.by))
    if axis.how == "whole":
      return before
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


def _key(value: Value, timed: bool) -> str:
  return f"{value.name}/time" if timed else value.name
