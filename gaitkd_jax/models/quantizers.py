"""Where a network's weights and activations are quantised.

The modules that hold weights call `weights`, and whatever makes an array that a
convolution or a linear layer reads calls `activation` on it, so that all its
readers read the same numbers. Both return what they are given where the network
is float; see `quantize.attached`.

Every quantiser is a submodule with a step, `step_size`, a parameter where steps
are learned, else a running statistic.
"""

from collections.abc import Sequence
import math

from flax import linen as nn
import jax
import jax.numpy as jnp

from gaitkd_jax import quantize
from gaitkd_jax.quantize import rounding
from gaitkd_jax.quantize import uniform

# Of an observed step, what is kept from step to step; as batch normalisation's.
_MOMENTUM = 0.9
# Values of an activation from which an observer decides, at most.
_SAMPLE = 2**16
_ALPHA = 0.2  # DSQ's start
# Names of the parameters that quantisers learn.
LEARNED = ("step_size", "dsq_alpha")


def weights(
  kernel: jax.Array,
  *,
  shared: Sequence[int],
  edge: bool = False,
  name: str = "weights",
) -> jax.Array:
  """Quantises a kernel, with a step for every output channel.

  A factor of a channel, such as that of a folded normalisation, may be applied
  before or after: the codes are the same, the step is multiplied.

  To be called in a compact method: the module `name` becomes a submodule of
  the caller, if the network has quantised weights.

  Args:
    kernel: float32.
    shared: axes of values that share a step.
    edge: whether the layer is one of those that keep `quantize.EDGE_BITS`.
    name: of the quantiser.

  Returns:
    An array of this shape.
  """
  attached = quantize.current()
  if attached is None or not attached.settings.weights:
    return kernel
  bits = quantize.EDGE_BITS if edge else attached.settings.weights
  grid = quantize.signed(bits, half=attached.settings.range == "half")
  return Quantizer(grid, tuple(shared), is_kernel=True, name=name)(kernel)


def activation(
  x: jax.Array,
  *,
  rectified: bool,
  name: str = "output",
  edge: bool = False,
  train: bool = False,
) -> jax.Array:
  """Quantises an array that further layers read, with one step.

  To be called in a compact method; see `weights`.

  Args:
    x: `[n, ...]`.
    rectified: whether no value is negative; all codes are then positive.
    name: of the quantiser.
    edge: whether the layer that reads it keeps `quantize.EDGE_BITS`.
    train: whether an observed step follows these values.

  Returns:
    An array of the shape and dtype of `x`.
  """
  attached = quantize.current()
  if attached is None or not attached.settings.activations:
    return x
  bits = quantize.EDGE_BITS if edge else attached.settings.activations
  grid = quantize.unsigned(bits) if rectified else quantize.signed(bits)
  return Quantizer(grid, tuple(range(x.ndim)), name=name)(x, train=train)


class Quantizer(nn.Module):
  """Replaces values by the nearest of the step's multiples on a grid.

  Only built where settings are attached.

  Attributes:
    grid: the codes.
    shared: axes of values that share a step.
    is_kernel: whether the values are weights. Observed steps of weights are
      taken from the weights themselves, at every call.
  """

  grid: quantize.Grid
  shared: tuple[int, ...]
  is_kernel: bool = False

  @nn.compact
  def __call__(self, x: jax.Array, *, train: bool = False) -> jax.Array:
    """Quantises `x`; while steps are observed it only notes the step."""
    attached = quantize.current()
    assert attached is not None
    wide = x.astype(jnp.float32)
    step = self._step(wide, attached, train)
    alpha = None
    if attached.settings.rounding == "dsq":
      alpha = self.param("dsq_alpha", nn.initializers.constant(_ALPHA), ())
      alpha = quantize.scale_gradient(alpha, self._factor(x))
    if attached.observes:
      self.sow("observed", "step_size", self._observe(wide, attached))
      return x
    step = jnp.expand_dims(jnp.abs(step), self.shared)
    rounded = _rounding(attached, alpha)
    return uniform.quantize(wide, step, self.grid, rounded).astype(x.dtype)

  def _step(
    self, x: jax.Array, attached: quantize.Attached, train: bool
  ) -> jax.Array:
    """The step of this call, without the shared axes."""
    shape = tuple(
      size for axis, size in enumerate(x.shape) if axis not in self.shared
    )
    ones = nn.initializers.ones_init()
    if attached.settings.scales == "learned":
      step = self.param("step_size", ones, shape)
      return quantize.scale_gradient(step, self._factor(x))
    if self.is_kernel:
      return self._observe(x, attached)
    state = self.variable("batch_stats", "step_size", jnp.ones, shape)
    if train and not attached.observes and not self.is_initializing():
      observed = self._observe(x, attached)
      step = _MOMENTUM * state.value + (1 - _MOMENTUM) * observed
      if attached.phase and attached.phase.freezes is not None:
        step = jnp.where(attached.phase.freezes, state.value, step)
      state.value = step
    return state.value

  def _factor(self, x: jax.Array) -> float | jax.Array:
    """LSQ's factor of the gradient of what is learned."""
    # Of a batch's array an entry counts, however many there are.
    shared = x.size // x.shape[0]
    if self.is_kernel:
      shared = math.prod(x.shape[axis] for axis in self.shared)
    return quantize.lsq_factor(shared, self.grid)

  def _observe(self, x: jax.Array, attached: quantize.Attached) -> jax.Array:
    """The step that these values ask for."""
    observer = quantize.OBSERVERS[attached.settings.observer]
    axes: tuple[int, ...] = self.shared
    if not self.is_kernel:
      x, axes = _sample(x), (0,)
    step = jax.lax.stop_gradient(observer(x, self.grid, axes))
    return jnp.squeeze(step, axes)


def _sample(x: jax.Array) -> jax.Array:
  """Evenly spaced values of an array, of all its channels and places."""
  stride = max(-(-x.size // _SAMPLE), 1)
  while math.gcd(stride, x.size // x.shape[0]) > 1:
    stride += 1
  return x.reshape(-1)[::stride]


def _rounding(
  attached: quantize.Attached, alpha: jax.Array | None
) -> uniform.Rounding:
  """How this call rounds."""
  settings, phase = attached.settings, attached.phase
  if phase is None or settings.rounding == "ste":
    return rounding.round_straight
  if settings.rounding == "ewgs":
    delta = jnp.where(phase.rounds, settings.ewgs_delta, 0.0)
    return lambda u: rounding.round_ewgs(u, delta)

  def rounded(u: jax.Array) -> jax.Array:
    if alpha is None:
      stair = rounding.soft_round(u, phase.sharpness)
    else:
      stair = rounding.dsq_round(u, alpha)
    if settings.forward == "soft":
      return jnp.where(phase.rounds, stair, rounding.round_straight(u))
    return rounding.round_like(u, jnp.where(phase.rounds, stair, u))

  return rounded
