"""Instance-level embedding distillation with dynamic hard mining."""

import flax.struct
import jax
import jax.numpy as jnp

from gaitkd_jax.losses import matching
from gaitkd_jax.losses import parts


@flax.struct.dataclass
class Threshold:
  """The running distance from which on an embedding counts as hard.

  Attributes:
    value: float32 scalar.
    steps: int32 scalar, updates so far.
  """

  value: jax.Array
  steps: jax.Array


def init_threshold() -> Threshold:
  """A threshold that starts from the first batch's quantile."""
  return Threshold(
    value=jnp.zeros([], jnp.float32), steps=jnp.zeros([], jnp.int32)
  )


def hard_share(progress: float | jax.Array) -> jax.Array:
  """The usual `share` of `instance_loss`: 1.0 to 0.3 over the first half.

  Args:
    progress: step divided by the number of steps.

  Returns:
    Scalar float32.
  """
  fraction = jnp.clip(2.0 * jnp.asarray(progress, jnp.float32), 0.0, 1.0)
  return 1.0 - 0.7 * fraction


def instance_loss(
  student_embedding: jax.Array,
  teacher_embedding: jax.Array,
  threshold: Threshold,
  share: float | jax.Array = 1.0,
  easy_weight: float = 0.1,
  momentum: float = 0.99,
) -> tuple[jax.Array, Threshold]:
  """`1 - cosine` of part embeddings, with the weight on hard ones.

  Our definition, after the description of ILED in arXiv 2508.11376, whose
  formula we could not read: embeddings at or beyond the running `1 - share`
  quantile of the batch's distances weigh 1, the others `easy_weight`; the loss
  is the weighted mean. One threshold serves all parts, and this batch already
  moves it.

  Args:
    student_embedding: `[n, p, d]`.
    teacher_embedding: `[n, q, d]`, q as in `parts.common_parts`.
    threshold: of the step before.
    share: of the embeddings that count as hard, 0..1; see `hard_share`.
    easy_weight: weight of the others.
    momentum: of the threshold.

  Returns:
    Scalar float32, and the new threshold.

  Raises:
    ValueError: the shapes differ in more than the number of parts.
  """
  student_embedding, teacher_embedding = parts.common_parts(
    student_embedding, teacher_embedding, "embedding"
  )
  distance = matching.cosine_distance(student_embedding, teacher_embedding)
  fixed = jax.lax.stop_gradient(distance)
  now = jnp.quantile(fixed, 1.0 - jnp.asarray(share, jnp.float32))
  keep = jnp.where(threshold.steps > 0, momentum, 0.0)
  threshold = Threshold(
    value=keep * threshold.value + (1.0 - keep) * now,
    steps=threshold.steps + 1,
  )
  weight = jnp.where(fixed >= threshold.value, 1.0, easy_weight)
  return jnp.sum(weight * distance) / jnp.sum(weight), threshold
