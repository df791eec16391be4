"""Batch normalisation with PyTorch's running statistics.

In training it costs two passes over its input: one for the moments, one for
the multiply-add (and rectifier) itself. Its gradient costs two more, and
nothing but the input is kept for it.
"""

import functools
from typing import Any
from typing import NamedTuple

from flax import linen as nn
import jax
import jax.numpy as jnp


def scale_init(
  key: jax.Array,
  shape: tuple[int, ...],
  dtype: jax.typing.DTypeLike = jnp.float32,
) -> jax.Array:
  """OpenGait's initial scale of every normalisation: N(1, 0.02)."""
  return 1.0 + 0.02 * jax.random.normal(key, shape, dtype)


class BatchNorm(nn.Module):
  """Normalises the last axis over all others, as `torch.nn.BatchNorm*d` does.

  Differences from `flax.linen.BatchNorm`: the running variance is the unbiased
  one, and positions outside `mask` count neither in the statistics nor in the
  number of samples. Under `jax.jit` on a sharded batch the statistics are
  those of the global batch (PyTorch's SyncBatchNorm).

  Attributes:
    features: channels `c`.
    rectified: whether a rectifier follows.
    momentum: share of the old running statistic that is kept; PyTorch's
      `momentum=0.1` is 0.9 here.
    epsilon: added to the variance.
  """

  features: int
  rectified: bool = False
  momentum: float = 0.9
  epsilon: float = 1e-5

  def setup(self) -> None:
    """Makes parameters and statistics, float32 `[c]`."""
    shape = (self.features,)
    self.scale = self.param("scale", scale_init, shape)
    self.bias = self.param("bias", nn.initializers.zeros_init(), shape)
    self.mean = self.variable(
      "batch_stats", "mean", jnp.zeros, shape, jnp.float32
    )
    self.var = self.variable("batch_stats", "var", jnp.ones, shape, jnp.float32)

  def constants(self) -> tuple[jax.Array, jax.Array]:
    """Factor and shift of an evaluation, float32 `[c]`."""
    return fold(
      self.scale, self.bias, self.mean.value, self.var.value, self.epsilon
    )

  def __call__(
    self,
    x: jax.Array,
    *,
    train: bool,
    mask: jax.Array | None = None,
    held: jax.Array | None = None,
  ) -> jax.Array:
    """Normalises `x`.

    Args:
      x: `[..., c]`.
      train: whether to use (and record) the statistics of this batch.
      mask: bool, broadcastable to `x.shape[:-1] + (1,)`; True where a position
        counts. None counts all.
      held: bool scalar, whether training, too, uses the running statistics and
        leaves them as they are. None: it does not.

    Returns:
      An array of the shape and dtype of `x`; values outside `mask` are
      meaningless.
    """
    if not train:
      y = _multiply_add(x, *self.constants())
      return nn.relu(y) if self.rectified else y
    running = None
    if held is not None:
      running = held, self.mean.value, self.var.value
    y, mean, var, count = _normalize(
      self.epsilon, self.rectified, x, self.scale, self.bias, mask, running
    )
    if not self.is_initializing():
      unbiased = var * (count / jnp.maximum(count - 1.0, 1.0))
      keep = (
        self.momentum if held is None else jnp.where(held, 1.0, self.momentum)
      )
      self.mean.value = keep * self.mean.value + (1 - keep) * mean
      self.var.value = keep * self.var.value + (1 - keep) * unbiased
    return y


def fold(
  scale: jax.Array,
  bias: jax.Array,
  mean: jax.Array,
  var: jax.Array,
  epsilon: float = 1e-5,
) -> tuple[jax.Array, jax.Array]:
  """What normalisation multiplies by and adds: float32 `[c]` each."""
  factor = scale * jax.lax.rsqrt(var + epsilon)
  return factor, bias - mean * factor


def moments(
  x: jax.Array, mask: jax.Array | None = None
) -> tuple[jax.Array, jax.Array, jax.Array]:
  """Mean and biased variance over all axes but the last, and their count.

  Sums are float32. Those of a float32 array take two passes over it, as in
  PyTorch: the second sums squared differences from the mean. Any narrower type
  takes one, which sums values and squares: the variance is E[x^2] - E[x]^2, as
  in `flax.linen.BatchNorm`. Where all values lie far from 0 the difference
  cancels: its error is at most about 1e-6 (mean^2 + variance), so a mean of
  30 standard deviations costs 0.1 % of the variance. bfloat16 itself, with
  steps of 2^-8 of a value, loses more there.

  Args:
    x: `[..., c]`.
    mask: see `BatchNorm.__call__`.

  Returns:
    float32 `[c]`, `[c]` and a scalar.
  """
  axes = tuple(range(x.ndim - 1))
  positions = x.size / x.shape[-1]
  if mask is None:
    count = jnp.asarray(positions, jnp.float32)
  else:
    # Counted before broadcasting: each of its positions stands for equally many
    # values.
    count = jnp.sum(mask, dtype=jnp.float32)
    count = jnp.maximum(count * (positions / mask.size), 1.0)
    x = jnp.where(mask, x, jnp.zeros((), x.dtype))
  if x.dtype != jnp.float32:
    wide = x.astype(jnp.float32)
    mean = jnp.sum(wide, axes) / count
    var = jnp.sum(jnp.square(wide), axes) / count - jnp.square(mean)
    return mean, jnp.maximum(var, 0.0), count
  mean = jnp.sum(x, axes) / count
  centred = _centred(x, mean, mask)
  return mean, jnp.sum(jnp.square(centred), axes) / count, count


class _Saved(NamedTuple):
  """What the gradient of a normalisation reads."""

  x: jax.Array
  scale: jax.Array
  bias: jax.Array
  mask: jax.Array | None
  mean: jax.Array
  var: jax.Array
  samples: jax.Array
  held: jax.Array | None


_Running = tuple[jax.Array, jax.Array, jax.Array] | None
_Results = tuple[jax.Array, jax.Array, jax.Array, jax.Array]


@functools.partial(jax.custom_vjp, nondiff_argnums=(0, 1))
def _normalize(
  epsilon: float,
  rectified: bool,
  x: jax.Array,
  scale: jax.Array,
  bias: jax.Array,
  mask: jax.Array | None,
  running: _Running,
) -> _Results:
  """Normalises by the moments of `x`, or by others where these are held.

  The moments are returned for the running statistics and have no gradient;
  `running` is a flag, a mean and a variance.

  Returns:
    The result, of the shape and dtype of `x`, and what `moments` returns.
  """
  return _forward(epsilon, rectified, x, scale, bias, mask, running)[0]


def _forward(
  epsilon: float,
  rectified: bool,
  x: jax.Array,
  scale: jax.Array,
  bias: jax.Array,
  mask: jax.Array | None,
  running: _Running,
) -> tuple[_Results, _Saved]:
  mean, var, count = moments(x, mask)
  held = None
  if running is not None:
    held, *kept = running
    mean, var = (
      jnp.where(held, old, new)
      for old, new in zip(kept, (mean, var), strict=True)
    )
  y = _multiply_add(x, *fold(scale, bias, mean, var, epsilon))
  if rectified:
    y = nn.relu(y)
  saved = _Saved(x, scale, bias, mask, mean, var, count, held)
  return (y, mean, var, count), saved


def _backward(
  epsilon: float, rectified: bool, saved: _Saved, gradients: _Results
) -> tuple[Any, ...]:
  g, x, mask = gradients[0], saved.x, saved.mask
  axes = tuple(range(x.ndim - 1))
  zero = jnp.zeros((), g.dtype)
  if rectified:
    # Computed once more, so that the result need not be kept.
    factor, shift = fold(
      saved.scale, saved.bias, saved.mean, saved.var, epsilon
    )
    g = jnp.where(_multiply_add(x, factor, shift) > 0, g, zero)
  if mask is not None:
    g = jnp.where(mask, g, zero)
  g = g.astype(jnp.float32)
  inverse = jax.lax.rsqrt(saved.var + epsilon)
  centred = _centred(x.astype(jnp.float32), saved.mean, mask)
  d_bias = jnp.sum(g, axes)
  d_scale = jnp.sum(g * centred, axes) * inverse
  slope = inverse * d_scale / saved.samples
  d_mean = d_bias / saved.samples
  if saved.held is not None:  # constants then
    slope, d_mean = (jnp.where(saved.held, 0.0, v) for v in (slope, d_mean))
  d_x = over(saved.scale * inverse, x) * (
    g - over(d_mean, x) - centred * over(slope, x)
  )
  if mask is not None:
    d_x = jnp.where(mask, d_x, 0.0)
  return d_x.astype(x.dtype), d_scale, d_bias, None, None


_normalize.defvjp(_forward, _backward)


def _multiply_add(
  x: jax.Array, factor: jax.Array, shift: jax.Array
) -> jax.Array:
  """`x * factor + shift` in the dtype of `x`.

  Converting `x` first would make a TPU write the convolution in front of it as
  float32.
  """
  return x * over(factor.astype(x.dtype), x) + over(shift.astype(x.dtype), x)


def _centred(
  x: jax.Array, mean: jax.Array, mask: jax.Array | None
) -> jax.Array:
  """Differences from the mean, 0 outside `mask`."""
  centred = x - over(mean, x)
  return centred if mask is None else jnp.where(mask, centred, 0.0)


def over(v: jax.Array, x: jax.Array) -> jax.Array:
  """Gives `[c]` the axes of `[..., c]`."""
  return jnp.expand_dims(v, tuple(range(x.ndim - 1)))
