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
  log_s = log_probabilities(student_logits, temperature, scale)
  log_t = log_probabilities(
    jax.lax.stop_gradient(teacher_logits), temperature, scale
  )
  divergence = optax.losses.kl_divergence_with_log_targets(log_s, log_t)
  by_part = jnp.mean(divergence, axis=0)
  if part_weight is None:
    value = jnp.mean(by_part)
  else:
    value = jnp.sum(by_part * part_weight)
  return squared(temperature) * value


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


def logit_standardisation(logits: jax.Array) -> jax.Array:
  """Logits less their mean over classes, divided by their deviation.

  Logit standardisation (arXiv 2403.01427): the student keeps its own range of
  logits and learns only their order and spacing. Give both sides' results to
  `decision_loss` with `scale=1` and `temperature=2`; its authors weigh it by 9.
  The deviation is the population's; a row of equal logits gives zeros.

  Args:
    logits: `[n, p, k]` of any scale.

  Returns:
    float32 `[n, p, k]`, every row of mean 0 and deviation 1.
  """
  logits = logits.astype(jnp.float32)
  centred = logits - jnp.mean(logits, axis=-1, keepdims=True)
  variance = jnp.mean(jnp.square(centred), axis=-1, keepdims=True)
  return centred * jax.lax.rsqrt(variance + 1e-14)
