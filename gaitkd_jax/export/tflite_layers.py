"""How every layer of a plan is written as operations of LiteRT.

Feature maps are `[frames, h, w, c]`, channels last, of one sequence. Codes are
int8; those of values without a sign are shifted by 128.

A convolution, its rectifier and its quantiser are one operation, and so are a
residual sum, its rectifier and its quantiser. Frames beyond the length are
left out where the others are gathered, which copies whole frames.
"""

from collections.abc import Callable
from collections.abc import Mapping
from collections.abc import Sequence

from ai_edge_litert import schema_py_generated as schema
import numpy as np

from gaitkd_jax import errors
from gaitkd_jax.export import plan as plan_lib
from gaitkd_jax.export import tflite_graph
from gaitkd_jax.export import tflite_values

Layer = plan_lib.Layer
Tensor = tflite_graph.Tensor
Value = plan_lib.Value
Values = tflite_values.Values
_Activation = schema.ActivationFunctionType
_LEAST, _MOST = -128, 127  # codes of int8


def _frames(v: Values, layer: Layer) -> None:
  height, width, channels = v.plan.frame
  x = v.reshape(v.silhouettes, "input", (-1, height, width, channels))
  x = v.zero_outside(x, "input")
  if any(each.op == "quantize" for each in v.plan.layers):
    output = v.graph.tensor("input", x.shape, np.int8, x.step, _LEAST)
    x = v.graph.node("QUANTIZE", [x], output, "QuantizeOptions")
  v.set(layer.output, x)


def _behind(v: Values, value: Value) -> tuple[list[Value], bool, Layer | None]:
  """What can be one operation with the one that makes a value.

  Returns:
    The value and that behind its rectifier, which need not be written; whether
    there is a rectifier; and the quantiser, if there is one.
  """
  values = [value]
  readers = list(v.plan.readers(value))
  rectified = len(readers) == 1 and readers[0].op == "relu"
  if rectified:
    values.append(readers[0].output)
    readers = list(v.plan.readers(values[-1]))
  if len(readers) == 1 and readers[0].op == "quantize":
    return values, rectified, readers[0]
  return values, rectified, None


def _codes(v: Values, layer: Layer) -> Tensor:
  """An array for the codes of a quantiser, before `_limit`."""
  step, low = (layer.arguments[key] for key in ("step", "low"))
  zero = 0 if low < 0 else _LEAST
  shape = v.shape(layer.output)
  return v.graph.tensor(layer.name, shape, np.int8, step, zero)


def _limit(v: Values, layer: Layer, x: Tensor) -> None:
  """Sets the value of a quantiser, whose codes may be fewer than of int8.

  Those of few bits are made multiples: see `_int_kernel`.
  """
  graph, name = v.graph, layer.name
  low, high = (layer.arguments[key] for key in ("low", "high"))
  if high + x.zero > _MOST:
    raise errors.UserError(
      f"{name} has codes up to {high}; --target=tflite takes 8 bits at most; "
      "give --target=float"
    )
  for op, limit, least in (("MAXIMUM", low, _LEAST), ("MINIMUM", high, _MOST)):
    if limit + x.zero != least:
      bound = graph.constant(
        name, [limit + x.zero], np.int8, x.step, zero=x.zero
      )
      output = v.like(x, name, x.shape)
      x = graph.node(op, [x, bound], output, "MaximumMinimumOptions")
  factor = 2 ** (8 - int(high - low).bit_length())
  if factor > 1:
    output = graph.tensor(name, x.shape, np.int8, x.step / factor, x.zero)
    x = graph.node("QUANTIZE", [x], output, "QuantizeOptions")
  v.set(layer.output, x)


def _convolve(v: Values, layer: Layer) -> None:
  graph, arguments = v.graph, layer.arguments
  (source,) = layer.inputs
  weights: plan_lib.Weights = arguments["weights"]
  values, rectified, quantizer = _behind(v, layer.output)
  x = v.get(source)
  in_codes = x.dtype == np.int8 and weights.codes is not None
  if in_codes and quantizer is None:
    behind = ", ".join(each.op for each in v.plan.readers(layer.output))
    raise errors.UserError(
      f"LiteRT computes {layer.name} of {v.plan.network} in bytes only if a "
      f"quantiser is behind it or its rectifier, and there is {behind}; give "
      "--target=ort, or a float checkpoint"
    )
  if not in_codes:
    x = v.float(source)
  x, padding = _padded(v, layer, x)
  if in_codes:
    kernel, bias = _int_kernel(v, layer, x)
    output = _codes(v, quantizer)
  else:
    kernel, bias = _float_kernel(v, layer)
    output = graph.tensor(layer.name, v.shape(layer.output), np.float32)
  graph.node(
    "CONV_2D",
    [x, kernel, bias],
    output,
    "Conv2DOptions",
    padding=padding,
    strideH=arguments["strides"][0],
    strideW=arguments["strides"][1],
    fusedActivationFunction=_activation(rectified),
  )
  _made(v, values, quantizer if in_codes else None, output)


def _made(
  v: Values, values: Sequence[Value], quantizer: Layer | None, x: Tensor
) -> None:
  """Says that one operation has made values, and that of their quantiser."""
  for value in values:
    v.set(value, x)
  if quantizer is not None:
    _limit(v, quantizer, x)


def _activation(rectified: bool) -> int:
  return _Activation.RELU if rectified else _Activation.NONE


def _padded(v: Values, layer: Layer, x: Tensor) -> tuple[Tensor, int]:
  """The input of a convolution, and how its operation pads it."""
  arguments = layer.arguments
  kernel = arguments["weights"].values.shape[2:]
  pads, strides = arguments["padding"], arguments["strides"]
  if tuple(pads) == (0, 0):
    return x, schema.Padding.VALID
  centred = tuple(size // 2 for size in kernel)
  odd = all(size % 2 for size in kernel)
  # With strides that pads less before than PyTorch does.
  if tuple(pads) == centred and odd and tuple(strides) == (1, 1):
    return x, schema.Padding.SAME
  around = [(0, 0), *((pad, pad) for pad in pads), (0, 0)]
  return v.pad(x, layer.name, around), schema.Padding.VALID


def _float_kernel(v: Values, layer: Layer) -> tuple[Tensor, Tensor]:
  """Weights and bias as floats; codes are made floats when a file is opened."""
  graph, name = v.graph, layer.name
  weights, bias = layer.arguments["weights"], layer.arguments["bias"]
  if bias is None:  # LiteRT wants one
    bias = np.zeros(len(weights.values))
  bias = graph.constant(f"{name}/bias", bias, np.float32)
  if weights.codes is None:
    values = weights.values.transpose(0, 2, 3, 1)
    return graph.constant(f"{name}/kernel", values, np.float32), bias
  codes = weights.codes.transpose(0, 2, 3, 1)
  return _dequantized(v, name, codes, weights.scales.reshape(-1)), bias


def _dequantized(
  v: Values, name: str, codes: np.ndarray, steps: np.ndarray
) -> Tensor:
  """Codes times their steps, which are by entries of the first axis."""
  kernel = v.graph.constant(f"{name}/kernel", codes, np.int8, steps)
  output = v.graph.tensor(f"{name}/kernel", codes.shape, np.float32)
  return v.graph.node("DEQUANTIZE", [kernel], output, "DequantizeOptions")


def _int_kernel(v: Values, layer: Layer, x: Tensor) -> tuple[Tensor, Tensor]:
  """Weights and bias as codes.

  A bias is rounded to the steps of input and weights. Those of few bits are
  large, so that codes are multiplied and steps are divided, as far as int8 has
  room. A step that is too small for the bias, of a channel that is off, is
  made larger; so are the codes made smaller.
  """
  graph, name = v.graph, layer.name
  weights, bias = layer.arguments["weights"], layer.arguments["bias"]
  factor = 2 ** (8 - weights.bits)
  codes = weights.codes.astype(np.float64) * factor
  steps = weights.scales.reshape(-1).astype(np.float64) / factor
  if bias is None:
    bias = np.zeros(len(steps))
  least = np.abs(bias) / (float(x.step) * 2**30)
  wide = np.maximum(np.maximum(steps, least), np.finfo(np.float32).tiny)
  codes = np.rint(codes * (steps / wide)[:, None, None, None])
  steps = wide.astype(np.float32)
  both = np.float32(x.step) * steps
  whole = np.rint(bias / both.astype(np.float64))
  return (
    graph.constant(
      f"{name}/kernel", codes.transpose(0, 2, 3, 1), np.int8, steps
    ),
    graph.constant(f"{name}/bias", whole, np.int32, both),
  )


def _add(v: Values, layer: Layer) -> None:
  values, rectified, quantizer = _behind(v, layer.output)
  x, y = map(v.get, layer.inputs)
  in_codes = quantizer is not None and x.dtype == y.dtype == np.int8
  if in_codes:
    output = _codes(v, quantizer)
  else:
    x, y = map(v.float, layer.inputs)
    shape = v.shape(layer.output)
    output = v.graph.tensor(layer.name, shape, np.float32)
  v.graph.node(
    "ADD",
    [x, y],
    output,
    "AddOptions",
    fusedActivationFunction=_activation(rectified),
  )
  _made(v, values, quantizer if in_codes else None, output)


def _of_floats(op: str, options: str = "") -> Callable[[Values, Layer], None]:
  def write(v: Values, layer: Layer) -> None:
    shape = v.shape(layer.output)
    output = v.graph.tensor(layer.name, shape, np.float32)
    v.graph.node(op, list(map(v.float, layer.inputs)), output, options)
    v.set(layer.output, output)

  return write


def _leaky_relu(v: Values, layer: Layer) -> None:
  output = v.graph.tensor(layer.name, v.shape(layer.output), np.float32)
  v.graph.node(
    "LEAKY_RELU",
    [v.float(layer.inputs[0])],
    output,
    "LeakyReluOptions",
    alpha=layer.arguments["slope"],
  )
  v.set(layer.output, output)


def _quantize(v: Values, layer: Layer) -> None:
  x = v.float(layer.inputs[0])
  x = v.graph.node("QUANTIZE", [x], _codes(v, layer), "QuantizeOptions")
  _limit(v, layer, x)


def _zero_outside(v: Values, layer: Layer) -> None:
  (source,) = layer.inputs
  v.set(layer.output, v.zero_outside(v.get(source), layer.name))


def _taps(v: Values, layer: Layer) -> None:
  graph, name, arguments = v.graph, layer.name, layer.arguments
  x = v.get(layer.inputs[0])
  before, count = arguments["before"], arguments["count"]
  if arguments["stride"] != 1 or arguments["axis"] != 0:
    raise errors.UserError(
      "--target=tflite has no layer taps of groups of frames or of parts, "
      f"which {name} of {v.plan.network} needs; give --target=float or "
      "stablehlo"
    )
  x = v.pad(x, name, [(before, count - 1 - before)] + [(0, 0)] * 3)
  rest = [0] * 3
  ones = v.integers(name, 1, 1, 1, 1)
  shifted = [
    graph.node(
      "STRIDED_SLICE",
      [
        x,
        v.integers(name, i, *rest),
        v.integers(name, i - count + 1, *rest),
        ones,
      ],
      v.like(x, name, x.shape),
      "StridedSliceOptions",
      beginMask=14,
      endMask=14 if i < count - 1 else 15,
    )
    for i in range(count)
  ]
  v.set(layer.output, _joined(v, shifted, layer, 3))


def _max_over_time(v: Values, layer: Layer) -> None:
  name = layer.name
  x = v.repeat_outside(v.get(layer.inputs[0]), name)
  v.set(layer.output, _reduce(v, "REDUCE_MAX", x, name, 0, keep=True))


def _reduce(
  v: Values, op: str, x: Tensor, name: str, axis: int, keep: bool = False
) -> Tensor:
  shape = list(x.shape)
  shape[axis : axis + 1] = [1] if keep else []
  axes = v.integers(name, axis)
  output = v.like(x, name, shape)
  return v.graph.node(op, [x, axes], output, "ReducerOptions", keepDims=keep)


def _pool_strips(v: Values, layer: Layer) -> None:
  (source,) = layer.inputs
  name, (c, h, w) = layer.name, source.shape
  x = v.float(source)
  levels = []
  for parts in layer.arguments["levels"]:
    pixels = v.reshape(x, name, (x.shape[0], parts, h // parts * w, c))
    both = [_reduce(v, op, pixels, name, 2) for op in ("MEAN", "REDUCE_MAX")]
    output = v.graph.tensor(name, both[0].shape, np.float32)
    levels.append(v.graph.node("ADD", both, output, "AddOptions"))
  v.set(layer.output, _joined(v, levels, layer, 1))


def _joined(
  v: Values, parts: Sequence[Tensor], layer: Layer, axis: int
) -> Tensor:
  """Arrays of one grid, one behind the other."""
  if len(parts) == 1:
    return parts[0]
  output = v.like(parts[0], layer.name, v.shape(layer.output))
  options = "ConcatenationOptions"
  return v.graph.node("CONCATENATION", parts, output, options, axis=axis)


def _concat(v: Values, layer: Layer) -> None:
  axis = 3 if len(layer.output.shape) == 3 else 1
  parts = [v.float(x) for x in layer.inputs]
  v.set(layer.output, _joined(v, parts, layer, axis))


def _max_pool(v: Values, layer: Layer) -> None:
  """The last row or column of an odd size is left out."""
  x = v.get(layer.inputs[0])
  output = v.like(x, layer.name, v.shape(layer.output))
  v.graph.node(
    "MAX_POOL_2D",
    [x],
    output,
    "Pool2DOptions",
    padding=schema.Padding.VALID,
    strideW=2,
    strideH=2,
    filterWidth=2,
    filterHeight=2,
  )
  v.set(layer.output, output)


def _linear(v: Values, layer: Layer) -> None:
  """A product for every part, [p, 1, c] by [p, c, d], in float.

  LiteRT has no product of codes with a step for each part and channel. Input
  and weights are on their grids nevertheless.
  """
  graph, name = v.graph, layer.name
  weights: plan_lib.Weights = layer.arguments["weights"]
  p, c, d = weights.values.shape
  assert layer.output.time is None
  if weights.codes is None:
    values = weights.values.transpose(0, 2, 1)
    kernel = graph.constant(f"{name}/kernel", values, np.float32)
  else:
    codes = weights.codes.transpose(0, 2, 1).reshape(p * d, c)
    steps = np.broadcast_to(weights.scales, (p, 1, d)).reshape(-1)
    kernel = _dequantized(v, name, codes, steps)
    kernel = v.reshape(kernel, name, (p, d, c))
  x = v.reshape(v.float(layer.inputs[0]), name, (p, 1, c))
  output = graph.tensor(name, (p, 1, d), np.float32)
  graph.node(
    "BATCH_MATMUL", [x, kernel], output, "BatchMatMulOptions", adjY=True
  )
  v.set(layer.output, v.reshape(output, name, (1, p, d)))


def _affine(v: Values, layer: Layer) -> None:
  name, arguments = layer.name, layer.arguments
  x = v.float(layer.inputs[0])
  for op, options, key in (
    ("MUL", "MulOptions", "scale"),
    ("ADD", "AddOptions", "shift"),
  ):
    constant = v.graph.constant(name, arguments[key][None], np.float32)
    output = v.graph.tensor(name, x.shape, np.float32)
    x = v.graph.node(op, [x, constant], output, options)
  v.set(layer.output, x)


def _unit_length(v: Values, layer: Layer) -> None:
  graph, name = v.graph, layer.name
  x = v.float(layer.inputs[0])
  square = graph.tensor(name, x.shape, np.float32)
  graph.node("MUL", [x, x], square, "MulOptions")
  total = _reduce(v, "SUM", square, name, len(x.shape) - 1, keep=True)
  least = graph.constant(name, [1e-24], np.float32)
  norm = graph.tensor(name, total.shape, np.float32)
  graph.node("MAXIMUM", [total, least], norm, "MaximumMinimumOptions")
  root = graph.node("SQRT", [norm], graph.tensor(name, total.shape, np.float32))
  output = graph.tensor(name, x.shape, np.float32)
  graph.node("DIV", [x, root], output, "DivOptions")
  v.set(layer.output, output)


LAYERS: Mapping[str, Callable[[Values, Layer], None]] = {
  "add": _add,
  "affine": _affine,
  "concat": _concat,
  "convolve": _convolve,
  "frames": _frames,
  "leaky_relu": _leaky_relu,
  "linear": _linear,
  "max_over_time": _max_over_time,
  "max_pool": _max_pool,
  "pool_strips": _pool_strips,
  "quantize": _quantize,
  "relu": _of_floats("RELU"),
  "taps": _taps,
  "unit_length": _unit_length,
  "zero_outside": _zero_outside,
}
