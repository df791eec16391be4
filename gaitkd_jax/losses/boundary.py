"""GaitKD, boundary level: which side of zero each teacher channel lies on."""

import jax
import jax.numpy as jnp

from gaitkd_jax.losses import parts


def boundary_loss(
  student_embedding: jax.Array,
  teacher_embedding: jax.Array,
  margin: float = 1.0,
) -> jax.Array:
  """GaitKD's boundary-level loss (arXiv 2604.26255).

  The activation-boundary loss of Heo et al. (AAAI 2019) on part embeddings
  before the neck: where the teacher's channel is positive the student's is
  pushed above `margin`, elsewhere (zero included) below `-margin`, by the
  squared distance. It sums over channels, so its weight goes with the
  embedding's width. No gradient reaches the teacher. Of
  unequal numbers of parts the first of both are compared, as in GaitKD's code.

  Args:
    student_embedding: `[n, p, d]`.
    teacher_embedding: `[n, p, d]`; only its signs matter.
    margin: distance from zero that the student is asked for.

  Returns:
    Scalar float32, the mean over samples and parts.

  Raises:
    ValueError: the shapes differ in more than the number of parts.
  """
  student_embedding, teacher_embedding = parts.common_parts(
    student_embedding, teacher_embedding, "embedding"
  )
  side = jnp.where(jax.lax.stop_gradient(teacher_embedding) > 0, 1.0, -1.0)
  short = jax.nn.relu(margin - side * student_embedding.astype(jnp.float32))
  return jnp.mean(jnp.sum(jnp.square(short), axis=-1))
