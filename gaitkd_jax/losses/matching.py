"""Regression of the teacher's logits and embeddings."""

import jax
import jax.numpy as jnp

from gaitkd_jax.losses import parts
from gaitkd_jax.losses import similarity


def logit_mse_loss(
  student_logits: jax.Array, teacher_logits: jax.Array, scale: float = 16.0
) -> jax.Array:
  """Mean squared difference of scaled logits, as in GaitKD's code.

  Args:
    student_logits: cosines `[n, p, k]`.
    teacher_logits: cosines `[n, q, k]`, q as in `parts.common_parts`.
    scale: factor on both, that of the cross entropy.

  Returns:
    Scalar float32, the mean over samples, parts and classes.

  Raises:
    ValueError: the shapes differ in more than the number of parts.
  """
  student_logits, teacher_logits = parts.common_parts(
    student_logits, teacher_logits, "logits"
  )
  return _mean_square(scale * (_float(student_logits) - _fixed(teacher_logits)))


def feature_mse_loss(
  student_embedding: jax.Array, teacher_embedding: jax.Array
) -> jax.Array:
  """Mean squared difference of part embeddings, as in GaitKD's code.

  The hint of FitNets (arXiv 1412.6550) without its regressor.

  Args:
    student_embedding: `[n, p, d]`.
    teacher_embedding: `[n, q, d]`, q as in `parts.common_parts`.

  Returns:
    Scalar float32, the mean over samples, parts and channels.

  Raises:
    ValueError: the shapes differ in more than the number of parts.
  """
  student_embedding, teacher_embedding = parts.common_parts(
    student_embedding, teacher_embedding, "embedding"
  )
  return _mean_square(_float(student_embedding) - _fixed(teacher_embedding))


def unit_embedding_mse_loss(
  student_embedding: jax.Array, teacher_embedding: jax.Array
) -> jax.Array:
  """Mean squared difference of part embeddings at length 1.

  It is `2 / d` of `embedding_cosine_loss`, for comparison with works that
  state it this way.

  Args:
    student_embedding: `[n, p, d]`.
    teacher_embedding: `[n, q, d]`, q as in `parts.common_parts`.

  Returns:
    Scalar float32, the mean over samples, parts and channels.

  Raises:
    ValueError: the shapes differ in more than the number of parts.
  """
  student_embedding, teacher_embedding = parts.common_parts(
    student_embedding, teacher_embedding, "embedding"
  )
  teacher_embedding = jax.lax.stop_gradient(teacher_embedding)
  return _mean_square(
    similarity.unit(student_embedding) - similarity.unit(teacher_embedding)
  )


def embedding_cosine_loss(
  student_embedding: jax.Array, teacher_embedding: jax.Array
) -> jax.Array:
  """`1 - cosine` of part embeddings.

  Examples:
    >>> import jax.numpy as jnp
    >>> student = jnp.array([[[3.0, 0.0]]])
    >>> teacher = jnp.array([[[1.0, 1.0]]])
    >>> print(f"{embedding_cosine_loss(student, teacher):.4f}")
    0.2929

  Args:
    student_embedding: `[n, p, d]`.
    teacher_embedding: `[n, q, d]`, q as in `parts.common_parts`.

  Returns:
    Scalar float32 in 0..2, the mean over samples and parts.

  Raises:
    ValueError: the shapes differ in more than the number of parts.
  """
  student_embedding, teacher_embedding = parts.common_parts(
    student_embedding, teacher_embedding, "embedding"
  )
  return jnp.mean(cosine_distance(student_embedding, teacher_embedding))


def cosine_distance(
  student_embedding: jax.Array, teacher_embedding: jax.Array
) -> jax.Array:
  """`1 - cosine` of equal shapes `[n, p, d]`: float32 `[n, p]`.

  No gradient reaches the teacher.
  """
  teacher_embedding = jax.lax.stop_gradient(teacher_embedding)
  student, teacher = (
    similarity.unit(student_embedding),
    similarity.unit(teacher_embedding),
  )
  # Half the squared difference keeps digits that 1 - product loses near 0.
  return 0.5 * jnp.sum(jnp.square(student - teacher), axis=-1)


def _float(x: jax.Array) -> jax.Array:
  return x.astype(jnp.float32)


def _fixed(x: jax.Array) -> jax.Array:
  return jax.lax.stop_gradient(x).astype(jnp.float32)


def _mean_square(x: jax.Array) -> jax.Array:
  return jnp.mean(jnp.square(x))
