"""A convolution with what belongs to it: normalisation and activation."""

from collections.abc import Mapping
from typing import Any
from typing import NamedTuple

from flax import linen as nn
import jax
import jax.numpy as jnp

from gaitkd_jax import quantize
from gaitkd_jax.models import activations
from gaitkd_jax.models import convolution
from gaitkd_jax.models import normalization
from gaitkd_jax.models import quantizers

conv_init = nn.initializers.xavier_uniform()


class Folded(NamedTuple):
  """A layer as it evaluates: `activation(convolution(x, kernel) + bias)`.

  Attributes:
    kernel: float32 `[*window, c, features]`, the normalisation's factor in it.
    bias: float32 `[features]`; None if the layer does not normalise.
    activation: of `activations.ACTIVATIONS`.
  """

  kernel: jax.Array
  bias: jax.Array | None
  activation: str


class ConvLayer(nn.Module):
  """A bias-free convolution, batch normalisation and an activation.

  In training the normalisation uses the moments of the batch. In evaluation
  it is by constants, so the layer is a convolution with a kernel and a bias
  (see `fold`) and nothing else; a GPU does that, and a rectifier, in one go.

  Two axes are convolved, or three with a window of three. The window is
  centred and the border padded with zeros on both sides, as PyTorch does also
  under a stride, where "SAME" would not.

  Attributes:
    features: channels of the result.
    window: size along the convolved axes.
    strides: along the convolved axes; () is 1 everywhere.
    padding: zeros on both sides of the convolved axes; () is half the window.
    normalized: whether there is a normalisation.
    activation: of `activations.ACTIVATIONS`.
    reads_frames: whether it is the first one. Its weights then keep 8 bits in
      any quantised network.
    dtype: of the computation.
  """

  features: int
  window: tuple[int, ...] = (3, 3)
  strides: tuple[int, ...] = ()
  padding: tuple[int, ...] = ()
  normalized: bool = True
  activation: str = "none"
  reads_frames: bool = False
  dtype: jax.typing.DTypeLike = jnp.float32

  @nn.compact
  def __call__(
    self,
    x: jax.Array,
    *,
    train: bool = False,
    mask: jax.Array | None = None,
    frames: int = 1,
  ) -> jax.Array:
    """Convolves the axes between the first and the last.

    Args:
      x: `[n, ..., c]`.
      train: whether the normalisation uses the statistics of this batch.
      mask: bool, broadcastable to the result but for the channels, True where
        a position counts in these statistics. None counts all.
      frames: how many entries of the first axis belong to one sequence. No
        result depends on it; it bounds the memory of a gradient on CPU.

    Returns:
      `[n, ..., features]`.
    """
    shape = (*self.window, x.shape[-1], self.features)
    kernel, bias = self.param("kernel", conv_init, shape), None
    rectified = self.activation == "relu"
    norm = (
      normalization.BatchNorm(self.features, rectified=rectified, name="norm")
      if self.normalized
      else None
    )
    kernel = quantizers.weights(
      kernel,
      shared=range(len(shape) - 1),
      edge=self.reads_frames,
    )
    if norm and not train:
      kernel, bias = _folded(kernel, *norm.constants())
    x = self._convolve(x.astype(self.dtype), kernel.astype(self.dtype), frames)
    if norm and train:
      x = norm(x, train=True, mask=mask, held=_held())
    if bias is not None:
      x = x + normalization.over(bias.astype(self.dtype), x)
    if not (norm and train and rectified):
      x = activations.ACTIVATIONS[self.activation](x)
    return quantizers.activation(x, rectified=rectified, train=train)

  def _convolve(
    self, x: jax.Array, kernel: jax.Array, frames: int
  ) -> jax.Array:
    pads = self.padding or tuple(size // 2 for size in self.window)
    strides = self.strides or (1,) * len(self.window)
    pairs = tuple((pad, pad) for pad in pads)
    if len(self.window) == 3:
      return convolution.for_clips(x, kernel, strides, pairs)
    if self.window == (1, 1) and set(strides) != {1}:
      return convolution.pixels(strides, frames, x, kernel)
    return convolution.for_frames(frames)(x, kernel, strides, pairs)

  @nn.nowrap
  def fold(
    self, params: Mapping[str, Any], statistics: Mapping[str, Any]
  ) -> Folded:
    """The evaluation form of this layer.

    Args:
      params: its part of the network's "params".
      statistics: its part of the network's "batch_stats"; empty if it does not
        normalise.

    Returns:
      Kernel, bias and activation.
    """
    kernel = params["kernel"]
    if not self.normalized:
      return Folded(kernel, None, self.activation)
    constants = normalization.fold(**params["norm"], **statistics["norm"])
    return Folded(*_folded(kernel, *constants), self.activation)


def fold_layers(
  module: nn.Module, variables: Mapping[str, Any], x: jax.Array
) -> dict[str, Folded]:
  """The evaluation form of every `ConvLayer` of a network.

  Args:
    module: the network.
    variables: its `{"params": ..., "batch_stats": ...}`.
    x: an input, or its shape and dtype; nothing is computed of it.

  Returns:
    By the layer's path in the variables, such as "stage1_block0/conv1", in the
    order in which the layers work.
  """
  layers: dict[tuple[str, ...], ConvLayer] = {}

  def look(call: Any, args: Any, kwargs: Any, context: Any) -> Any:
    if isinstance(context.module, ConvLayer):
      layers.setdefault(context.module.path, context.module)
    return call(*args, **kwargs)

  with nn.intercept_methods(look):
    jax.eval_shape(module.apply, variables, x)
  found = {}
  for path, layer in layers.items():
    params, statistics = variables["params"], variables["batch_stats"]
    for name in path:
      params, statistics = params[name], statistics.get(name, {})
    found["/".join(path)] = layer.fold(params, statistics)
  return found


def _held() -> jax.Array | None:
  """Whether normalisations use their running statistics by now."""
  attached = quantize.current()
  return attached.phase.holds if attached and attached.phase else None


def _folded(
  kernel: jax.Array, factor: jax.Array, shift: jax.Array
) -> tuple[jax.Array, jax.Array]:
  return kernel * normalization.over(factor, kernel), shift
