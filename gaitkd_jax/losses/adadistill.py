"""AdaDistill: class centres that follow the teacher at an adaptive rate."""

import jax
import jax.numpy as jnp

from gaitkd_jax.losses import class_axis
from gaitkd_jax.losses import parts
from gaitkd_jax.losses import similarity


def init_centres(num_classes: int, num_parts: int, width: int) -> jax.Array:
  """Centres `[k, p, d]` of 0: a class's first clip becomes its centre."""
  return jnp.zeros([num_classes, num_parts, width], jnp.float32)


def adadistill_loss(
  student_embedding: jax.Array,
  teacher_embedding: jax.Array,
  labels: jax.Array,
  centres: jax.Array,
  scale: float = 64.0,
  margin: float | None = None,
  kind: str = "arcface",
) -> tuple[jax.Array, jax.Array]:
  """AdaDistill (ECCV 2024), part by part: a margin loss against centres.

  The centre of a label moves to `a c + (1 - a) e_t` with `a = cos(e_s, e_t)
  cos(c, e_t)`, both kept within 1e-6..1: a weak student's centre follows the
  single clip, a strong one's is a running mean. The student's cosines to all
  centres, so moved, go through the cross entropy of ArcFace (arXiv 1801.07698)
  or CosFace (arXiv 1801.09414). Only the teacher's embeddings are needed.

  Batches here hold several clips of a person: the centres that they give are
  averaged, where the authors' overwrite each other. Teacher embeddings enter at
  length 1. A class that has not been seen has cosine 0.

  Args:
    student_embedding: `[n, p, d]`.
    teacher_embedding: `[n, q, d]`, q as in `parts.common_parts`.
    labels: int `[n]`, below k.
    centres: `[k, p, d]`, with the parts in common; see `init_centres`.
    scale: of the cosines.
    margin: None is .45 for ArcFace and .35 for CosFace.
    kind: "arcface" or "cosface".

  Returns:
    Scalar float32, the mean over samples and parts, and the new centres. No
    gradient flows through the centres.

  Raises:
    ValueError: shapes differ, or an unknown kind.
  """
  if kind not in ("arcface", "cosface"):
    raise ValueError(f"kind is 'arcface' or 'cosface', not {kind!r}")
  student_embedding, teacher_embedding = parts.common_parts(
    student_embedding, teacher_embedding, "embedding"
  )
  if centres.shape[1:] != student_embedding.shape[1:]:
    raise ValueError(
      f"centres {centres.shape} do not fit student embedding "
      f"{student_embedding.shape}"
    )
  student = similarity.unit(student_embedding)
  teacher = similarity.unit(jax.lax.stop_gradient(teacher_embedding))
  centres = _move(jax.lax.stop_gradient(centres), student, teacher, labels)
  cosines = jnp.swapaxes(
    similarity.products(student, similarity.unit(centres)), 0, 1
  )
  truth = jnp.arange(len(centres))[None] == labels[:, None]
  if kind == "arcface":
    moved = _add_angle(cosines, 0.45 if margin is None else margin)
  else:
    moved = cosines - (0.35 if margin is None else margin)
  log_p = jax.nn.log_softmax(
    scale * jnp.where(truth[:, None], moved, cosines), axis=-1
  )
  return -jnp.mean(class_axis.at_class(log_p, labels[:, None])), centres


def _move(
  centres: jax.Array, student: jax.Array, teacher: jax.Array, labels: jax.Array
) -> jax.Array:
  """The centres after a batch of embeddings at length 1."""
  centre = centres[labels]
  near = jnp.sum(similarity.unit(centre) * teacher, axis=-1, keepdims=True)
  alike = jnp.sum(
    jax.lax.stop_gradient(student) * teacher, axis=-1, keepdims=True
  )
  rate = jnp.clip(alike * jnp.clip(near, 1e-6, 1.0), 1e-6, 1.0)
  count = jnp.zeros([len(centres)], jnp.float32).at[labels].add(1.0)
  # Means of differences leave the other classes bit for bit as they were.
  step = (
    jnp.zeros_like(centres).at[labels].add((1.0 - rate) * (teacher - centre))
  )
  return centres + step / jnp.maximum(count, 1.0)[:, None, None]


def _add_angle(cosines: jax.Array, margin: float) -> jax.Array:
  """cos(angle + margin), continued linearly beyond a turn of pi."""
  # The sine's slope is infinite at a cosine of 1.
  cosines = jnp.clip(cosines, -1.0 + 1e-6, 1.0 - 1e-6)
  sine = jnp.sqrt(1.0 - jnp.square(cosines))
  turned = cosines * jnp.cos(margin) - sine * jnp.sin(margin)
  return jnp.where(
    cosines > -jnp.cos(margin), turned, cosines - margin * jnp.sin(margin)
  )
