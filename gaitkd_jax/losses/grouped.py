"""The family that splits one divergence into groups of classes.

`KL(P_t || P_s)` is the divergence of the groups' masses plus, weighted by the
teacher's mass, the divergence inside every group. DKD, GDKD and grouped KD
choose the groups and replace the weights.
"""

from collections.abc import Sequence

import jax
import jax.numpy as jnp

from gaitkd_jax.losses import class_axis
from gaitkd_jax.losses import decision
from gaitkd_jax.losses import parts


def grouped_kl_loss(
  student_logits: jax.Array,
  teacher_logits: jax.Array,
  groups: jax.Array,
  between_weight: float | jax.Array,
  inside_weights: Sequence[float | jax.Array],
  temperature: float | jax.Array = 4.0,
  scale: float = 16.0,
  direction: str = "forward",
  mass_floor: float | None = None,
) -> jax.Array:
  """Divergence of the groups' masses and inside every group.

  `T^2 [w KL(b_t || b_s) + sum_g w_g KL_g]`: b are the masses of the groups,
  `KL_g` is between the distributions renormalised inside group g. With w = 1
  and the teacher's masses as w_g it is `decision_loss`. Everything is in
  logsumexp form: finite where a group's mass vanishes or a group is empty.

  Args:
    student_logits: `[n, p, k]`.
    teacher_logits: `[n, q, k]`, q as in `parts.common_parts`.
    groups: int `[n, p, k]`, the group of every class, below
      `len(inside_weights)`; parts beyond the common ones are left out.
    between_weight: w, a number or `[n, p]`.
    inside_weights: w_g of every group, each a number or `[n, p]`.
    temperature: `T`.
    scale: `a`, factor on both sides.
    direction: "forward" is KL(teacher || student), "reverse" the other way
      round, "both" the mean of the two (our definition).
    mass_floor: a student's mass below it counts as this, without a gradient;
      None has no floor.

  Returns:
    Scalar float32, the mean over samples and parts.

  Raises:
    ValueError: the shapes differ in more than the number of parts; an unknown
      direction.
  """
  student_logits, teacher_logits = parts.common_parts(
    student_logits, teacher_logits, "logits"
  )
  if direction not in ("forward", "reverse", "both"):
    raise ValueError(
      f"direction is 'forward', 'reverse' or 'both', not {direction!r}"
    )
  if groups.shape[::2] != student_logits.shape[::2]:
    raise ValueError(
      f"groups {groups.shape} do not fit student logits {student_logits.shape}"
    )
  groups = jax.lax.stop_gradient(groups[:, : student_logits.shape[1]])
  sharpness = scale / temperature
  student = sharpness * student_logits.astype(jnp.float32)
  teacher = sharpness * jax.lax.stop_gradient(teacher_logits).astype(
    jnp.float32
  )
  student_total = jax.nn.logsumexp(student, axis=-1)
  teacher_total = jax.nn.logsumexp(teacher, axis=-1)
  total = jnp.zeros(student.shape[:2], jnp.float32)
  for group, weight in enumerate(inside_weights):
    mask = groups == group
    some = jnp.any(mask, axis=-1)
    student_sum = _masked_logsumexp(student, mask)
    teacher_sum = _masked_logsumexp(teacher, mask)
    mass = student_sum - student_total
    if mass_floor is not None:
      mass = jnp.maximum(mass, jnp.log(mass_floor))
    between = _term(
      jnp.where(some, mass, 0.0),
      jnp.where(some, teacher_sum - teacher_total, 0.0),
      direction,
    )
    inside = _term(
      jnp.where(mask, student - student_sum[..., None], 0.0),
      jnp.where(mask, teacher - teacher_sum[..., None], 0.0),
      direction,
    )
    total += between_weight * between
    total += weight * jnp.sum(inside, axis=-1)
  return decision.squared(temperature) * jnp.mean(total)


def dkd_loss(
  student_logits: jax.Array,
  teacher_logits: jax.Array,
  labels: jax.Array,
  alpha: float | jax.Array = 1.0,
  beta: float | jax.Array = 8.0,
  temperature: float | jax.Array = 4.0,
  scale: float = 16.0,
  mass_floor: float | None = None,
) -> jax.Array:
  """Decoupled distillation (DKD, arXiv 2203.08679): the truth and the rest.

  `T^2 [alpha KL(b_t || b_s) + beta KL_rest]`. Its authors take alpha 1, beta 8
  (ImageNet .5 and 2 with T 1) and warm its weight up over 20 epochs; GaitKD's
  code alpha 1, beta 1 and no warm-up.

  Args:
    student_logits: cosines `[n, p, k]`, k > 2.
    teacher_logits: cosines `[n, q, k]`, q as in `parts.common_parts`.
    labels: int `[n]`.
    alpha: weight of truth against rest.
    beta: weight inside the rest.
    temperature: `T`.
    scale: factor on both sides.
    mass_floor: GaitKD's code has 1e-12, which cuts the gradient where the
      student is most wrong; see `grouped_kl_loss`.

  Returns:
    Scalar float32, the mean over samples and parts.

  Raises:
    ValueError: the shapes differ in more than the number of parts; k < 3.
  """
  if student_logits.shape[-1] < 3:
    raise ValueError(
      f"DKD needs 3 classes: student logits {student_logits.shape}, teacher "
      f"logits {teacher_logits.shape}"
    )
  classes = jnp.arange(student_logits.shape[-1])[None, None]
  rest = classes != labels[:, None, None]
  groups = jnp.broadcast_to(rest, student_logits.shape).astype(jnp.int32)
  return grouped_kl_loss(
    student_logits,
    teacher_logits,
    groups,
    alpha,
    (0.0, beta),
    temperature,
    scale,
    mass_floor=mass_floor,
  )


def gdkd_loss(
  student_logits: jax.Array,
  teacher_logits: jax.Array,
  top: int | None = None,
  between_weight: float | jax.Array = 1.0,
  top_weight: float | jax.Array = 1.0,
  rest_weight: float | jax.Array = 8.0,
  temperature: float | jax.Array = 4.0,
  scale: float = 16.0,
  direction: str = "forward",
  pick: str = "best",
  three_groups: bool = False,
) -> jax.Array:
  """Generalised DKD (arXiv 2512.04625): the teacher's top classes and the rest.

  `T^2 [w0 KL(b_t || b_s) + w1 KL_top + w2 KL_rest]`. It takes no labels, so
  it also works on clips of unknown people. With three groups the first of the
  top classes stands alone, and the masses are compared three ways.

  Args:
    student_logits: cosines `[n, p, k]`.
    teacher_logits: cosines `[n, q, k]`, q as in `parts.common_parts`.
    top: how many classes; None is 5, of three groups 4 (the first included).
    between_weight: w0.
    top_weight: w1.
    rest_weight: w2.
    temperature: `T`.
    scale: factor on both sides.
    direction: see `grouped_kl_loss`.
    pick: "best" takes the teacher's largest logits, "worst" its smallest.
    three_groups: whether the first class is a group by itself.

  Returns:
    Scalar float32, the mean over samples and parts.

  Raises:
    ValueError: the shapes differ in more than the number of parts; an unknown
      direction or pick.
  """
  if pick not in ("best", "worst"):
    raise ValueError(f"pick is 'best' or 'worst', not {pick!r}")
  student_logits, teacher_logits = parts.common_parts(
    student_logits, teacher_logits, "logits"
  )
  if top is None:
    top = 4 if three_groups else 5
  ranked = teacher_logits if pick == "best" else -teacher_logits
  groups = 1 - class_axis.among_largest(ranked, top).astype(jnp.int32)
  weights = [top_weight, rest_weight]
  if three_groups:
    groups += ~class_axis.among_largest(ranked, 1)
    weights = [0.0, *weights]
  return grouped_kl_loss(
    student_logits,
    teacher_logits,
    groups,
    between_weight,
    weights,
    temperature,
    scale,
    direction,
  )


def grouped_kd_loss(
  student_logits: jax.Array,
  teacher_logits: jax.Array,
  labels: jax.Array,
  top: int = 300,
  share: float | None = None,
  between_weight: float | jax.Array = 1.0,
  primary_weight: float | jax.Array = 8.0,
  secondary_weight: float | jax.Array = 0.0,
  temperature: float | jax.Array = 4.0,
  scale: float = 16.0,
) -> jax.Array:
  """Grouped KD for faces (AAAI 2023): the truth and the student's top classes.

  As `gdkd_loss`, but the student chooses, the truth belongs to the top group
  and the rest counts only by its mass. Its authors take 10,000 of 85,000
  classes and warm its weight up over 10 epochs; 300 of 3,000 is our default.

  Args:
    student_logits: cosines `[n, p, k]`.
    teacher_logits: cosines `[n, q, k]`, q as in `parts.common_parts`.
    labels: int `[n]`.
    top: how many of the student's largest logits.
    share: instead of `top`, the fewest classes whose summed probability at
      temperature 1, averaged over the batch, reaches this share (the authors'
      adaptive form, .93).
    between_weight: of the two masses.
    primary_weight: inside the top group.
    secondary_weight: inside the rest.
    temperature: `T`.
    scale: factor on both sides.

  Returns:
    Scalar float32, the mean over samples and parts.

  Raises:
    ValueError: the shapes differ in more than the number of parts.
  """
  student_logits, teacher_logits = parts.common_parts(
    student_logits, teacher_logits, "logits"
  )
  size: int | jax.Array = top
  if share is not None:
    probability = jax.nn.softmax(
      scale * jax.lax.stop_gradient(student_logits).astype(jnp.float32)
    )
    size = class_axis.fewest_reaching(probability, share)
  rest = ~class_axis.among_largest(student_logits, size)
  rest &= ~class_axis.is_class(student_logits, labels[:, None])
  return grouped_kl_loss(
    student_logits,
    teacher_logits,
    rest.astype(jnp.int32),
    between_weight,
    (primary_weight, secondary_weight),
    temperature,
    scale,
  )


def _masked_logsumexp(x: jax.Array, mask: jax.Array) -> jax.Array:
  """Over the last axis where `mask`; 0 for an empty row."""
  top = jax.lax.stop_gradient(
    jnp.max(x, axis=-1, where=mask, initial=-jnp.inf, keepdims=True)
  )
  top = jnp.where(jnp.isfinite(top), top, 0.0)
  # Selected before the exponential: outside the mask it may overflow.
  power = jnp.exp(jnp.where(mask, x - top, 0.0))
  total = jnp.sum(jnp.where(mask, power, 0.0), axis=-1)
  return top[..., 0] + jnp.log(jnp.where(total > 0.0, total, 1.0))


def _term(log_s: jax.Array, log_t: jax.Array, direction: str) -> jax.Array:
  # Where both are 0, as outside a group, this is 0.
  forward = jnp.exp(log_t) * (log_t - log_s)
  if direction == "forward":
    return forward
  reverse = jnp.exp(log_s) * (log_s - log_t)
  return reverse if direction == "reverse" else 0.5 * (forward + reverse)
