"""Distances between clips of different people, as a reference has them.

A quantised network moves away from its full-precision self; QGait holds it by
the distances between people. No channel of the student is compared with one
of the teacher, so widths may differ.
"""

import jax
import jax.numpy as jnp

from gaitkd_jax.losses import parts
from gaitkd_jax.losses import similarity


def idc_loss(
  student_embedding: jax.Array,
  teacher_embedding: jax.Array,
  labels: jax.Array,
  variant: str = "distance",
  temperature: float | jax.Array = 0.1,
) -> jax.Array:
  """Inter-class distance calibration, our reading of QGait (arXiv 2405.13859).

  The idea is the paper's: a quantised network keeps the relative distances
  between embeddings of clips of different people that its full-precision self
  has, here the teacher. The paper's formula is not public, so both variants
  and their weight, 1, are ours. Over the pairs of different labels,
  `d = |x_i - x_j| / mean |x_i - x_j|`, part by part, each network with its own
  mean; the student's gradient goes through its mean.

  - "distance": Huber loss of width 1 of `d_s - d_t`, the mean over these pairs.
    It is RKD's (`rkd_distance_loss`) without the pairs of one person.
  - "softmax": `KL(P_t || P_s)`, where `P = softmax(-d / T)` of a clip is over
    the clips of other people; the mean over clips.

  Neither changes where one network's embeddings are rotated, scaled by a
  positive number or shifted, nor with distances within a person.

  Examples:
    Two clips of one person, and one each of two others. The student moved a
    clip of the first person, away from the second and towards the third.

    >>> import jax.numpy as jnp
    >>> teacher = jnp.array([[0.0, 0], [0, 0], [1, 0], [0, 2]])[:, None]
    >>> student = jnp.array([[0.0, 0], [0, 1], [1, 0], [0, 2]])[:, None]
    >>> labels = jnp.array([0, 0, 1, 2])
    >>> print(f"{idc_loss(student, teacher, labels):.4f}")
    0.0436
    >>> print(f"{idc_loss(3 * teacher + 1, teacher, labels):.4f}")
    0.0000
    >>> print(f"{idc_loss(student, teacher, labels, 'softmax', 1.0):.4f}")
    0.0382

  Args:
    student_embedding: `[n, p, d]`.
    teacher_embedding: `[n, q, e]`, q as in `parts.common_parts`.
    labels: int `[n]`.
    variant: "distance" or "softmax".
    temperature: `T` of "softmax", which is about distances of mean 1.

  Returns:
    Scalar float32, the mean over parts; 0 where all labels are the same.

  Raises:
    ValueError: the clips differ, or an unknown variant.
  """
  if variant not in ("distance", "softmax"):
    raise ValueError(f"variant is 'distance' or 'softmax', not {variant!r}")
  student, teacher = parts.common_parts(
    student_embedding, teacher_embedding, "embedding", same_width=False
  )
  other = (labels[:, None] != labels[None, :])[None]
  student = _relative_distances(student, other)
  teacher = _relative_distances(jax.lax.stop_gradient(teacher), other)
  if variant == "distance":
    gap = similarity.huber(student - teacher)
    return similarity.masked_mean(gap, jnp.broadcast_to(other, gap.shape))
  log_s = _log_nearness(student, other, temperature)
  log_t = _log_nearness(teacher, other, temperature)
  nearness = jnp.where(other, jnp.exp(log_t), 0.0)
  # Every clip has other people beside it, or none has.
  return jnp.mean(jnp.sum(nearness * (log_t - log_s), axis=-1))


def _relative_distances(x: jax.Array, other: jax.Array) -> jax.Array:
  """`[p, n, n]`, of mean 1 over other people: `other` `[1, n, n]`."""
  distance = similarity.distances(x)
  total = jnp.sum(jnp.where(other, distance, 0.0), axis=(1, 2), keepdims=True)
  mean = total / jnp.maximum(jnp.sum(other, dtype=jnp.float32), 1.0)
  # Its square, of the gradient, has to be a number too.
  return distance / jnp.where(mean > 1e-12, mean, 1.0)


def _log_nearness(
  distance: jax.Array, other: jax.Array, temperature: float | jax.Array
) -> jax.Array:
  """Log-softmax `[p, n, n]` of nearness over other people, 0 elsewhere."""
  # Those left out go first: to an outlier they are so near that exp overflows.
  lowest = jnp.finfo(jnp.float32).min
  near = jnp.where(other, -distance / temperature, lowest)
  total = jax.nn.logsumexp(near, axis=-1, keepdims=True)
  return jnp.where(other, near - total, 0.0)
