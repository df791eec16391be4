"""How maxima and means are written as nodes of ONNX."""

from collections.abc import Mapping

import numpy as np

from gaitkd_jax.export import onnx_values
from gaitkd_jax.export import plan as plan_lib

Layer = plan_lib.Layer
Values = onnx_values.Values


def _max_pool(v: Values, layer: Layer) -> None:
  """The last row or column of an odd size is left out."""

  def halved(x: str, fill: str) -> str:
    del fill
    return v.graph.node(
      "MaxPool", x, name=layer.name, kernel_shape=(2, 2), strides=(2, 2)
    )

  onnx_values.moved(v, layer, halved)


def _max_over_time(v: Values, layer: Layer) -> None:
  (source,) = layer.inputs

  def highest(x: str, fill: str) -> str:
    x = v.split(x, source)
    x = v.graph.node("Where", v.mask_of(source), x, fill, name=layer.name)
    x = v.graph.node(
      "ReduceMax", x, v.graph.integers(1), name=layer.name, keepdims=0
    )
    return v.merge(x, layer.output) if source.strips > 1 else x

  onnx_values.moved(v, layer, highest, "least")


def _window(v: Values, layer: Layer) -> None:
  """Frames are rows of an image whose columns are the values of a frame."""
  graph, name = v.graph, layer.name
  (source,) = layer.inputs
  assert source.time is not None and source.strips == 1
  size, what = layer.arguments["size"], layer.arguments["what"]
  frames = v.frames(source.time)
  width = int(np.prod(source.shape))
  x = graph.reshape(v.float(source), -1, 1, frames, width, name=name)
  if what == "max":
    mask = graph.node("Unsqueeze", v.mask(source.time), graph.integers(1, 3))
    least = graph.constant(-np.inf, np.float32)
    x = graph.node("Where", mask, x, least, name=name)
  options = {"max": {}, "mean": {"count_include_pad": 1}}
  x = graph.node(
    {"max": "MaxPool", "mean": "AveragePool"}[what],
    x,
    name=name,
    kernel_shape=(size, 1),
    pads=(size // 2, 0, size // 2, 0),
    **options[what],
  )
  v.set(layer.output, v.merge(x, layer.output))


def _pool_strips(v: Values, layer: Layer) -> None:
  graph = v.graph
  levels = []
  for parts in layer.arguments["levels"]:
    x = _by_part(v, layer, parts)
    mean, highest = (
      graph.node(op, x, graph.integers(3), name=layer.name, keepdims=0)
      for op in ("ReduceMean", "ReduceMax")
    )
    levels.append(graph.node("Add", mean, highest, name=layer.name))
  x = levels[0]
  if len(levels) > 1:
    x = graph.node("Concat", *levels, name=layer.name, axis=2)
  _set_parts(v, layer, x)


def _generalised_mean(v: Values, layer: Layer) -> None:
  """Of shares of the largest: powers of small values would be 0."""
  graph, name = v.graph, layer.name
  exponent = layer.arguments["exponent"]
  least = graph.constant(layer.arguments["least"], np.float32)
  x = _by_part(v, layer, layer.arguments["parts"])
  x = graph.node("Max", x, least, name=name)
  last = graph.integers(3)
  highest = graph.node("ReduceMax", x, last, name=name, keepdims=1)
  x = graph.node("Div", x, highest, name=name)
  power = graph.constant(exponent, np.float32)
  x = graph.node("Pow", x, power, name=name)
  x = graph.node("ReduceMean", x, last, name=name, keepdims=1)
  root = graph.constant(1 / exponent, np.float32)
  x = graph.node("Pow", x, root, name=name)
  x = graph.node("Mul", x, highest, name=name)
  _set_parts(v, layer, graph.node("Squeeze", x, last, name=name))


def _by_part(v: Values, layer: Layer, parts: int) -> str:
  """The pixels of every part: `[m, c, parts, pixels]`.

  If the map is cut into strips already, m is theirs, and they have so many
  parts in all.
  """
  (source,) = layer.inputs
  c, h, w = source.shape
  count = parts // source.strips
  assert count * source.strips == parts and h % count == 0
  return v.graph.reshape(
    v.float(source), -1, c, count, h // count * w, name=layer.name
  )


def _set_parts(v: Values, layer: Layer, x: str) -> None:
  """The result `[m, c, parts]` of `_by_part` as `[m, parts, c]`."""
  x = v.graph.node("Transpose", x, name=layer.name, perm=(0, 2, 1))
  if layer.inputs[0].strips > 1:
    x = v.merge(x, layer.output)
  v.set(layer.output, x)


LAYERS: Mapping[str, onnx_values.Writer] = {
  "generalised_mean": _generalised_mean,
  "max_over_time": _max_over_time,
  "max_pool": _max_pool,
  "pool_strips": _pool_strips,
  "window": _window,
}
