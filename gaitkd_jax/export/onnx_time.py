"""How layers that only move frames and strips are written as nodes of ONNX."""

from collections.abc import Mapping

from gaitkd_jax.export import onnx_values
from gaitkd_jax.export import plan as plan_lib

Layer = plan_lib.Layer
Values = onnx_values.Values


def _taps(v: Values, layer: Layer) -> None:
  (source,) = layer.inputs
  assert source.strips == 1
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

  def masked(x: str, fill: str) -> str:
    x = v.split(x, source)
    x = v.graph.node("Where", v.mask_of(source), x, fill, name=layer.name)
    return v.merge(x, source)

  onnx_values.moved(v, layer, masked)


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
