"""Where a network looks: attention over parts, frames and pixels."""

import jax
import jax.numpy as jnp
import optax

from gaitkd_jax.losses import decision
from gaitkd_jax.losses import parts
from gaitkd_jax.losses import similarity


def attention_transfer_loss(
  student: jax.Array, teacher: jax.Array, power: float = 2.0
) -> jax.Array:
  """Attention transfer (arXiv 1612.03928), as in GaitKD's code.

  The attention is the sum over channels of `|f|^power`, over all places of a
  clip at length 1; the loss is the mean squared difference. The places of part
  embeddings are the parts, those of maps the pixels of all frames. Widths may
  differ.

  Args:
    student: part embeddings `[n, p, d]`, or maps `[n, s, h, w, c]`.
    teacher: part embeddings `[n, q, e]`, q as in `parts.common_parts`, or maps
      `[n, s, h, w, e]`.
    power: of the magnitude.

  Returns:
    Scalar float32, the mean over samples and places.

  Raises:
    ValueError: the places differ (of embeddings, more than their number).
  """
  if student.ndim == 3:
    student, teacher = parts.common_parts(
      student, teacher, "embedding", same_width=False
    )
  else:
    _check_maps(student, teacher, same_width=False)
  gap = _attention(student, power) - _attention(
    jax.lax.stop_gradient(teacher), power
  )
  return jnp.mean(jnp.square(gap))


def channel_wise_loss(
  student_map: jax.Array,
  teacher_map: jax.Array,
  temperature: float | jax.Array = 4.0,
) -> jax.Array:
  """Channel-wise distillation of maps (CWD, arXiv 2011.13256).

  Every channel of every frame is a distribution over its pixels: `T^2
  KL(softmax(f_t / T) || softmax(f_s / T))`.

  Args:
    student_map: `[n, s, h, w, c]`.
    teacher_map: `[n, s, h, w, c]`.
    temperature: `T`.

  Returns:
    Scalar float32, the mean over samples, frames and channels.

  Raises:
    ValueError: the shapes differ.
  """
  _check_maps(student_map, teacher_map, same_width=True)
  log_s, log_t = (
    decision.log_probabilities(_channels_as_rows(x), temperature)
    for x in (student_map, jax.lax.stop_gradient(teacher_map))
  )
  divergence = optax.losses.kl_divergence_with_log_targets(log_s, log_t)
  return decision.squared(temperature) * jnp.mean(divergence)


def _attention(x: jax.Array, power: float) -> jax.Array:
  x = x.astype(jnp.float32)
  size = jnp.square(x) if power == 2.0 else jnp.abs(x) ** power
  places = jnp.sum(size, axis=-1)
  return similarity.unit(places.reshape(places.shape[0], -1))


def _channels_as_rows(x: jax.Array) -> jax.Array:
  n, s, h, w, c = x.shape
  return jnp.swapaxes(x.reshape(n, s, h * w, c), 2, 3)


def _check_maps(
  student: jax.Array, teacher: jax.Array, same_width: bool
) -> None:
  axes = 5 if same_width else 4
  if student.ndim != 5 or student.shape[:axes] != teacher.shape[:axes]:
    raise ValueError(
      f"student map {student.shape} and teacher map {teacher.shape} must be "
      "[n, s, h, w, c] of the same " + ("shape" if same_width else "places")
    )
