"""A network in evaluation as a list of layers, from which targets are written.

Feature maps are `[m, c, h, w]`, channels first, where m is the number of frames
of all sequences; all convolutions are over height and width. One over time
reads its neighbours in time as further channels (the layer "taps"), so that
every runtime has a fast kernel for it and frames stay merged from the first
layer to the maximum over time.
"""

from collections.abc import Callable
from collections.abc import Iterator
from collections.abc import Mapping
import dataclasses
from typing import Any

import numpy as np


@dataclasses.dataclass(frozen=True)
class Weights:
  """A kernel, exactly as the network computes with it.

  Attributes:
    values: float32 `[out, in, h, w]`, or `[p, in, out]` of parts.
    codes: int8, of the same shape; None: it is not quantised.
    scales: float32, broadcastable to `codes`: values are codes * scales.
    bits: of the codes; 0: it is not quantised.
  """

  values: np.ndarray
  codes: np.ndarray | None = None
  scales: np.ndarray | None = None
  bits: int = 0

  def moved(self, function: Callable[[np.ndarray], np.ndarray]) -> "Weights":
    """The same values at other places: what a function makes of all arrays."""
    values, codes, scales = (
      None if x is None else function(x)
      for x in (self.values, self.codes, self.scales)
    )
    return Weights(values, codes, scales, self.bits)


@dataclasses.dataclass(frozen=True)
class Value:
  """What a layer makes.

  Attributes:
    name: unique in the plan.
    shape: without the first axis.
    time: the number of the time axis, of `Plan.times`, whose frames, of all
      sequences, are the first axis; None: the first axis is that of sequences.
    strips: how many entries of the first axis one frame (or sequence) has.
  """

  name: str
  shape: tuple[int, ...]
  time: int | None = None
  strips: int = 1


@dataclasses.dataclass(frozen=True)
class Layer:
  """One computation.

  Attributes:
    op: what it does; a row of `OPS`.
    name: the path of the module that it stands for, such as "stem", and
      what it does there if that are several things.
    inputs: values.
    output: the value that it makes.
    arguments: what else `OPS` says that it takes.
  """

  op: str
  name: str
  inputs: tuple[Value, ...]
  output: Value
  arguments: Mapping[str, Any] = dataclasses.field(default_factory=dict)


@dataclasses.dataclass(frozen=True)
class Time:
  """A time axis.

  Attributes:
    source: the number of the one that it is made of; None for the input's.
    how: "repeat_short" (`gaitgl.repeat_short`; at least 4 frames), "divide", or
      "whole", with frames at its end that no sequence has.
    by: frames that become one; what their number is a multiple of.
  """

  source: int | None = None
  how: str = ""
  by: int = 1


@dataclasses.dataclass(frozen=True)
class Plan:
  """A network, without what only training needs.

  Attributes:
    network: its name.
    frame: height, width and channels of its input.
    layers: in the order in which they work; the first reads the input, and the
      last makes the embedding, `[p, d]` for every sequence.
    times: time axes; the first is that of the input.
    bits: the name of its quantisation, such as "W8A8"; "" is float.
  """

  network: str
  frame: tuple[int, int, int]
  layers: tuple[Layer, ...]
  times: tuple[Time, ...]
  bits: str = ""

  @property
  def output(self) -> Value:
    """The embedding."""
    return self.layers[-1].output

  def maker(self, value: Value) -> Layer:
    """The layer that makes a value."""
    return next(layer for layer in self.layers if layer.output == value)

  @property
  def coarse(self) -> bool:
    """Whether activations have fewer than 8 bits."""
    return any(
      layer.arguments["high"] - layer.arguments["low"] < 254
      for layer in self.layers
      if layer.op == "quantize"
    )

  def readers(self, value: Value) -> Iterator[Layer]:
    """The layers that read a value."""
    return (layer for layer in self.layers if value in layer.inputs)


# What layers there are, and what their arguments mean. m is the first axis.
OPS: Mapping[str, str] = {
  "frames": "the input: uint8 / 255, zero beyond lengths, as [m, c, h, w]",
  "convolve": "2-D: weights, bias [out] or None, strides, padding",
  "relu": "",
  "leaky_relu": "slope",
  "sigmoid": "",
  "add": "the sum of two; the first is the main branch of a residual",
  "multiply": "the product of two",
  "blend": "x, y, scores of both: softmax of the scores weighs x and y",
  "quantize": "to the nearest step * (low ... high): step, low, high",
  "repeat_short": "see `Time`; beyond lengths the result is anything",
  "zero_outside": "zero beyond lengths",
  "taps": "count frames, one behind the other along `axis` of the shape: those"
  " around every frame, of which `before` come before it, or groups, `stride`"
  " frames apart",
  "window": "over size frames around every frame, what: their mean, or the"
  " maximum of those within lengths (beyond lengths the result is anything)",
  "slice": "channels: start, stop",
  "concat": "of channels, or of parts: along the first axis of the shape",
  "cut_strips": "[m, c, h, w] to [m * strips, c, h / strips, w]",
  "join_strips": "the inverse",
  "max_pool": "of 2 x 2 pixels",
  "max_over_time": "of the frames of each sequence: [n, ...]",
  "pool_strips": "mean + maximum of each of the parts of all `levels`, of"
  " [c, h, w], which may be cut into strips: [m, parts, c]",
  "generalised_mean": "of each of `parts` likewise: exponent, least",
  "linear": "[p, c] by weights [p, c, d]",
  "affine": "times scale plus shift, which have the rank of the value",
  "unit_length": "over the last axis",
  # Of the video Swin transformer; c is the last axis from "channels_last" on.
  "resize": "[m, c, h, w] bilinearly, the centres of corners kept in place",
  "channels_last": "[m, c, h, w] to [m, h, w, c]",
  "channels_first": "the inverse",
  "layer_norm": "over the last axis: scale, shift, epsilon",
  "dense": "the last axis by weights [c, d], bias [d] or None",
  "gelu": "x * Phi(x)",
  "pad_time": "frames of zeros at the end: to a time axis that is longer",
  "cut_time": "the inverse",
  "roll_order": "frames as each sequence is rolled in time, or `back`: [m]",
  "cut_windows": "[m, h, w, c] to tokens [windows, 45, c], of `rolled` frames",
  "join_windows": "the inverse",
  "attention_mask": "-infinity or -100 for keys that are hidden or apart",
  "attend": "of [windows, 45, 3 c] with a mask: heads, bias [heads, 45, 45]",
}


def describe(plan: Plan) -> list[tuple[str, ...]]:
  """The plan as rows of text: layer, what it does, its shape, its bits."""
  rows = []
  for layer in plan.layers:
    weights = layer.arguments.get("weights")
    bits = ""
    if weights is not None:
      bits = f"int{weights.bits}" if weights.bits else "float"
    if layer.op == "quantize":
      low, high = layer.arguments["low"], layer.arguments["high"]
      bits = f"{low}..{high}"
    shape = "x".join(map(str, layer.output.shape))
    axis = "frames" if layer.output.time is not None else "sequences"
    if layer.output.strips > 1:
      axis += f" x {layer.output.strips} strips"
    rows.append((layer.name, layer.op, f"{axis} x {shape}", bits))
  return rows
