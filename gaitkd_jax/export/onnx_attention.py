"""How the layers of a video Swin transformer are written as nodes of ONNX.

Where frames lie in windows follows from lengths, as `models.swin.layout` says.
"""

from collections.abc import Mapping

import numpy as np
from onnx import TensorProto

from gaitkd_jax.export import graph as graph_lib
from gaitkd_jax.export import onnx_values
from gaitkd_jax.export import plan as plan_lib
from gaitkd_jax.models import swin

Layer = plan_lib.Layer
Values = onnx_values.Values


def _resize(v: Values, layer: Layer) -> None:
  graph = v.graph
  (source,) = layer.inputs
  sizes = graph.node(
    "Concat",
    graph.node("Shape", v.float(source), start=0, end=1),
    graph.integers(*layer.output.shape),
    axis=0,
  )
  x = graph.node(
    "Resize",
    v.float(source),
    "",
    "",
    sizes,
    name=layer.name,
    mode="linear",
    coordinate_transformation_mode="align_corners",
  )
  v.set(layer.output, x)


def _transposed(*perm: int) -> onnx_values.Writer:
  def write(v: Values, layer: Layer) -> None:
    x = v.float(layer.inputs[0])
    v.set(
      layer.output, v.graph.node("Transpose", x, name=layer.name, perm=perm)
    )

  return write


def _layer_norm(v: Values, layer: Layer) -> None:
  graph, arguments = v.graph, layer.arguments
  x = graph.node(
    "LayerNormalization",
    v.float(layer.inputs[0]),
    graph.weights(arguments["scale"], f"{layer.name}/scale"),
    graph.weights(arguments["shift"], f"{layer.name}/shift"),
    name=layer.name,
    axis=-1,
    epsilon=arguments["epsilon"],
  )
  v.set(layer.output, x)


def _dense(v: Values, layer: Layer) -> None:
  graph, arguments = v.graph, layer.arguments
  kernel = graph.weights(arguments["weights"].values, f"{layer.name}/kernel")
  x = graph.node("MatMul", v.float(layer.inputs[0]), kernel, name=layer.name)
  if arguments["bias"] is not None:
    bias = graph.weights(arguments["bias"], f"{layer.name}/bias")
    x = graph.node("Add", x, bias, name=layer.name)
  v.set(layer.output, x)


def _gelu(v: Values, layer: Layer) -> None:
  x = v.float(layer.inputs[0])
  v.set(layer.output, v.graph.node("Gelu", x, name=layer.name))


def _pad_time(v: Values, layer: Layer) -> None:
  graph, name = v.graph, layer.name
  (source,) = layer.inputs
  x = v.split(v.float(source), source)
  missing = graph.node(
    "Sub", v.frames(layer.output.time), v.frames(source.time), name=name
  )
  rest = [0] * len(source.shape)
  before = graph.integers(0, 0, *rest, 0)
  pads = graph.node("Concat", before, missing, graph.integers(*rest), axis=0)
  x = graph.node("Pad", x, pads, name=name)
  v.set(layer.output, v.merge(x, layer.output))


def _cut_time(v: Values, layer: Layer) -> None:
  graph = v.graph
  (source,) = layer.inputs
  x = v.split(v.float(source), source)
  x = graph.node(
    "Slice",
    x,
    graph.integers(0),
    v.frames(layer.output.time),
    graph.integers(1),
    name=layer.name,
  )
  v.set(layer.output, v.merge(x, layer.output))


class _Layout:
  """`swin.layout` of a time axis, as nodes: int64 and bool `[n, s]`."""

  def __init__(self, v: Values, time: int, name: str) -> None:
    self._graph, self._name = v.graph, name
    graph, window = v.graph, swin.WINDOW[0]
    self.frames = v.frames(time)
    self.time = graph.node("Unsqueeze", v.places(time), self.int(0))
    self.length = graph.node("Unsqueeze", v.lengths(time), self.int(1))
    whole = self.node("Add", self.length, self.int(window - 1))
    whole = self.node("Div", whole, self.int(window))
    self.whole = self.node("Mul", whole, self.int(window))
    self.short = self.node("LessOrEqual", self.length, self.int(window))
    self.last = self.node("Sub", self.whole, self.int(swin.SHIFT[0]))

  def node(self, op: str, *inputs: str, **attributes: int) -> str:
    """A node of the layout."""
    return self._graph.node(op, *inputs, name=self._name, **attributes)

  def int(self, value: int) -> str:
    """A constant vector of one number."""
    return self._graph.integers(value)

  def order(self, back: bool) -> str:
    """The frame that rolling a sequence brings to each place, or back."""
    shift = self.int(swin.SHIFT[0])
    if back:
      moves = self.node("GreaterOrEqual", self.time, shift)
      moved = self.node("Sub", self.time, shift)
      turned = self.node("Add", self.time, self.last)
    else:
      moves = self.node("Less", self.time, self.last)
      moved = self.node("Add", self.time, shift)
      turned = self.node("Sub", self.time, self.last)
    rolled = self.node("Where", moves, moved, turned)
    inside = self.node("Less", self.time, self.whole)
    rolls = self.node("And", self.node("Not", self.short), inside)
    return self.node("Where", rolls, rolled, self.time)

  def hidden(self) -> str:
    """Frames that no token of their window may attend to."""
    beyond = self.node("LessOrEqual", self.length, self.time)
    first = self.node("Less", self.time, self.int(swin.WINDOW[0]))
    hidden = self.node("And", self.short, beyond)
    return self.node("And", hidden, first)

  def regions(self) -> str:
    """A number of every frame; those of one window that differ were apart."""
    window = self.int(swin.WINDOW[0])
    final = self.node(
      "GreaterOrEqual", self.time, self.node("Sub", self.whole, window)
    )
    brought = self.node("GreaterOrEqual", self.time, self.last)
    numbers = [
      self.node("Cast", x, to=graph_lib.INT64) for x in (final, brought)
    ]
    region = self.node("Add", *numbers)
    return self.node("Where", self.short, self.int(0), region)


def _roll_order(v: Values, layer: Layer) -> None:
  """Of the frames of all sequences: int64 `[m]`."""
  layout = _Layout(v, layer.output.time, layer.name)
  order = layout.order(layer.arguments["back"])
  sequences = v.graph.node("Size", "lengths", name=layer.name)
  first = layout.node("Mul", v.count(sequences), layout.frames)
  first = layout.node("Unsqueeze", first, layout.int(1))
  order = layout.node("Add", order, first)
  v.set(layer.output, v.graph.reshape(order, -1, name=layer.name))


def _attention_mask(v: Values, layer: Layer) -> None:
  """-infinity for hidden keys; -100 for those from elsewhere, if rolled."""
  graph, name = v.graph, layer.name
  (frames,) = layer.inputs
  layout = _Layout(v, frames.time, name)
  window, tokens = swin.WINDOW[0], layer.output.shape[-1]
  nothing = graph.constant(0, np.float32)

  def in_windows(x: str, space: np.ndarray) -> str:
    """Adds a number of each frame to that of a place: `[windows, 45]`."""
    x = graph.reshape(x, -1, 1, window, 1, name=name)
    x = graph.node("Add", x, graph.constant(space[:, None], np.int64))
    return graph.reshape(x, -1, tokens, name=name)

  places = _places(frames.shape[:2], rolled=False)
  hidden = graph.node("Cast", layout.hidden(), to=graph_lib.INT64, name=name)
  hidden = in_windows(hidden, np.zeros_like(places))
  hidden = graph.node("Cast", hidden, to=TensorProto.BOOL, name=name)
  hidden = graph.reshape(hidden, -1, 1, 1, tokens, name=name)
  infinite = graph.constant(-np.inf, np.float32)
  mask = graph.node("Where", hidden, infinite, nothing, name=name)
  if layer.arguments["rolled"]:
    rows, columns = (
      np.digitize(np.arange(size), [size - window, size - shift])
      for size, window, shift in zip(
        frames.shape[:2], swin.WINDOW[1:], swin.SHIFT[1:], strict=True
      )
    )
    in_space = (3 * rows[:, None] + columns).reshape(-1)[places]
    in_time = layout.node("Mul", layout.regions(), layout.int(9))
    region = in_windows(in_time, in_space)
    query, key = (
      graph.node("Unsqueeze", region, graph.integers(1, axis), name=name)
      for axis in (3, 2)
    )
    near = graph.node("Equal", query, key, name=name)
    far = graph.constant(-100, np.float32)
    apart = graph.node("Where", near, nothing, far, name=name)
    mask = graph.node("Add", mask, apart, name=name)
  v.set(layer.output, mask)


def _places(shape: tuple[int, ...], rolled: bool) -> np.ndarray:
  """Which pixel each token of a frame is: `[windows, 15]`."""
  places = np.arange(np.prod(shape)).reshape(shape)
  if rolled:
    places = np.roll(places, [-x for x in swin.SHIFT[1:]], axis=(0, 1))
  (h, w), (b, d) = shape, swin.WINDOW[1:]
  places = places.reshape(h // b, b, w // d, d).transpose(0, 2, 1, 3)
  return places.reshape(-1, b * d)


def _cut_windows(v: Values, layer: Layer) -> None:
  graph, name = v.graph, layer.name
  source, *order = layer.inputs
  x = v.float(source)
  if order:
    x = graph.node("Gather", x, v.float(order[0]), name=name, axis=0)
  h, w, c = source.shape
  places = _places((h, w), layer.arguments["rolled"])
  x = graph.reshape(x, -1, h * w, c, name=name)
  x = graph.node("Gather", x, graph.integers(*places.flat), name=name, axis=1)
  x = graph.reshape(x, -1, swin.WINDOW[0], *places.shape, c, name=name)
  x = graph.node("Transpose", x, name=name, perm=(0, 2, 1, 3, 4))
  v.set(layer.output, graph.reshape(x, -1, *layer.output.shape, name=name))


def _join_windows(v: Values, layer: Layer) -> None:
  graph, name = v.graph, layer.name
  source, *order = layer.inputs
  h, w, c = layer.output.shape
  places = _places((h, w), layer.arguments["rolled"])
  windows, pixels = places.shape
  x = graph.reshape(
    v.float(source), -1, windows, swin.WINDOW[0], pixels, c, name=name
  )
  x = graph.node("Transpose", x, name=name, perm=(0, 2, 1, 3, 4))
  x = graph.reshape(x, -1, h * w, c, name=name)
  back = np.argsort(places.reshape(-1))
  x = graph.node("Gather", x, graph.integers(*back), name=name, axis=1)
  x = graph.reshape(x, -1, h, w, c, name=name)
  if order:
    x = graph.node("Gather", x, v.float(order[0]), name=name, axis=0)
  v.set(layer.output, x)


def _attend(v: Values, layer: Layer) -> None:
  graph, name, arguments = v.graph, layer.name, layer.arguments
  source, mask = layer.inputs
  tokens, c = layer.output.shape
  heads = arguments["heads"]
  x = graph.reshape(
    v.float(source), -1, tokens, 3, heads, c // heads, name=name
  )
  q, k, values = (
    graph.node(
      "Transpose",
      graph.node("Gather", x, graph.constant(i, np.int64), name=name, axis=2),
      name=name,
      perm=(0, 2, 3, 1) if i == 1 else (0, 2, 1, 3),
    )
    for i in range(3)
  )
  scale = graph.constant((c // heads) ** -0.5, np.float32)
  q = graph.node("Mul", q, scale, name=name)
  scores = graph.node("MatMul", q, k, name=name)
  bias = graph.weights(arguments["bias"], f"{name}/bias")
  scores = graph.node("Add", scores, bias, name=name)
  scores = graph.node("Add", scores, v.float(mask), name=name)
  weights = graph.node("Softmax", scores, name=name, axis=-1)
  x = graph.node("MatMul", weights, values, name=name)
  x = graph.node("Transpose", x, name=name, perm=(0, 2, 1, 3))
  v.set(layer.output, graph.reshape(x, -1, tokens, c, name=name))


LAYERS: Mapping[str, onnx_values.Writer] = {
  "attend": _attend,
  "attention_mask": _attention_mask,
  "channels_first": _transposed(0, 3, 1, 2),
  "channels_last": _transposed(0, 2, 3, 1),
  "cut_time": _cut_time,
  "cut_windows": _cut_windows,
  "dense": _dense,
  "gelu": _gelu,
  "join_windows": _join_windows,
  "layer_norm": _layer_norm,
  "pad_time": _pad_time,
  "resize": _resize,
  "roll_order": _roll_order,
}
