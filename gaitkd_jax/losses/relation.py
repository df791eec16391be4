"""Relations between the clips of a batch, part by part.

None of these compares a student's channel with a teacher's, so widths may
differ.
"""

import jax
import jax.numpy as jnp

from gaitkd_jax.losses import parts
from gaitkd_jax.losses import similarity


def rkd_distance_loss(
  student_embedding: jax.Array, teacher_embedding: jax.Array
) -> jax.Array:
  """Distance-wise relational distillation (RKD-D, arXiv 1904.05068).

  Distances between clips, divided by their mean, are compared by a Huber loss
  of width 1. The mean is over all ordered pairs, the zero ones of a clip with
  itself included, as in the authors' code; they take weight 25.

  Args:
    student_embedding: `[n, p, d]`.
    teacher_embedding: `[n, q, e]`, q as in `parts.common_parts`.

  Returns:
    Scalar float32, the mean over parts.

  Raises:
    ValueError: the clips differ.
  """
  student, teacher = _both(student_embedding, teacher_embedding)
  return jnp.mean(
    similarity.huber(
      _relative_distances(student) - _relative_distances(teacher)
    )
  )


def rkd_angle_loss(
  student_embedding: jax.Array, teacher_embedding: jax.Array
) -> jax.Array:
  """Angle-wise relational distillation (RKD-A, arXiv 1904.05068).

  The cosines at clip i between clips j and k are compared by a Huber loss of
  width 1, over all triples, as in the authors' code; they take weight 50. It
  needs `p n^2 (n + d)` numbers of memory.

  Args:
    student_embedding: `[n, p, d]`.
    teacher_embedding: `[n, q, e]`, q as in `parts.common_parts`.

  Returns:
    Scalar float32, the mean over parts.

  Raises:
    ValueError: the clips differ.
  """
  student, teacher = _both(student_embedding, teacher_embedding)
  return jnp.mean(similarity.huber(_angles(student) - _angles(teacher)))


def rkd_loss(
  student_embedding: jax.Array,
  teacher_embedding: jax.Array,
  distance_weight: float | jax.Array = 25.0,
  angle_weight: float | jax.Array = 50.0,
) -> jax.Array:
  """Both relations of RKD; see `rkd_distance_loss` and `rkd_angle_loss`.

  Examples:
    A student whose embeddings are the teacher's, only larger, has the same
    relations.

    >>> import jax.numpy as jnp
    >>> teacher = jnp.array([[0.0, 0.0], [1.0, 0.0], [0.0, 2.0]])[:, None]
    >>> print(f"{rkd_loss(2 * teacher, teacher):.3f}")
    0.000
    >>> print(f"{rkd_loss(teacher * jnp.array([[[2, 1]]]), teacher):.3f}")
    0.652

  Args:
    student_embedding: `[n, p, d]`.
    teacher_embedding: `[n, q, e]`, q as in `parts.common_parts`.
    distance_weight: of the distances.
    angle_weight: of the angles.

  Returns:
    Scalar float32, the mean over parts.

  Raises:
    ValueError: the clips differ.
  """
  distance = rkd_distance_loss(student_embedding, teacher_embedding)
  angle = rkd_angle_loss(student_embedding, teacher_embedding)
  return distance_weight * distance + angle_weight * angle


def similarity_preserving_loss(
  student_embedding: jax.Array, teacher_embedding: jax.Array
) -> jax.Array:
  """Similarity-preserving distillation (SP, arXiv 1907.09682).

  The matrices of inner products between clips, each row at length 1, are
  compared by their mean squared difference.

  Args:
    student_embedding: `[n, p, d]`.
    teacher_embedding: `[n, q, e]`, q as in `parts.common_parts`.

  Returns:
    Scalar float32, the mean over pairs and parts.

  Raises:
    ValueError: the clips differ.
  """
  student, teacher = (
    similarity.unit(similarity.products(x, x))
    for x in _both(student_embedding, teacher_embedding)
  )
  return jnp.mean(jnp.square(student - teacher))


def correlation_congruence_loss(
  student_embedding: jax.Array,
  teacher_embedding: jax.Array,
  gamma: float = 0.4,
) -> jax.Array:
  """Correlation congruence (CC, arXiv 1904.01802).

  The mean squared difference of Gaussian kernels `exp(-gamma |x_i - x_j|^2)`
  of embeddings at length 1. The paper expands the kernel to second order; it
  is exact here.

  Args:
    student_embedding: `[n, p, d]`.
    teacher_embedding: `[n, q, e]`, q as in `parts.common_parts`.
    gamma: sharpness of the kernel.

  Returns:
    Scalar float32, the mean over pairs and parts.

  Raises:
    ValueError: the clips differ.
  """
  student, teacher = (
    jnp.exp(2.0 * gamma * (similarity.products(x, x) - 1.0))
    for x in map(similarity.unit, _both(student_embedding, teacher_embedding))
  )
  return jnp.mean(jnp.square(student - teacher))


def _both(
  student: jax.Array, teacher: jax.Array
) -> tuple[jax.Array, jax.Array]:
  student, teacher = parts.common_parts(
    student, teacher, "embedding", same_width=False
  )
  return student, jax.lax.stop_gradient(teacher)


def _relative_distances(x: jax.Array) -> jax.Array:
  """`[p, n, n]`, of mean 1 where they are not zero."""
  distance = similarity.distances(x)
  count = jnp.sum(distance > 0.0, axis=(1, 2), keepdims=True, dtype=jnp.float32)
  mean = jnp.sum(distance, axis=(1, 2), keepdims=True)
  mean = mean / jnp.maximum(count, 1.0)
  return distance / jnp.where(mean > 0.0, mean, 1.0)


def _angles(x: jax.Array) -> jax.Array:
  """`[p, n, n, n]`: the cosine at i between the directions to j and k."""
  x = jnp.swapaxes(x, 0, 1).astype(jnp.float32)
  direction = similarity.unit(x[:, None, :] - x[:, :, None])
  return jnp.einsum(
    "pijd,pikd->pijk",
    direction,
    direction,
    precision=jax.lax.Precision.HIGHEST,
  )
