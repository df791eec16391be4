"""Cross entropy of part logits."""

import jax
import jax.numpy as jnp

from gaitkd_jax.losses import class_axis


def cross_entropy_loss(
  logits: jax.Array,
  labels: jax.Array,
  scale: float = 16.0,
  label_smoothing: float = 0.1,
) -> jax.Array:
  """Cross entropy of scaled cosines, mean over samples and parts.

  Label smoothing is PyTorch's: the target is `1 - label_smoothing` on the
  truth plus `label_smoothing / k` on every class.

  Examples:
    One clip, one part, two classes.

    >>> import jax.numpy as jnp
    >>> logits = jnp.array([[[1.0, 0.0]]])
    >>> print(f"{cross_entropy_loss(logits, jnp.array([0])):.4f}")
    0.8000
    >>> print(f"{cross_entropy_loss(logits, jnp.array([1])):.4f}")
    15.2000

  Args:
    logits: cosines `[n, p, k]`.
    labels: int `[n]`.
    scale: factor on the cosines (the inverse temperature of the softmax).
    label_smoothing: share of the target spread over all classes.

  Returns:
    Scalar float32.
  """
  log_p = jax.nn.log_softmax(scale * logits.astype(jnp.float32), axis=-1)
  truth = class_axis.at_class(log_p, labels[:, None])
  smooth = jnp.mean(log_p, axis=-1)
  return -jnp.mean((1.0 - label_smoothing) * truth + label_smoothing * smooth)


def part_accuracy(logits: jax.Array, labels: jax.Array) -> jax.Array:
  """The share of parts `[n, p]` whose largest logit is the truth."""
  right = jnp.argmax(logits, axis=-1) == labels[:, None]
  return jnp.mean(right.astype(jnp.float32))
