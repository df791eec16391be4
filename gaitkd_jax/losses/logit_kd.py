"""Hinton's distillation of part logits, and its relatives.

Knowledge adjustment repairs what a teacher gets wrong; logit standardisation
frees the student from the teacher's range of logits.
"""

import jax
import jax.numpy as jnp
import optax

from gaitkd_jax.losses import class_axis
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

  Examples:
    >>> import jax.numpy as jnp
    >>> student = jnp.array([[[0.5, 0.5]]])
    >>> teacher = jnp.array([[[1.0, 0.0]]])
    >>> print(f"{kd_loss(student, teacher):.4f}")
    0.1240

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

  Where the teacher's most probable class is wrong, its probability and the true
  class's change places; the rest is `decision_loss`. As in GaitKD's code.

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
  best = class_axis.is_class(log_t, jnp.argmax(log_t, axis=-1))
  truth = class_axis.is_class(log_t, labels[:, None])
  of_best = jnp.max(log_t, axis=-1, keepdims=True)
  of_truth = class_axis.at_class(log_t, labels[:, None])[..., None]
  shifted = jnp.where(truth, of_best, jnp.where(best, of_truth, log_t))
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

  Where the teacher's most probable class is wrong, its whole distribution is
  replaced by `1 - epsilon` on the truth and `epsilon / (k - 1)` on every other
  class; the rest is `decision_loss`. As in GaitKD's code.

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


def standardised_kd_loss(
  student_logits: jax.Array,
  teacher_logits: jax.Array,
  temperature: float | jax.Array = 2.0,
) -> jax.Array:
  """Distillation of standardised logits (arXiv 2403.01427).

  `kd_loss` of `logit_standardisation` of both sides: the student keeps its own
  range of logits and learns only their order and spacing. Its authors' weight
  is 9.

  Args:
    student_logits: `[n, p, k]` of any scale.
    teacher_logits: `[n, q, k]` of any scale, q as in `parts.common_parts`.
    temperature: `T`.

  Returns:
    Scalar float32, the mean over samples and parts.

  Raises:
    ValueError: the shapes differ in more than the number of parts.
  """
  return kd_loss(
    logit_standardisation(student_logits),
    logit_standardisation(teacher_logits),
    temperature,
  )


def logit_standardisation(logits: jax.Array) -> jax.Array:
  """Logits less their mean over classes, divided by their deviation.

  The deviation is the population's; a row of equal logits gives zeros. See
  `standardised_kd_loss`.

  Args:
    logits: `[n, p, k]` of any scale.

  Returns:
    float32 `[n, p, k]`, every row of mean 0 and deviation 1.
  """
  logits = logits.astype(jnp.float32)
  centred = logits - jnp.mean(logits, axis=-1, keepdims=True)
  variance = jnp.mean(jnp.square(centred), axis=-1, keepdims=True)
  return centred * jax.lax.rsqrt(variance + 1e-14)
