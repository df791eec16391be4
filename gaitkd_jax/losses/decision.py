"""GaitKD, decision level: divergence of part-calibrated logits."""

import jax
import jax.numpy as jnp
import numpy as np
import optax

from gaitkd_jax.losses import parts


def decision_loss(
  student_logits: jax.Array,
  teacher_logits: jax.Array,
  temperature: float | jax.Array = 4.0,
  scale: float = 16.0,
  part_weight: jax.Array | None = None,
  overlap: jax.Array | np.ndarray | None = None,
) -> jax.Array:
  """GaitKD's decision-level loss (arXiv 2604.26255).

  `T^2 * mean over samples and parts of KL(softmax(a z_t / T) || softmax(a z_s
  / T))`: both sides are calibrated by the scale `a` of the classifier's cross
  entropy, and every part counts alike. No gradient reaches the teacher. If the
  numbers of parts differ the first of both are compared, as in GaitKD's code.

  Examples:
    One clip, one part, two classes; the teacher is sure, the student is not.

    >>> import jax.numpy as jnp
    >>> student = jnp.array([[[0.5, 0.5]]])
    >>> teacher = jnp.array([[[1.0, 0.0]]])
    >>> print(f"{decision_loss(student, teacher):.3f}")
    9.649
    >>> print(f"{decision_loss(teacher, teacher):.3f}")
    0.000

  Args:
    student_logits: cosines `[n, p, k]`.
    teacher_logits: cosines `[n, q, k]`.
    temperature: `T`; larger values soften both distributions.
    scale: `a`.
    part_weight: `[p]`, replaces the mean over parts by a weighted sum; None is
      `1 / p` for each.
    overlap: `[p, q]`, by which the teacher's distributions are mixed for the
      student's parts (see `parts.overlap_matrix`); None compares the first
      parts of both.

  Returns:
    Scalar float32.

  Raises:
    ValueError: the shapes differ in more than the number of parts, or the
      overlap does not fit them.
  """
  if overlap is None:
    student_logits, teacher_logits = parts.common_parts(
      student_logits, teacher_logits, "logits"
    )
    log_s = log_probabilities(student_logits, temperature, scale)
    log_t = log_probabilities(
      jax.lax.stop_gradient(teacher_logits), temperature, scale
    )
    divergence = optax.losses.kl_divergence_with_log_targets(log_s, log_t)
  else:
    log_s = log_probabilities(student_logits, temperature, scale)
    p_t = teacher_probabilities(
      student_logits, teacher_logits, temperature, scale, overlap
    )
    divergence = optax.losses.kl_divergence(log_s, p_t)
  by_part = jnp.mean(divergence, axis=0)
  if part_weight is None:
    value = jnp.mean(by_part)
  else:
    value = jnp.sum(by_part * part_weight)
  return squared(temperature) * value


def teacher_probabilities(
  student_logits: jax.Array,
  teacher_logits: jax.Array,
  temperature: float | jax.Array,
  scale: float,
  overlap: jax.Array | np.ndarray | None = None,
) -> jax.Array:
  """The teacher's distributions for the student's parts.

  Args:
    student_logits: `[n, p, k]`, of which only the shape matters.
    teacher_logits: `[n, q, k]`; no gradient reaches them.
    temperature: `T`.
    scale: `a`.
    overlap: see `decision_loss`.

  Returns:
    float32 `[n, p, k]`, without an overlap `[n, min(p, q), k]`.

  Raises:
    ValueError: see `decision_loss`.
  """
  teacher_logits = jax.lax.stop_gradient(teacher_logits)
  if overlap is None:
    _, common = parts.common_parts(student_logits, teacher_logits, "logits")
    return jnp.exp(log_probabilities(common, temperature, scale))
  mixed = parts.mix_parts(
    jnp.exp(log_probabilities(teacher_logits, temperature, scale)), overlap
  )
  parts.check_mixed(student_logits, mixed, teacher_logits, "logits")
  return mixed


def log_probabilities(
  logits: jax.Array,
  temperature: float | jax.Array = 1.0,
  scale: float = 1.0,
) -> jax.Array:
  """`log softmax(scale * logits / temperature)` over the last axis, float32."""
  return jax.nn.log_softmax(scale / temperature * logits.astype(jnp.float32))


def squared(temperature: float | jax.Array) -> jax.Array:
  """`T^2`, which keeps gradients comparable between temperatures."""
  return jnp.square(jnp.asarray(temperature, jnp.float32))
