"""How layers that only move frames and strips are written as nodes of ONNX."""

from collections.abc import Mapping

import numpy as np
from onnx import TensorProto

from gaitkd_jax.export import onnx_values
from gaitkd_jax.export import plan as plan_lib

Layer = plan_lib.Layer
Values = onnx_values.Values


def over_time(v: Values, layer: Layer) -> Layer | None:
  """The taps that a convolution reads, if it is one over time alone.

  It is written as one over time and pixels (`Values.to_time`): frames are
  neither copied nor, between other layers, laid out anew.

  Args:
    v: the values.
    layer: "convolve".
  """
  (source,) = layer.inputs
  taps = v.plan.maker(source)
  if (
    taps.op != "taps"
    or taps.arguments["stride"] > 1
    or taps.arguments["axis"] > 0
    or layer.arguments["weights"].values.shape[2:] != (1, 1)
    or tuple(layer.arguments["strides"]) != (1, 1)
    or not v.target.codes_travel
  ):
    return None
  return taps


def kernel(taps: Layer, weights: plan_lib.Weights) -> plan_lib.Weights:
  """From taps as channels, `[out, t * c, 1, 1]`, to `[out, c, t, 1]`."""
  count = taps.arguments["count"]

  def moved(x: np.ndarray) -> np.ndarray:
    if x.shape[1] == 1:  # steps
      return x
    return x.reshape(len(x), count, -1, 1).transpose(0, 2, 1, 3)

  return weights.moved(moved)


def residual(v: Values, layer: Layer, taps: Layer) -> Layer | None:
  """The sum of a float convolution over time and what it reads, if it is read.

  Args:
    v: the values.
    layer: the convolution.
    taps: that it reads.
  """
  readers = list(v.plan.readers(layer.output))
  zeros = v.plan.maker(taps.inputs[0])
  if (
    v.plan.bits
    or len(readers) != 1
    or readers[0].op != "add"
    or zeros.op != "zero_outside"
    or readers[0].inputs != (layer.output, *zeros.inputs)
  ):
    return None
  return readers[0]


def with_identity(taps: Layer, weights: plan_lib.Weights) -> plan_lib.Weights:
  """A float kernel `[c, c, t, 1]` whose result has its input added."""
  values = weights.values.copy()
  values[:, :, taps.arguments["before"], 0] += np.eye(
    len(values), dtype=values.dtype
  )
  return plan_lib.Weights(values)


def _only_over_time(v: Values, layer: Layer) -> bool:
  """Whether all that reads the result of a layer is one over time alone."""
  for reader in v.plan.readers(layer.output):
    if reader.op == "taps" and layer.op != "taps":
      if not _only_over_time(v, reader):
        return False
    elif reader.op != "convolve" or over_time(v, reader) is None:
      return False
  return True


def _taps(v: Values, layer: Layer) -> None:
  (source,) = layer.inputs
  assert source.strips == 1
  if _only_over_time(v, layer):
    return  # the convolution has them
  write = _paced if layer.arguments["stride"] > 1 else _beside
  onnx_values.moved(v, layer, lambda x, fill: write(v, layer, x, fill))


def _paced(v: Values, layer: Layer, x: str, fill: str) -> str:
  """Groups of frames; those that fill no whole group are dropped."""
  del fill
  graph, stride = v.graph, layer.arguments["stride"]
  assert layer.arguments["axis"] == 0 and layer.output.time is not None
  x = v.split(x, layer.inputs[0])
  frames = graph.node(
    "Mul", v.frames(layer.output.time), graph.integers(stride)
  )
  x = graph.node(
    "Slice", x, graph.integers(0), frames, graph.integers(1), name=layer.name
  )
  return v.merge(x, layer.output)


def _beside(v: Values, layer: Layer, x: str, fill: str) -> str:
  """Every frame and its neighbours."""
  graph, name, arguments = v.graph, layer.name, layer.arguments
  (source,) = layer.inputs
  assert source.time is not None
  before, count = arguments["before"], arguments["count"]
  x = v.split(x, source)
  rest = [0] * len(source.shape)
  pads = [0, before, *rest, 0, count - 1 - before, *rest]
  x = graph.node("Pad", x, graph.integers(*pads), fill, name=name)
  frames = v.frames(source.time)
  shifted = []
  for i in range(count):
    stop = graph.node("Add", frames, graph.integers(i)) if i else frames
    shifted.append(
      graph.node(
        "Slice", x, graph.integers(i), stop, graph.integers(1), name=name
      )
    )
  x = graph.node("Concat", *shifted, name=name, axis=2 + arguments["axis"])
  return v.merge(x, layer.output)


def _zero_outside(v: Values, layer: Layer) -> None:
  (source,) = layer.inputs
  if _only_over_time(v, layer):
    _zero_outside_in_time(v, layer)
    return

  def masked(x: str, fill: str) -> str:
    x = v.split(x, source)
    x = v.graph.node("Where", v.mask_of(source), x, fill, name=layer.name)
    return v.merge(x, source)

  onnx_values.moved(v, layer, masked)


def _zero_outside_in_time(v: Values, layer: Layer) -> None:
  """The same with the axes of `Values.to_time`.

  The source is then there with these axes as well: what else reads it, such as
  a residual sum, may read zeros beyond the lengths, where nothing matters.
  """
  graph, name = v.graph, layer.name
  (source,) = layer.inputs
  assert source.time is not None
  mask = graph.node("Unsqueeze", v.mask(source.time), graph.integers(2, 3))
  codes = v.codes(source)
  if codes is None:
    mask = graph.node("Cast", mask, name=name, to=TensorProto.FLOAT)
    # Where would take three passes.
    x = v.to_time(
      v.float(source), source, lambda x: graph.node("Mul", x, mask, name=name)
    )
    for value in (layer.output, source):
      v.set(value, x, timed=True)
    return
  zero = v.scale(codes)[1]
  x = v.to_time(
    codes.name, source, lambda x: graph.node("Where", mask, x, zero, name=name)
  )
  for value in (layer.output, source):
    v.set_codes(value, codes._replace(name=x), timed=True)


def _repeat_short(v: Values, layer: Layer) -> None:
  """Every sequence from its start again and again; lengths say how far."""
  graph = v.graph
  (source,) = layer.inputs
  before, after = source.time, layer.output.time
  assert before is not None and after is not None
  # A remainder of 0 would end the process.
  each = graph.node("Max", v.lengths(before), graph.integers(1))
  each = graph.node("Unsqueeze", each, graph.integers(1))
  frames = graph.node("Mod", v.places(after), each)
  count = graph.node("Size", v.lengths(before))
  first = graph.node("Mul", v.count(count), v.frames(before))
  first = graph.node("Unsqueeze", first, graph.integers(1))
  numbers = graph.reshape(graph.node("Add", first, frames), -1)
  onnx_values.moved(
    v,
    layer,
    lambda x, _: graph.node("Gather", x, numbers, name=layer.name, axis=0),
  )


def _cut_strips(v: Values, layer: Layer) -> None:
  c, h, w = layer.output.shape
  count = layer.output.strips
  _swap(v, layer, (c, count, h, w))


def _join_strips(v: Values, layer: Layer) -> None:
  (source,) = layer.inputs
  c, h, w = source.shape
  _swap(v, layer, (source.strips, c, h, w))


def _swap(v: Values, layer: Layer, axes: tuple[int, ...]) -> None:
  """Swaps channels and strips, `axes` behind the first."""

  def swapped(x: str, fill: str) -> str:
    del fill
    x = v.graph.reshape(x, -1, *axes, name=layer.name)
    x = v.graph.node("Transpose", x, name=layer.name, perm=(0, 2, 1, 3, 4))
    return v.merge(x, layer.output)

  onnx_values.moved(v, layer, swapped)


LAYERS: Mapping[str, onnx_values.Writer] = {
  "cut_strips": _cut_strips,
  "join_strips": _join_strips,
  "repeat_short": _repeat_short,
  "taps": _taps,
  "zero_outside": _zero_outside,
}
