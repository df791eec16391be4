"""DIST: agreement up to scale and shift."""

import jax
import jax.numpy as jnp

from gaitkd_jax.losses import decision
from gaitkd_jax.losses import parts
from gaitkd_jax.losses import similarity


def dist_loss(
  student_logits: jax.Array,
  teacher_logits: jax.Array,
  beta: float | jax.Array = 2.0,
  gamma: float | jax.Array = 2.0,
  temperature: float | jax.Array = 4.0,
  scale: float = 16.0,
) -> jax.Array:
  """Distillation from a stronger teacher (DIST, arXiv 2205.10536).

  `T^2 [beta (1 - r over classes) + gamma (1 - r over clips)]` with Pearson's
  correlation r of the probabilities: of each clip's distribution, and of each
  class's probabilities over the batch. Where they are constant r is 0.

  Args:
    student_logits: cosines `[n, p, k]`.
    teacher_logits: cosines `[n, q, k]`, q as in `parts.common_parts`.
    beta: weight of the correlation over classes.
    gamma: weight of the correlation over clips.
    temperature: `T`.
    scale: factor on both sides.

  Returns:
    Scalar float32, the mean over parts and clips, and over parts and classes.

  Raises:
    ValueError: the shapes differ in more than the number of parts.
  """
  student_logits, teacher_logits = parts.common_parts(
    student_logits, teacher_logits, "logits"
  )
  student, teacher = (
    jnp.exp(decision.log_probabilities(z, temperature, scale))
    for z in (student_logits, jax.lax.stop_gradient(teacher_logits))
  )
  classes = 1.0 - jnp.mean(_pearson(student, teacher))
  clips = 1.0 - jnp.mean(
    _pearson(jnp.moveaxis(student, 0, -1), jnp.moveaxis(teacher, 0, -1))
  )
  return decision.squared(temperature) * (beta * classes + gamma * clips)


def _pearson(left: jax.Array, right: jax.Array) -> jax.Array:
  """Pearson's correlation over the last axis."""
  return jnp.sum(_standardised(left) * _standardised(right), axis=-1)


def _standardised(x: jax.Array) -> jax.Array:
  centred = x - jnp.mean(x, axis=-1, keepdims=True)
  # Probabilities of rare classes are tiny; their squares would underflow.
  size = jnp.max(jnp.abs(centred), axis=-1, keepdims=True)
  size = jax.lax.stop_gradient(jnp.where(size > 1e-30, size, 1.0))
  return similarity.unit(centred / size)
