"""Distillation of part logits without GaitKD's calibration, and its repairs."""

import jax
import jax.numpy as jnp
import optax

from gaitkd_jax.losses import decision
from gaitkd_jax.losses import parts


def kd_loss(
  student_logits: jax.Array,
  teacher_logits: jax.Array,
  temperature: float | jax.Array = 4.0,
  scale: float = 1.0,
) -> jax.Array:
  """Hinton's distillation (arXiv 1503.02531) of every part.

  `T^2 KL(softmax(a z_t / T) || softmax(a z_s / T))`. At `scale=1` the cosines
  are taken as they are, which is what "calibrated" in GaitKD is measured
  against; at the scale of the cross entropy it is `decision_loss`.

  Args:
    student_logits: `[n, p, k]`.
    teacher_logits: `[n, q, k]`, q as in `parts.common_parts`.
    temperature: `T`.
    scale: `a`.

  Returns:
    Scalar float32, the mean over samples and parts.

  Raises:
    ValueError: the shapes differ in more than the number of parts.
  """
  return decision.decision_loss(
    student_logits, teacher_logits, temperature, scale
  )


def ka_ps_loss(
  student_logits: jax.Array,
  teacher_logits: jax.Array,
  labels: jax.Array,
  temperature: float | jax.Array = 4.0,
  scale: float = 16.0,
) -> jax.Array:
  """Knowledge adjustment by probability shift (arXiv 1911.07471).

  Where the teacher's most probable class is wrong its probability changes
  places with the true class's; then as `decision_loss`. As in GaitKD's code.

  Args:
    student_logits: cosines `[n, p, k]`.
    teacher_logits: cosines `[n, q, k]`, q as in `parts.common_parts`.
    labels: int `[n]`.
    temperature: `T`.
    scale: `a`.

  Returns:
    Scalar float32, the mean over samples and parts.

  Raises:
    ValueError: the shapes differ in more than the number of parts.
  """
  student_logits, teacher_logits = parts.common_parts(
    student_logits, teacher_logits, "logits"
  )
  log_s = decision.log_probabilities(student_logits, temperature, scale)
  log_t = decision.log_probabilities(
    jax.lax.stop_gradient(teacher_logits), temperature, scale
  )
  classes = jnp.arange(log_t.shape[-1])[None, None]
  best = jnp.argmax(log_t, axis=-1, keepdims=True)
  truth = jnp.broadcast_to(labels[:, None, None], best.shape)
  of_best = jnp.take_along_axis(log_t, best, axis=-1)
  of_truth = jnp.take_along_axis(log_t, truth, axis=-1)
  shifted = jnp.where(
    classes == truth, of_best, jnp.where(classes == best, of_truth, log_t)
  )
  divergence = optax.losses.kl_divergence_with_log_targets(log_s, shifted)
  return decision.squared(temperature) * jnp.mean(divergence)


def ka_lsr_loss(
  student_logits: jax.Array,
  teacher_logits: jax.Array,
  labels: jax.Array,
  temperature: float | jax.Array = 4.0,
  scale: float = 16.0,
  epsilon: float = 0.1,
) -> jax.Array:
  """Knowledge adjustment by label smoothing (arXiv 1911.07471).

  Where the teacher's most probable class is wrong its whole distribution gives
  way to `1 - epsilon` on the truth and `epsilon / (k - 1)` on every other
  class; then as `decision_loss`. As in GaitKD's code.

  Args:
    student_logits: cosines `[n, p, k]`.
    teacher_logits: cosines `[n, q, k]`, q as in `parts.common_parts`.
    labels: int `[n]`.
    temperature: `T`.
    scale: `a`.
    epsilon: the smoothing, above 0 and below 1.

  Returns:
    Scalar float32, the mean over samples and parts.

  Raises:
    ValueError: the shapes differ in more than the number of parts, or
      `epsilon` is no share.
  """
  student_logits, teacher_logits = parts.common_parts(
    student_logits, teacher_logits, "logits"
  )
  if not 0.0 < epsilon < 1.0:
    raise ValueError(f"epsilon must lie between 0 and 1, not {epsilon}")
  log_s = decision.log_probabilities(student_logits, temperature, scale)
  log_t = decision.log_probabilities(
    jax.lax.stop_gradient(teacher_logits), temperature, scale
  )
  count = log_t.shape[-1]
  truth = labels[:, None, None]
  smooth = jnp.where(
    jnp.arange(count)[None, None] == truth,
    jnp.log1p(-epsilon),
    jnp.log(epsilon / max(count - 1, 1)),
  )
  right = jnp.argmax(log_t, axis=-1, keepdims=True) == truth
  target = jnp.where(right, log_t, smooth)
  divergence = optax.losses.kl_divergence_with_log_targets(log_s, target)
  return decision.squared(temperature) * jnp.mean(divergence)
