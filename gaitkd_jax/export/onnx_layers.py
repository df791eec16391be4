"""How every layer of a plan is written as nodes of ONNX."""

from collections.abc import Mapping

import numpy as np
from onnx import TensorProto

from gaitkd_jax import errors
from gaitkd_jax.export import onnx_pooling
from gaitkd_jax.export import onnx_time
from gaitkd_jax.export import onnx_values
from gaitkd_jax.export import plan as plan_lib

Codes = onnx_values.Codes
Layer = plan_lib.Layer
Values = onnx_values.Values


def _frames(v: Values, layer: Layer) -> None:
  """The input, whose bytes are its codes."""
  graph, value = v.graph, layer.output
  height, width, channels = v.plan.frame
  x = "silhouettes"
  axes = 3 if channels > 1 else 2
  mask = graph.node("Unsqueeze", v.mask(0), graph.integers(*range(2, 2 + axes)))
  x = graph.node("Where", mask, x, graph.constant(0, np.uint8), name="input")
  if channels > 1:
    x = graph.reshape(x, -1, height, width, channels, name="input")
    x = graph.node("Transpose", x, name="input", perm=(0, 3, 1, 2))
  else:
    x = graph.reshape(x, -1, 1, height, width, name="input")
  # A bias is rounded to the steps of input and weights, and 255 steps of the
  # input are too few in front of a coarse result: one code more or less there
  # turns embeddings by more than all else (see `_fineness`).
  if v.plan.bits and v.target.unsigned and not v.plan.coarse:
    v.set_codes(value, Codes(x, 1 / 255, 0, 0))
    return
  x = graph.node("Cast", x, name="input", to=TensorProto.FLOAT)
  x = graph.node("Div", x, graph.constant(255, np.float32), name="input")
  if v.plan.bits and not v.target.unsigned:
    # With a sign; 0 and 255, what most pixels are, stay exact.
    codes = Codes("", 1 / 127, 0, -127)
    x = graph.node("QuantizeLinear", x, *v.scale(codes), name="input")
    v.set_codes(value, codes._replace(name=x))
    return
  v.set(value, x)


def _convolve(v: Values, layer: Layer) -> None:
  graph, arguments = v.graph, layer.arguments
  (source,) = layer.inputs
  weights, pads = arguments["weights"], (*arguments["padding"],) * 2
  taps, made = onnx_time.over_time(v, layer), [layer.output]
  if taps is not None:
    (source,) = taps.inputs
    weights = onnx_time.kernel(taps, weights)
    before = taps.arguments["before"]
    pads = (before, 0, taps.arguments["count"] - 1 - before, 0)
    residual = onnx_time.residual(v, layer, taps)
    if residual is not None:
      weights = onnx_time.with_identity(taps, weights)
      made.append(residual.output)
  inputs = [v.float(source, taps is not None), _kernel(v, layer, weights)]
  bias = arguments["bias"]
  if bias is not None:
    inputs.append(graph.weights(bias, f"{layer.name}/bias"))
  x = graph.node(
    "Conv",
    *inputs,
    name=layer.name,
    kernel_shape=weights.values.shape[2:],
    strides=arguments["strides"],
    pads=pads,
  )
  for value in made:
    v.set(value, x, timed=taps is not None)


def _kernel(v: Values, layer: Layer, weights: plan_lib.Weights) -> str:
  """Weights, as floats or as codes times their steps by output channel."""
  graph = v.graph
  if weights.codes is None:
    return graph.weights(weights.values, f"{layer.name}/kernel")
  factor = _fineness(weights.bits)
  scales = np.maximum(weights.scales.reshape(-1), np.finfo(np.float32).tiny)
  return graph.node(
    "DequantizeLinear",
    graph.codes(weights.codes, weights.bits, layer.name, factor),
    graph.weights(scales / np.float32(factor), f"{layer.name}/steps"),
    graph.weights(np.zeros(scales.shape, np.int8), f"{layer.name}/zeros"),
    name=layer.name,
    axis=0,
  )


def _fineness(bits: int) -> int:
  """What codes of few bits are multiplied by, and their step is divided by.

  Compilers round a bias to a multiple of the steps of input and weights. Those
  of few bits are so large that results would differ. Weights stay within 63.
  """
  return 2 ** max(7 - bits, 0)


def _relu(v: Values, layer: Layer) -> None:
  (x,) = layer.inputs
  timed = v.timed(x)
  x = v.graph.node("Relu", v.float(x, timed), name=layer.name)
  v.set(layer.output, x, timed)


def _leaky_relu(v: Values, layer: Layer) -> None:
  (x,) = layer.inputs
  slope = layer.arguments["slope"]
  v.set(
    layer.output,
    v.graph.node("LeakyRelu", v.float(x), name=layer.name, alpha=slope),
  )


def _sigmoid(v: Values, layer: Layer) -> None:
  (x,) = layer.inputs
  v.set(layer.output, v.graph.node("Sigmoid", v.float(x), name=layer.name))


def _binary(op: str) -> onnx_values.Writer:
  def write(v: Values, layer: Layer) -> None:
    if v.has(layer.output):  # see `onnx_time.residual`
      return
    timed = v.timed(*layer.inputs)
    x, y = (v.float(each, timed) for each in layer.inputs)
    v.set(layer.output, v.graph.node(op, x, y, name=layer.name), timed)

  return write


def _blend(v: Values, layer: Layer) -> None:
  """The softmax of two scores is the sigmoid of their difference."""
  graph, name = v.graph, layer.name
  x, y, scores = map(v.float, layer.inputs)
  c = layer.output.shape[0]
  first, second = (
    graph.slice(scores, start, start + c, 1, name) for start in (0, c)
  )
  weight = graph.node("Sub", first, second, name=name)
  weight = graph.node("Sigmoid", weight, name=name)
  x = graph.node("Mul", graph.node("Sub", x, y, name=name), weight, name=name)
  v.set(layer.output, graph.node("Add", y, x, name=name))


def _slice(v: Values, layer: Layer) -> None:
  start, stop = layer.arguments["start"], layer.arguments["stop"]
  onnx_values.moved(
    v, layer, lambda x, _: v.graph.slice(x, start, stop, 1, layer.name)
  )


def _concat(v: Values, layer: Layer) -> None:
  """Of floats: no two quantisers have the same step."""
  x = map(v.float, layer.inputs)
  v.set(layer.output, v.graph.node("Concat", *x, name=layer.name, axis=1))


def _quantize(v: Values, layer: Layer) -> None:
  graph, arguments = v.graph, layer.arguments
  (source,) = layer.inputs
  step, low, high = (arguments[key] for key in ("step", "low", "high"))
  timed = v.timed(source)
  if v.target.identity_only and _is_main_branch(v.plan, layer):
    v.set(layer.output, v.float(source, timed), timed)
    return
  if not v.target.unsigned:
    _quantize_signed(v, layer, step, low, high)
    return
  # See `_fineness`: codes of few bits are shifted to the upper ones.
  bits = int(high - low).bit_length()
  zero = 2 ** (bits - 1) if low < 0 else 0
  codes = Codes("", step, zero, low + zero)
  x = graph.node(
    "QuantizeLinear", v.float(source, timed), *v.scale(codes), name=layer.name
  )
  if (low + zero, high + zero) != (0, 255):
    limits = (
      graph.constant(low + zero, np.uint8),
      graph.constant(high + zero, np.uint8),
    )
    x = graph.node("Clip", x, *limits, name=layer.name)
  if shift := 8 - bits:
    x = graph.node(
      "BitShift",
      x,
      graph.constant(shift, np.uint8),
      name=layer.name,
      direction="LEFT",
    )
    codes = Codes("", step / 2**shift, zero << shift, (low + zero) << shift)
  v.set_codes(layer.output, codes._replace(name=x), timed)


def _quantize_signed(
  v: Values, layer: Layer, step: float, low: int, high: int
) -> None:
  """With int8 and without a shift, as TensorRT has it."""
  graph = v.graph
  if high > 127:  # half as many steps
    step, high = step * high / 127, 127
  elif high < 127:
    raise errors.UserError(
      f"{layer.name} has codes from {low} to {high}; --target=tensorrt takes "
      "8 bits; give --target=ort"
    )
  codes = Codes("", step, 0, low)
  (source,) = layer.inputs
  x = graph.node(
    "QuantizeLinear", v.float(source), *v.scale(codes), name=layer.name
  )
  v.set_codes(layer.output, codes._replace(name=x))


def _is_main_branch(plan: plan_lib.Plan, layer: Layer) -> bool:
  """Whether a quantiser stands between a convolution and its residual sum."""
  (source,) = layer.inputs
  made = plan.maker(source)
  readers = list(plan.readers(layer.output))
  return (
    made.op == "convolve"
    and len(readers) == 1
    and readers[0].op == "add"
    and readers[0].inputs[0] == layer.output
  )


def _linear(v: Values, layer: Layer) -> None:
  """A product for every part: [p, m, c] by [p, c, d]."""
  graph, weights = v.graph, layer.arguments["weights"]
  (source,) = layer.inputs
  codes = v.codes(source)
  if codes and weights.codes is not None and v.target.integer_products:
    x = graph.node("Transpose", codes.name, name=layer.name, perm=(1, 0, 2))
    zero = v.scale(codes)[1]
    x = graph.node(
      "MatMulInteger",
      x,
      graph.codes(weights.codes, weights.bits, layer.name),
      zero,
      name=layer.name,
    )
    x = graph.node("Cast", x, name=layer.name, to=TensorProto.FLOAT)
    scales = graph.constant(weights.scales * np.float32(codes.step))
    x = graph.node("Mul", x, scales, name=layer.name)
  else:
    x = graph.node(
      "Transpose", v.float(source), name=layer.name, perm=(1, 0, 2)
    )
    x = graph.node("MatMul", x, _part_kernel(v, layer), name=layer.name)
  v.set(
    layer.output,
    graph.node("Transpose", x, name=layer.name, perm=(1, 0, 2)),
  )


def _part_kernel(v: Values, layer: Layer) -> str:
  """Weights [p, c, d], as floats or as codes times their steps."""
  weights, graph = layer.arguments["weights"], v.graph
  if weights.codes is None:
    return graph.weights(weights.values, f"{layer.name}/kernel")
  # A step for every part and channel of the result: one axis of both.
  p, c, d = weights.codes.shape
  x = graph.node(
    "DequantizeLinear",
    graph.codes(
      weights.codes.transpose(0, 2, 1).reshape(p * d, c),
      weights.bits,
      layer.name,
    ),
    graph.constant(weights.scales.reshape(-1), np.float32),
    graph.weights(np.zeros(p * d, np.int8), f"{layer.name}/zeros"),
    name=layer.name,
    axis=0,
  )
  x = graph.reshape(x, p, d, c, name=layer.name)
  return graph.node("Transpose", x, name=layer.name, perm=(0, 2, 1))


def _affine(v: Values, layer: Layer) -> None:
  graph = v.graph
  x = v.float(layer.inputs[0])
  for op, key in (("Mul", "scale"), ("Add", "shift")):
    constant = graph.constant(layer.arguments[key], np.float32)
    x = graph.node(op, x, constant, name=layer.name)
  v.set(layer.output, x)


def _unit_length(v: Values, layer: Layer) -> None:
  graph, x = v.graph, v.float(layer.inputs[0])
  square = graph.node(
    "ReduceSumSquare", x, graph.integers(-1), name=layer.name, keepdims=1
  )
  least = graph.constant(1e-24, np.float32)
  norm = graph.node("Max", square, least, name=layer.name)
  norm = graph.node("Sqrt", norm, name=layer.name)
  v.set(layer.output, graph.node("Div", x, norm, name=layer.name))


LAYERS: Mapping[str, onnx_values.Writer] = {
  "add": _binary("Add"),
  "affine": _affine,
  "blend": _blend,
  "concat": _concat,
  "convolve": _convolve,
  "frames": _frames,
  "leaky_relu": _leaky_relu,
  "linear": _linear,
  "multiply": _binary("Mul"),
  "quantize": _quantize,
  "relu": _relu,
  "sigmoid": _sigmoid,
  "slice": _slice,
  "unit_length": _unit_length,
  **onnx_pooling.LAYERS,
  **onnx_time.LAYERS,
}
