"""OFA-KD: a target-enhanced cross entropy for unlike networks."""

import jax
import jax.numpy as jnp

from gaitkd_jax.losses import decision
from gaitkd_jax.losses import parts


def ofa_loss(
  student_logits: jax.Array,
  teacher_logits: jax.Array,
  labels: jax.Array,
  gamma: float = 1.5,
  temperature: float | jax.Array = 1.0,
  scale: float = 16.0,
) -> jax.Array:
  """The logit loss of OFA-KD (NeurIPS 2023), without its exit branches.

  `-sum_k ((P_t + [k = y])^gamma - [k = y]) log P_s`: gamma above 1 adds
  weight to the truth where the teacher doubts it. The factors do not sum to 1.
  At gamma 1 it is the cross entropy with the teacher.

  Args:
    student_logits: cosines `[n, p, k]`.
    teacher_logits: cosines `[n, q, k]`, q as in `parts.common_parts`.
    labels: int `[n]`.
    gamma: 1.5 on ImageNet, 1.0 on CIFAR in its authors' configs.
    temperature: of both sides; no factor `T^2`.
    scale: factor on both sides.

  Returns:
    Scalar float32, the mean over samples and parts.

  Raises:
    ValueError: the shapes differ in more than the number of parts.
  """
  student_logits, teacher_logits = parts.common_parts(
    student_logits, teacher_logits, "logits"
  )
  log_s = decision.log_probabilities(student_logits, temperature, scale)
  p_t = jnp.exp(
    decision.log_probabilities(
      jax.lax.stop_gradient(teacher_logits), temperature, scale
    )
  )
  truth = jax.nn.one_hot(labels, log_s.shape[-1])[:, None]
  factor = (p_t + truth) ** gamma - truth
  return -jnp.mean(jnp.sum(factor * log_s, axis=-1))
