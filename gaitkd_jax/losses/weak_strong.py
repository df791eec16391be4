"""Consistency of a weakly and a strongly augmented copy of each clip."""

import jax
import jax.numpy as jnp
import optax

from gaitkd_jax.losses import decision
from gaitkd_jax.losses import parts


def cross_view_loss(
  student_weak: jax.Array,
  teacher_weak: jax.Array,
  student_strong: jax.Array,
  teacher_strong: jax.Array,
  within_weight: float | jax.Array = 1.0,
  cross_weight: float | jax.Array = 2.0,
  temperature: float | jax.Array = 4.0,
  scale: float = 16.0,
  weak_confidence: float = 0.9,
  strong_confidence: float = 0.2,
) -> jax.Array:
  """Cross-view consistency (CRLD, ACM MM 2024) of two copies of each clip.

  What the paper calls views are a weakly and a strongly augmented copy; of a
  gait sequence they may also be two clips. Within a copy: `KD(s_w, t_w) +
  KD(s_s, t_s)` where the teacher's largest probability on the weak copy reaches
  `weak_confidence`. Across: `KD(s_s, t_w) + KD(s_w, t_s)` where that on the
  strong copy reaches `strong_confidence`. Confidence is judged at temperature
  1, part by part; parts of too little confidence count as 0 in the mean. The
  cross entropy of both copies (its authors' third weight, .5) is left to the
  caller.

  Args:
    student_weak: logits of the weak copy, cosines `[n, p, k]`.
    teacher_weak: the same of the teacher, `[n, q, k]`, q as in
      `parts.common_parts`.
    student_strong: logits of the strong copy.
    teacher_strong: the same of the teacher.
    within_weight: of the terms within a copy.
    cross_weight: of the terms across copies.
    temperature: `T`; terms carry `T^2`.
    scale: factor on all logits.
    weak_confidence: 0..1.
    strong_confidence: 0..1.

  Returns:
    Scalar float32, the mean over samples and parts.

  Raises:
    ValueError: the shapes differ in more than the number of parts.
  """
  student_weak, teacher_weak = parts.common_parts(
    student_weak, teacher_weak, "logits"
  )
  student_strong, teacher_strong = parts.common_parts(
    student_strong, teacher_strong, "logits"
  )
  if student_weak.shape != student_strong.shape:
    raise ValueError(
      f"weak logits {student_weak.shape} and strong logits "
      f"{student_strong.shape} differ"
    )
  teacher_weak, teacher_strong = jax.lax.stop_gradient(
    (teacher_weak, teacher_strong)
  )

  def divergence(student: jax.Array, teacher: jax.Array) -> jax.Array:
    return optax.losses.kl_divergence_with_log_targets(
      decision.log_probabilities(student, temperature, scale),
      decision.log_probabilities(teacher, temperature, scale),
    )

  def sure(teacher: jax.Array, confidence: float) -> jax.Array:
    log_p = decision.log_probabilities(teacher, 1.0, scale)
    return jnp.exp(jnp.max(log_p, axis=-1)) >= confidence

  within = divergence(student_weak, teacher_weak)
  within += divergence(student_strong, teacher_strong)
  cross = divergence(student_strong, teacher_weak)
  cross += divergence(student_weak, teacher_strong)
  value = within_weight * jnp.where(
    sure(teacher_weak, weak_confidence), within, 0.0
  )
  value += cross_weight * jnp.where(
    sure(teacher_strong, strong_confidence), cross, 0.0
  )
  return decision.squared(temperature) * jnp.mean(value)
