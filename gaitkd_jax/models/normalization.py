"""Batch normalisation with PyTorch's running statistics."""

from flax import linen as nn
import jax
import jax.numpy as jnp


def scale_init(
  key: jax.Array, shape: tuple[int, ...], dtype: jnp.dtype = jnp.float32
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
    momentum: share of the old running statistic that is kept; PyTorch's
      `momentum=0.1` is 0.9 here.
    epsilon: added to the variance.
    dtype: of the result; statistics are always float32.
  """

  momentum: float = 0.9
  epsilon: float = 1e-5
  dtype: jnp.dtype = jnp.float32

  @nn.compact
  def __call__(
    self, x: jax.Array, *, train: bool, mask: jax.Array | None = None
  ) -> jax.Array:
    """Normalises `x`.

    Args:
      x: `[..., c]`.
      train: whether to use (and record) the statistics of this batch.
      mask: bool, broadcastable to `x.shape[:-1] + (1,)`; True where a position
        counts. None counts all.

    Returns:
      An array of the shape of `x`; values outside `mask` are meaningless.
    """
    features = x.shape[-1:]
    mean_state = self.variable(
      "batch_stats", "mean", jnp.zeros, features, jnp.float32
    )
    var_state = self.variable(
      "batch_stats", "var", jnp.ones, features, jnp.float32
    )
    scale = self.param("scale", scale_init, features)
    bias = self.param("bias", nn.initializers.zeros_init(), features)
    if train:
      mean, var, count = _moments(x, mask)
      if not self.is_initializing():
        unbiased = var * (count / jnp.maximum(count - 1.0, 1.0))
        keep = self.momentum
        mean_state.value = keep * mean_state.value + (1 - keep) * mean
        var_state.value = keep * var_state.value + (1 - keep) * unbiased
    else:
      mean, var = mean_state.value, var_state.value
    # One multiply-add an element; folding first keeps it in float32.
    factor = scale * jax.lax.rsqrt(var + self.epsilon)
    axes = tuple(range(x.ndim - 1))
    factor, shift = (
      jnp.expand_dims(v, axes) for v in (factor, bias - mean * factor)
    )
    return (x.astype(jnp.float32) * factor + shift).astype(self.dtype)


def _moments(
  x: jax.Array, mask: jax.Array | None
) -> tuple[jax.Array, jax.Array, jax.Array]:
  """Mean and biased variance over all axes but the last, and their count."""
  x = x.astype(jnp.float32)
  axes = tuple(range(x.ndim - 1))
  if mask is None:
    count = jnp.asarray(x.size / x.shape[-1], jnp.float32)
  else:
    # Counted before broadcasting: each of its positions stands for equally many
    # values.
    count = jnp.sum(mask, dtype=jnp.float32)
    count = jnp.maximum(count * (x.size / x.shape[-1] / mask.size), 1.0)
    x = jnp.where(mask, x, 0.0)
  mean = jnp.sum(x, axes) / count
  centred = x - jnp.expand_dims(mean, axes)
  if mask is not None:
    centred = jnp.where(mask, centred, 0.0)
  return mean, jnp.sum(jnp.square(centred), axes) / count, count
