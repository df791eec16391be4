"""GaitKD, boundary level: which side of zero each teacher channel lies on."""

import jax
import jax.numpy as jnp
import numpy as np

from gaitkd_jax.losses import parts


def boundary_loss(
  student_embedding: jax.Array,
  teacher_embedding: jax.Array,
  margin: float = 1.0,
  overlap: jax.Array | np.ndarray | None = None,
) -> jax.Array:
  """GaitKD's boundary-level loss (arXiv 2604.26255).

  The activation-boundary loss of Heo et al. (AAAI 2019) on part embeddings
  before the neck: where the teacher's channel is positive the student's is
  pushed above `margin`, elsewhere (zero included) below `-margin`, by the
  squared distance. It sums over channels, so a sensible weight depends on the
  embedding's width. No gradient reaches the teacher. If the numbers of parts
  differ the first of both are compared, as in GaitKD's code.

  Examples:
    One clip, one part, two channels: the first is .5 short of the margin, the
    second lies on the wrong side of zero.

    >>> import jax.numpy as jnp
    >>> student = jnp.array([[[0.5, 0.5]]])
    >>> teacher = jnp.array([[[3.0, -3.0]]])
    >>> print(boundary_loss(student, teacher))
    2.5

  Args:
    student_embedding: `[n, p, d]`.
    teacher_embedding: `[n, q, d]`; only its signs matter.
    margin: distance from zero that the student is asked for.
    overlap: `[p, q]` (see `parts.overlap_matrix`): every teacher part that a
      student part overlaps is compared with it, weighted by its share;
      embeddings of two strips are never averaged. None compares the first
      parts of both.

  Returns:
    Scalar float32, the mean over samples and parts.

  Raises:
    ValueError: the shapes differ in more than the number of parts, or the
      overlap does not fit them.
  """
  if overlap is None:
    student_embedding, teacher_embedding = parts.common_parts(
      student_embedding, teacher_embedding, "embedding"
    )
    side = jnp.where(jax.lax.stop_gradient(teacher_embedding) > 0, 1.0, -1.0)
    short = jax.nn.relu(margin - side * student_embedding.astype(jnp.float32))
    return jnp.mean(jnp.sum(jnp.square(short), axis=-1))
  above, below = sides(student_embedding, teacher_embedding, overlap)
  to_above, to_below = squared_distances(student_embedding, margin)
  return jnp.mean(jnp.sum(above * to_above + below * to_below, axis=-1))


def sides(
  student: jax.Array,
  teacher: jax.Array,
  overlap: jax.Array | np.ndarray | None = None,
) -> tuple[jax.Array, jax.Array]:
  """How much of a teacher lies on each side of zero.

  Args:
    student: `[n, p, d]`, of which only the shape matters.
    teacher: `[n, q, d]`; no gradient reaches it.
    overlap: see `boundary_loss`.

  Returns:
    float32 `[n, p, d]`, without an overlap `[n, min(p, q), d]`: the share of
    what is compared with a student channel that is positive, and the rest.

  Raises:
    ValueError: see `boundary_loss`.
  """
  teacher = jax.lax.stop_gradient(teacher)
  if overlap is None:
    _, teacher = parts.common_parts(student, teacher, "embedding")
    above = (teacher > 0).astype(jnp.float32)
    return above, 1.0 - above
  above = parts.mix_parts(teacher > 0, overlap)
  below = parts.mix_parts(teacher <= 0, overlap)
  parts.check_mixed(student, above, teacher, "embedding")
  return above, below


def squared_distances(
  embedding: jax.Array, margin: float
) -> tuple[jax.Array, jax.Array]:
  """Squared distances to `margin` from below and to `-margin` from above."""
  embedding = embedding.astype(jnp.float32)
  return (
    jnp.square(jax.nn.relu(margin - embedding)),
    jnp.square(jax.nn.relu(embedding + margin)),
  )
