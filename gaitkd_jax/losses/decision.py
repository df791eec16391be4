"""GaitKD, decision level: divergence of part-calibrated logits."""

import jax
import jax.numpy as jnp
import optax

from gaitkd_jax.losses import parts


def decision_loss(
  student_logits: jax.Array,
  teacher_logits: jax.Array,
  temperature: float | jax.Array = 4.0,
  scale: float = 16.0,
  part_weight: jax.Array | None = None,
) -> jax.Array:
  """GaitKD's decision-level loss (arXiv 2604.26255).

  `T^2 * mean over samples and parts of KL(softmax(a z_t / T) || softmax(a z_s
  / T))`: both sides are calibrated by the scale `a` of the classifier's cross
  entropy, and every part counts alike. No gradient reaches the teacher. Of
  unequal numbers of parts the first of both are compared, as in GaitKD's code.

  Args:
    student_logits: cosines `[n, p, k]`.
    teacher_logits: cosines `[n, p, k]`.
    temperature: `T`; larger values soften both distributions.
    scale: `a`.
    part_weight: `[p]`, replaces the mean over parts by a weighted sum; None is
      `1 / p` for each.

  Returns:
    Scalar float32.

  Raises:
    ValueError: the shapes differ in more than the number of parts.
  """
  student_logits, teacher_logits = parts.common_parts(
    student_logits, teacher_logits, "logits"
  )
  sharpness = scale / temperature
  log_s = jax.nn.log_softmax(sharpness * student_logits.astype(jnp.float32))
  log_t = jax.nn.log_softmax(
    sharpness * jax.lax.stop_gradient(teacher_logits).astype(jnp.float32)
  )
  divergence = optax.losses.kl_divergence_with_log_targets(log_s, log_t)
  by_part = jnp.mean(divergence, axis=0)
  if part_weight is None:
    value = jnp.mean(by_part)
  else:
    value = jnp.sum(by_part * part_weight)
  return jnp.square(jnp.asarray(temperature, jnp.float32)) * value
