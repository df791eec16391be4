"""EKD: the student's pairs of clips should rank as the teacher's do.

Verification is judged at small rates of false acceptance; the anchors are the
similarities at which those rates are met.
"""

from collections.abc import Sequence

import flax.struct
import jax
import jax.numpy as jnp
import numpy as np

from gaitkd_jax.losses import parts
from gaitkd_jax.losses import similarity

RATES = (10, 100, 1000)


@flax.struct.dataclass
class Anchors:
  """Running similarities at which one of `rates` negatives is accepted.

  Attributes:
    student: float32 `[p, m]`.
    teacher: float32 `[p, m]`.
  """

  student: jax.Array
  teacher: jax.Array


def init_anchors(num_parts: int, rates: Sequence[int] = RATES) -> Anchors:
  """Anchors at 0, as the authors start them."""
  zeros = jnp.zeros([num_parts, len(rates)], jnp.float32)
  return Anchors(student=zeros, teacher=zeros)


def ekd_loss(
  student_embedding: jax.Array,
  teacher_embedding: jax.Array,
  labels: jax.Array,
  anchors: Anchors,
  rates: Sequence[int] = RATES,
  positive_weight: float | jax.Array = 0.02,
  negative_weight: float | jax.Array = 0.01,
  hardest: int = 2000,
  softness: float = 0.01,
  momentum: float = 0.99,
) -> tuple[jax.Array, Anchors]:
  """Evaluation-oriented distillation (EKD, CVPR 2022), part by part.

  Every pair of clips has a soft rank, `sum over anchors of sigmoid((cosine -
  anchor) / softness)`, in the student and in the teacher; their squared
  difference is averaged over positive pairs, and over the student's hardest
  negative ones. The anchors are running means of the batch's sorted negative
  cosines at index `count // rate`, this batch included. The authors' rates go
  to 1e6; a batch of 128 has 8128 pairs, so that rates here end at 1000. For one
  rank of the whole clip give `[n, 1, p * d]`.

  Args:
    student_embedding: `[n, p, d]`.
    teacher_embedding: `[n, q, e]`, q as in `parts.common_parts`.
    labels: int `[n]`.
    anchors: of the step before, for the parts in common.
    rates: as given to `init_anchors`.
    positive_weight: of positive pairs.
    negative_weight: of negative pairs.
    hardest: how many negative pairs of each part count.
    softness: of the ranks.
    momentum: of the anchors.

  Returns:
    Scalar float32 (the mean over parts), and the new anchors. Without a
    negative pair the anchors stay.

  Raises:
    ValueError: the clips differ, or the anchors have other parts or rates.
  """
  student_embedding, teacher_embedding = parts.common_parts(
    student_embedding, teacher_embedding, "embedding", same_width=False
  )
  n, p = student_embedding.shape[:2]
  if anchors.student.shape != (p, len(rates)):
    raise ValueError(
      f"anchors {anchors.student.shape} do not fit {p} parts and "
      f"{len(rates)} rates"
    )
  first, second = np.triu_indices(n, k=1)
  student, teacher = (
    similarity.products(similarity.unit(x), similarity.unit(x))[
      :, first, second
    ]
    for x in (student_embedding, jax.lax.stop_gradient(teacher_embedding))
  )
  positive = labels[first] == labels[second]
  anchors = Anchors(
    student=_follow(anchors.student, student, positive, rates, momentum),
    teacher=_follow(anchors.teacher, teacher, positive, rates, momentum),
  )
  gap = jnp.square(
    _rank(student, anchors.student, softness)
    - _rank(teacher, anchors.teacher, softness)
  )
  positive = jnp.broadcast_to(positive[None], gap.shape)
  # -2 lies below every cosine.
  hardness = jnp.where(positive, -2.0, jax.lax.stop_gradient(student))
  hardness, index = jax.lax.top_k(hardness, min(hardest, len(first)))
  hard_gap = jnp.take_along_axis(gap, index, axis=-1)
  value = positive_weight * similarity.masked_mean(gap, positive)
  value += negative_weight * similarity.masked_mean(hard_gap, hardness > -2.0)
  return value, anchors


def _follow(
  anchors: jax.Array,
  cosines: jax.Array,
  positive: jax.Array,
  rates: Sequence[int],
  momentum: float,
) -> jax.Array:
  cosines = jax.lax.stop_gradient(cosines)
  below = jnp.where(positive[None], -2.0, cosines)
  ordered = jnp.flip(jnp.sort(below, axis=-1), axis=-1)
  count = jnp.sum(~positive)
  now = ordered[:, count // jnp.asarray(rates)]
  new = momentum * anchors + (1.0 - momentum) * now
  return jnp.where(count > 0, new, anchors)


def _rank(cosines: jax.Array, anchors: jax.Array, softness: float) -> jax.Array:
  apart = cosines[:, :, None] - anchors[:, None, :]
  return jnp.sum(jax.nn.sigmoid(apart / softness), axis=-1)
