"""Losses over two views of the same person."""

import jax
import jax.numpy as jnp
import optax

from gaitkd_jax.losses import cross_entropy
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
  """Cross-view consistency (CRLD, ACM MM 2024) of two views of each clip.

  Within: `KD(s_w, t_w) + KD(s_s, t_s)` where the teacher's largest probability
  on the weak view reaches `weak_confidence`; across: `KD(s_s, t_w) + KD(s_w,
  t_s)` where that on the strong view reaches `strong_confidence`. Confidence is
  judged at temperature 1, part by part; unsure parts count as 0 in the mean.
  The cross entropy of both views (its authors' third weight, .5) is the
  caller's. The views of gait may be two clips of a sequence, or one clip
  lightly and heavily augmented.

  Args:
    student_weak: logits of the light view, cosines `[n, p, k]`.
    teacher_weak: the same of the teacher, `[n, q, k]`, q as in
      `parts.common_parts`.
    student_strong: logits of the heavy view.
    teacher_strong: the same of the teacher.
    within_weight: of the first terms.
    cross_weight: of the second.
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

  def divergence(student, teacher):
    return optax.losses.kl_divergence_with_log_targets(
      decision.log_probabilities(student, temperature, scale),
      decision.log_probabilities(teacher, temperature, scale),
    )

  def sure(teacher, confidence):
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


def swap_bands(
  silhouettes: jax.Array, partners: jax.Array, swapped: jax.Array
) -> jax.Array:
  """Takes horizontal bands of every clip from its partner.

  Bands are as high as parts, so that a part sees one person's strip of one
  clip, frame by frame. An exchange is mutual if `partners` is its own inverse
  and partners have equal rows of `swapped`.

  Args:
    silhouettes: `[n, s, h, w]` or `[n, s, h, w, c]`.
    partners: int `[n]`, the index of every clip's partner, of the same person.
    swapped: bool `[n, p]`, which bands come from the partner; p divides h.

  Returns:
    The same shape and type.

  Raises:
    ValueError: p does not divide h, or the numbers of clips differ.
  """
  n, height, bands = (
    silhouettes.shape[0],
    silhouettes.shape[2],
    swapped.shape[1],
  )
  if height % bands:
    raise ValueError(
      f"silhouettes {silhouettes.shape} have no {bands} bands of equal height"
    )
  if len(partners) != n or len(swapped) != n:
    raise ValueError(
      f"partners {partners.shape} and swapped {swapped.shape} do not fit "
      f"silhouettes {silhouettes.shape}"
    )
  rows = jnp.repeat(swapped, height // bands, axis=1)
  shape = (n, 1, height) + (1,) * (silhouettes.ndim - 3)
  return jnp.where(rows.reshape(shape), silhouettes[partners], silhouettes)


def patch_swap_loss(
  first_logits: jax.Array,
  second_logits: jax.Array,
  labels: jax.Array,
  temperature: float | jax.Array = 4.0,
  scale: float = 16.0,
  label_smoothing: float = 0.1,
  consistency_weight: float | jax.Array = 1.0,
) -> jax.Array:
  """Self-distillation of two clips that exchanged bands (see `swap_bands`).

  After intra-class patch swap (arXiv 2505.14124), whose formula could not be
  read; our definition: the cross entropy of both, and `T^2 [KL(a || b) + KL(b
  || a)]` with the first of each as a fixed target. It needs no teacher: a
  control for what the augmentation does alone.

  Args:
    first_logits: of one clip of each pair, cosines `[n, p, k]`.
    second_logits: of the other, the same shape.
    labels: int `[n]`, of the pairs.
    temperature: `T`.
    scale: factor on the cosines.
    label_smoothing: of the cross entropy.
    consistency_weight: of the divergences.

  Returns:
    Scalar float32, the mean over pairs and parts.

  Raises:
    ValueError: the shapes differ.
  """
  if first_logits.shape != second_logits.shape:
    raise ValueError(
      f"first logits {first_logits.shape} and second logits "
      f"{second_logits.shape} differ"
    )
  value = jnp.zeros([], jnp.float32)
  for ours, theirs in (
    (first_logits, second_logits),
    (second_logits, first_logits),
  ):
    value += cross_entropy.cross_entropy_loss(
      ours, labels, scale, label_smoothing
    )
    value += consistency_weight * decision.decision_loss(
      ours, theirs, temperature, scale
    )
  return value
