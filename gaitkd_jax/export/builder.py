"""Makes the plan of a network from its variables.

The functions of `networks` say what a network does, in the order of its
`encode`; this module looks up the arrays, folds normalisations and turns
kernels into codes.
"""

from collections.abc import Mapping
from collections.abc import Sequence
from typing import Any

from flax import traverse_util
import numpy as np

from gaitkd_jax import models
from gaitkd_jax import quantize
from gaitkd_jax.export import plan as plan_lib
from gaitkd_jax.models import normalization

Value = plan_lib.Value
_SLOPE = 0.01  # of leaky rectifiers, PyTorch's


class Builder:
  """Adds layers to a plan, one call a module."""

  def __init__(
    self, module: models.GaitNetwork, variables: Mapping[str, Any]
  ) -> None:
    """Starts with the layer that reads the input.

    Args:
      module: the network.
      variables: its own.
    """
    self._settings = module.quantization
    self._arrays = {}
    for tree in variables.values():
      for path, array in traverse_util.flatten_dict(tree).items():
        self._arrays["/".join(path)] = np.asarray(array)
    self._layers: list[plan_lib.Layer] = []
    self._times = [plan_lib.Time()]
    height, width = module.frame_size
    self._module = module
    self._frame = (height, width, module.in_channels)
    self.frames = self.add(
      "frames", "input", (), (module.in_channels, height, width), 0
    )

  def finish(self) -> plan_lib.Plan:
    """The plan of what was added."""
    return plan_lib.Plan(
      type(self._module).__name__,
      self._frame,
      tuple(self._layers),
      tuple(self._times),
      self._settings.name if self._settings else "",
    )

  def add(
    self,
    op: str,
    name: str,
    inputs: Sequence[Value],
    shape: Sequence[int],
    time: int | None,
    strips: int = 1,
    **arguments: Any,
  ) -> Value:
    """Adds any layer; see `plan.OPS`.

    Returns:
      What it makes.
    """
    assert op in plan_lib.OPS, op
    value = Value(f"{len(self._layers)}_{op}", tuple(shape), time, strips)
    layer = plan_lib.Layer(op, name, tuple(inputs), value, arguments)
    self._layers.append(layer)
    return value

  def same(self, op: str, name: str, *inputs: Value, **arguments: Any) -> Value:
    """Adds a layer that keeps the shape of its (first) input."""
    x = inputs[0]
    return self.add(op, name, inputs, x.shape, x.time, x.strips, **arguments)

  def array(self, path: str) -> np.ndarray:
    """An array of the variables, by its path."""
    return self._arrays[path]

  def has_array(self, path: str) -> bool:
    """Whether the variables have an array."""
    return path in self._arrays

  def has(self, name: str) -> bool:
    """Whether the network has the module of a path, with a kernel."""
    return f"{name}/kernel" in self._arrays

  def conv(
    self,
    x: Value,
    name: str,
    *,
    strides: tuple[int, int] = (1, 1),
    padding: tuple[int, int] | None = None,
    activation: str = "none",
    first: bool = False,
    pace: int = 1,
    over_time: bool = False,
    tapped: bool = False,
  ) -> Value:
    """Adds a `ConvLayer` with its normalisation, activation and quantiser.

    Args:
      x: `[c, h, w]` of frames.
      name: path of the module.
      strides: along height and width.
      padding: zeros on both sides of height and width; None: half the window.
      activation: of `activations.ACTIVATIONS`: "none", "relu", "leaky_relu".
      first: whether it is the layer that reads frames.
      pace: stride over time, without padding there.
      over_time: whether the two axes of its kernel are time and pixels.
      tapped: whether `x` has the neighbours in time as channels already.

    Returns:
      `[features, h', w']`.
    """
    factor = bias = None
    if f"{name}/norm/scale" in self._arrays:
      factor, bias = self._norm(f"{name}/norm")
    axes = tuple(range(self._arrays[f"{name}/kernel"].ndim - 1))
    weights = self.weights(name, axes, first, factor)
    if over_time:
      weights = weights.moved(lambda x: x[:, :, None])
    if weights.values.ndim == 5:
      if not tapped:
        x = self.taps(self.zero_outside(x, name), name, pace=pace)
      weights = weights.moved(_taps_as_channels)
    weights = weights.moved(lambda x: x.transpose(3, 2, 0, 1))
    out, _, kh, kw = weights.values.shape
    padding = (kh // 2, kw // 2) if padding is None else padding
    h, w = (
      (size + 2 * pad - window) // stride + 1
      for size, pad, window, stride in zip(
        x.shape[1:], padding, (kh, kw), strides, strict=True
      )
    )
    x = self.add(
      "convolve",
      name,
      (x,),
      (out, h, w),
      x.time,
      x.strips,
      weights=weights,
      bias=bias,
      strides=strides,
      padding=padding,
    )
    x = self.activate(x, name, activation)
    return self.quantize(x, f"{name}/output", activation == "relu")

  def activate(self, x: Value, name: str, activation: str) -> Value:
    """Adds a rectifier, or nothing."""
    if activation == "relu":
      return self.same("relu", name, x)
    if activation == "leaky_relu":
      return self.same("leaky_relu", name, x, slope=_SLOPE)
    assert activation == "none", activation
    return x

  def quantize(
    self, x: Value, name: str, rectified: bool, edge: bool = False
  ) -> Value:
    """Adds the quantiser of a path, if the network has it.

    Args:
      x: any value.
      name: path of the quantiser, such as "stem/output".
      rectified: see `quantizers.activation`.
      edge: see there.
    """
    settings = self._settings
    if settings is None or not settings.activations:
      return x
    bits = quantize.EDGE_BITS if edge else settings.activations
    grid = quantize.unsigned(bits) if rectified else quantize.signed(bits)
    step = float(np.abs(self._arrays[f"{name}/step_size"]))
    return self.same(
      "quantize", name, x, step=step, low=grid.low, high=grid.high
    )

  def zero_outside(self, x: Value, name: str) -> Value:
    """Adds zeros beyond the lengths, which a module of this name needs."""
    return self.same("zero_outside", name, x)

  def taps(
    self, x: Value, name: str, count: int = 3, pace: int = 1, axis: int = 0
  ) -> Value:
    """Adds frames beside every frame as further channels, the first tap first.

    Args:
      x: zero beyond the lengths.
      name: of the module that reads them.
      count: taps; they are centred, zero beyond a sequence, if `pace` is 1.
      pace: frames that become one; the taps are these then.
      axis: of the channels in the shape of `x`.
    """
    time, before = x.time, count // 2
    if pace > 1:
      assert pace == count
      time, before = self.time(x, "divide", pace), 0
    shape = list(x.shape)
    shape[axis] *= count
    return self.add(
      "taps",
      name,
      (x,),
      shape,
      time,
      before=before,
      stride=pace,
      count=count,
      axis=axis,
    )

  def time(self, x: Value, how: str, by: int = 1) -> int:
    """Adds a time axis that is made of a value's; see `plan.Time`.

    Returns:
      Its number.
    """
    self._times.append(plan_lib.Time(x.time, how, by))
    return len(self._times) - 1

  def rectified_sum(self, x: Value, y: Value, name: str) -> Value:
    """Adds the sum of a residual, behind a rectifier, and its quantiser."""
    x = self.same("relu", name, self.same("add", name, x, y))
    return self.quantize(x, name, rectified=True)

  def max_over_time(self, x: Value) -> Value:
    """Adds the maximum over time."""
    return self.add("max_over_time", "set", (x,), x.shape, None, x.strips)

  def pool_strips(self, x: Value, *levels: int) -> Value:
    """Adds the pooling of horizontal strips: `[c, h, w]` to `[parts, c]`.

    Args:
      x: may be cut into strips.
      *levels: strips of equal height of each level; together they are `parts`.
    """
    return self.add(
      "pool_strips",
      "strips",
      (x,),
      (sum(levels), x.shape[0]),
      x.time,
      levels=levels,
    )

  def concat(self, name: str, *values: Value) -> Value:
    """Adds channels (or parts) one behind the other."""
    first = values[0]
    count = sum(x.shape[0] for x in values)
    return self.add(
      "concat", name, values, (count, *first.shape[1:]), first.time
    )

  def linear(self, x: Value, name: str, rectified: bool) -> Value:
    """Adds a `SeparateFC`: `[p, c]` to `[p, d]`, of the first p parts."""
    x = self.quantize(x, f"{name}/input", rectified, edge=True)
    weights = self.weights(name, (1,), edge=True)
    weights = weights.moved(lambda w: w[: x.shape[0]])
    shape = (x.shape[0], weights.values.shape[-1])
    return self.add("linear", name, (x,), shape, x.time, weights=weights)

  def head(self, x: Value, rectified: bool = True) -> Value:
    """Adds `heads.describe_parts`: the linear layer, and the neck if searched.

    Args:
      x: `[p, c]`.
      rectified: whether no value is negative.

    Returns:
      `[p, d]`, what a search compares.
    """
    x = self.linear(x, "fc", rectified)
    if self._module.retrieval != "neck":
      return x
    return self.same(
      "unit_length", "neck", self.normalize(x, "neck/bn", (-1, x.shape[1]))
    )

  def normalize(self, x: Value, name: str, shape: Sequence[int]) -> Value:
    """Adds a normalisation that no layer could fold.

    Args:
      x: any value.
      name: path of the `BatchNorm`.
      shape: of its constants; of more parts the first are taken.
    """
    factor, shift = (
      constant.reshape(shape)[: x.shape[0]] for constant in self._norm(name)
    )
    return self.same("affine", name, x, scale=factor, shift=shift)

  def _norm(self, name: str) -> tuple[np.ndarray, np.ndarray]:
    arrays = (
      self._arrays[f"{name}/{key}"] for key in ("scale", "bias", "mean", "var")
    )
    factor, shift = normalization.fold(*arrays)
    return np.asarray(factor), np.asarray(shift)

  def weights(
    self,
    name: str,
    shared: tuple[int, ...],
    edge: bool,
    factor: Any = None,
    kernel: np.ndarray | None = None,
  ) -> plan_lib.Weights:
    """The kernel of a module, its axes as the module has them.

    Args:
      name: path of the module.
      shared: axes of values that share a step.
      edge: see `quantizers.weights`.
      factor: of the normalisation, by output channel; None: there is none.
      kernel: None: the module's array of this name.
    """
    settings = self._settings
    if kernel is None:
      kernel = self._arrays[f"{name}/kernel"]
    if settings is None or not settings.weights:
      return plan_lib.Weights(kernel if factor is None else kernel * factor)
    bits = quantize.EDGE_BITS if edge else settings.weights
    grid = quantize.signed(bits, half=settings.range == "half")
    step = self._arrays.get(f"{name}/weights/step_size")
    if step is None:  # observed at every call
      step = quantize.OBSERVERS[settings.observer](kernel, grid, shared)
      step = np.squeeze(np.asarray(step), shared)
    scales = np.expand_dims(np.abs(step), shared)
    codes = np.clip(np.rint(kernel / scales), grid.low, grid.high)
    values = scales * codes
    if factor is not None:
      values, scales = values * factor, scales * np.abs(factor)
      # The grid is symmetric: a negative factor turns the codes' signs.
      codes = codes * np.where(factor < 0, -1, 1)
    return plan_lib.Weights(
      values.astype(np.float32),
      codes.astype(np.int8),
      scales.astype(np.float32),
      bits,
    )


def _taps_as_channels(x: np.ndarray) -> np.ndarray:
  """`[t, h, w, c, out]` to `[h, w, t * c, out]`; steps have sizes 1."""
  t, h, w, c, out = x.shape
  return x.transpose(1, 2, 0, 3, 4).reshape(h, w, t * c, out)
