"""Several teachers of one student, and how they are put together.

Each teacher gives a value of its own, and `weighted_sum` or `weighted_mean` put
values together; the votes of `boundary_ensemble_loss` need all teachers at
once. Teachers may have other parts (`parts.overlap_matrix`), other subjects and
another scale of their logits (`common_logits`) than the student.
"""

from collections.abc import Sequence
from typing import TypeVar

import jax
import jax.numpy as jnp
import numpy as np
import optax

from gaitkd_jax.losses import boundary
from gaitkd_jax.losses import decision

Scalar = float | jax.Array
Overlaps = Sequence[np.ndarray | jax.Array | None]
Classes = tuple[np.ndarray, np.ndarray]

_T = TypeVar("_T")


def weighted_sum(
  values: Sequence[jax.Array], weights: Sequence[Scalar]
) -> jax.Array:
  """`sum_m w_m v_m`, the way GaitKD's code puts teachers together.

  Examples:
    >>> import jax.numpy as jnp
    >>> print(weighted_sum([jnp.array(2.0), jnp.array(4.0)], [1.0, 3.0]))
    14.0

  Args:
    values: a scalar of each teacher.
    weights: w_m, one of each.

  Returns:
    Scalar float32; 0 without a teacher.
  """
  total = sum(
    jnp.multiply(weight, value)
    for weight, value in zip(weights, values, strict=True)
  )
  return jnp.asarray(total, jnp.float32)


def weighted_mean(
  values: Sequence[jax.Array], weights: Sequence[Scalar]
) -> jax.Array:
  """`sum_m w_m v_m / sum_m w_m`.

  Examples:
    >>> import jax.numpy as jnp
    >>> print(weighted_mean([jnp.array(2.0), jnp.array(4.0)], [1.0, 3.0]))
    3.5

  Args:
    values: a scalar of each teacher.
    weights: w_m, one of each.

  Returns:
    Scalar float32; 0 if all weights are.
  """
  total = sum(weights)
  return weighted_sum(values, weights) / jnp.where(total > 0.0, total, 1.0)


def mean_weight(
  weights: Sequence[Scalar], members: int | None = None
) -> jax.Array:
  """The weight of a mean or of a vote, which see only proportions of weights.

  Args:
    weights: of the teachers that have one.
    members: how many teachers there are, those without a weight included; None
      is as many as there are weights.

  Returns:
    Scalar float32, the mean weight of the members.
  """
  count = len(weights) if members is None else members
  return jnp.asarray(sum(weights) / count, jnp.float32)


def common_logits(
  student_logits: jax.Array,
  teacher_logits: jax.Array,
  classes: Classes | None = None,
  factor: float = 1.0,
) -> tuple[jax.Array, jax.Array]:
  """Brings the logits of a teacher to the student's classes and scale.

  Distributions of what this returns are renormalised over the common classes.

  Args:
    student_logits: `[n, p, k]`.
    teacher_logits: `[n, q, l]`.
    classes: the student's and the teacher's indices of the common classes; None
      if both have the same classes.
    factor: the scale of the teacher's cross entropy, divided by the student's.

  Returns:
    Logits `[n, p, m]` of the student and `[n, q, m]` of the teacher.

  Raises:
    ValueError: no class is common, or the indices do not pair up.
  """
  if factor != 1.0:
    teacher_logits = factor * teacher_logits
  if classes is None:
    return student_logits, teacher_logits
  of_student, of_teacher = (np.asarray(index) for index in classes)
  if not len(of_student) or len(of_student) != len(of_teacher):
    raise ValueError(
      f"student logits {student_logits.shape} and teacher logits "
      f"{teacher_logits.shape} have {len(of_student)} and {len(of_teacher)} "
      "common classes"
    )
  return student_logits[..., of_student], teacher_logits[..., of_teacher]


def decision_ensemble_loss(
  student_logits: jax.Array,
  teacher_logits: Sequence[jax.Array],
  weights: Sequence[Scalar] | None = None,
  temperatures: Scalar | Sequence[Scalar] = 4.0,
  scale: float = 16.0,
  reduce: str = "sum",
  overlaps: Overlaps | None = None,
  classes: Sequence[Classes | None] | None = None,
) -> jax.Array:
  """GaitKD's decision loss of several teachers (arXiv 2604.26255).

  "sum" is GaitKD's code, `sum_m w_m T_m^2 KL(P_m || P_s)`. "mean" is `T^2
  KL(sum_m w_m P_m || P_s)` with the weights divided by their sum: the
  divergence from the ensemble. With weights that sum to 1 and one temperature
  both have the same gradient, for the first exceeds the second by `sum_m w_m
  KL(P_m || sum_m w_m P_m)`, which does not depend on the student. If the
  temperatures differ, "mean" softens each teacher by its own and the student by
  their weighted mean (our definition).

  Examples:
    Two teachers who are sure of different classes.

    >>> import jax.numpy as jnp
    >>> student = jnp.array([[[0.5, 0.5]]])
    >>> one, two = jnp.array([[[1.0, 0.0]]]), jnp.array([[[0.0, 1.0]]])
    >>> print(f"{decision_ensemble_loss(student, [one, two]):.3f}")
    19.298
    >>> loss = decision_ensemble_loss(student, [one, two], reduce="mean")
    >>> print(f"{abs(loss):.3f}")
    0.000

  Args:
    student_logits: cosines `[n, p, k]`.
    teacher_logits: cosines `[n, q_m, k_m]` of every teacher.
    weights: w_m, numbers, or functions of the step already applied; None is 1
      for each. "mean" with only zeros is 0.
    temperatures: `T`, or `T_m` of each.
    scale: factor on all logits.
    reduce: "sum" or "mean".
    overlaps: `[p, q_m]` of each teacher, by which its distributions are mixed
      (see `parts.overlap_matrix`); None, or None for one, compares the first
      parts. "mean" then uses the parts that all networks have.
    classes: for each teacher the student's and the teacher's indices of the
      common classes, or None where all agree (see `common_logits`). "mean" is
      then the weighted mean of divergences, of the same gradient where the
      subsets are equal.

  Returns:
    Scalar float32, the mean over samples and parts.

  Raises:
    ValueError: shapes differ, or lists of unequal length, or no common class,
      or an unknown `reduce`.
  """
  count = len(teacher_logits)
  if reduce not in ("sum", "mean"):
    raise ValueError(f"reduce is 'sum' or 'mean', not {reduce!r}")
  weights = _one_each(weights, count, "weights", 1.0)
  overlaps = _one_each(overlaps, count, "overlaps", None)
  classes = _one_each(classes, count, "classes", None)
  if not isinstance(temperatures, Sequence):
    temperatures = [temperatures] * count
  temperatures = _one_each(temperatures, count, "temperatures", 4.0)
  if reduce == "mean" and all(common is None for common in classes):
    return _divergence_from_ensemble(
      student_logits, teacher_logits, weights, temperatures, scale, overlaps
    )
  values = [
    decision.decision_loss(
      *common_logits(student_logits, teacher, common),
      temperature,
      scale,
      overlap=overlap,
    )
    for teacher, temperature, overlap, common in zip(
      teacher_logits, temperatures, overlaps, classes, strict=True
    )
  ]
  reducer = weighted_sum if reduce == "sum" else weighted_mean
  return reducer(values, weights)


def boundary_ensemble_loss(
  student_embedding: jax.Array,
  teacher_embeddings: Sequence[jax.Array],
  weights: Sequence[Scalar] | None = None,
  mode: str = "sum",
  margin: float = 1.0,
  overlaps: Overlaps | None = None,
  centre: str = "none",
  reduce: str = "sum",
) -> jax.Array:
  """GaitKD's boundary loss of several teachers (arXiv 2604.26255).

  "sum" is GaitKD's code, the weighted sum of `boundary_loss` of each teacher.
  The others are our definitions: "vote" takes for each channel the side of the
  larger weight, the negative one if both weigh the same; "agree" is the vote on
  channels where all teachers of a positive weight agree, and 0 elsewhere. A
  vote depends only on the proportions of the weights; if all are 0, so is the
  loss.

  Examples:
    Two of three teachers are positive in the only channel.

    >>> import jax.numpy as jnp
    >>> student = jnp.array([[[0.5]]])
    >>> teachers = [jnp.array([[[x]]]) for x in (1.0, 2.0, -1.0)]
    >>> for mode in ("sum", "vote", "agree"):
    ...   print(boundary_ensemble_loss(student, teachers, mode=mode))
    2.75
    0.25
    0.0

  Args:
    student_embedding: `[n, p, d]`.
    teacher_embeddings: `[n, q_m, d]` of every teacher; only signs matter.
    weights: w_m >= 0, numbers, or functions of the step already applied; None
      is 1 for each.
    mode: "sum", "vote" or "agree".
    margin: see `boundary_loss`.
    overlaps: `[p, q_m]` of each teacher (see `boundary_loss`); None, or None
      for one, compares the first parts. "vote" and "agree" then use the parts
      that all networks have.
    centre: see `boundary_loss`.
    reduce: see `boundary_loss`.

  Returns:
    Scalar float32, the mean over samples and parts, channels as `reduce` says.

  Raises:
    ValueError: shapes differ, or lists of unequal length, or an unknown mode.
  """
  count = len(teacher_embeddings)
  if mode not in ("sum", "vote", "agree"):
    raise ValueError(f"mode is 'sum', 'vote' or 'agree', not {mode!r}")
  weights = _one_each(weights, count, "weights", 1.0)
  overlaps = _one_each(overlaps, count, "overlaps", None)
  pairs = list(zip(teacher_embeddings, overlaps, strict=True))
  if mode == "sum":
    values = [
      boundary.boundary_loss(
        student_embedding, teacher, margin, overlap, centre, reduce
      )
      for teacher, overlap in pairs
    ]
    return weighted_sum(values, weights)
  sides = [
    boundary.sides(student_embedding, teacher, overlap)
    for teacher, overlap in pairs
  ]
  used = min(above.shape[1] for above, _ in sides)
  above, below = (
    sum(w * side[:, :used] for w, side in zip(weights, part, strict=True))
    for part in zip(*sides, strict=True)
  )
  student = boundary.centred(student_embedding, centre)
  to_above, to_below = boundary.squared_distances(student[:, :used], margin)
  # Sums of equal weights in another order differ by a rounding.
  wins = above - below > 1e-6 * (above + below)
  term = jnp.where(wins, to_above, to_below)
  counts = above + below > 0.0
  if mode == "agree":
    counts &= (above == 0.0) | (below == 0.0)
  term = jnp.where(counts, term, 0.0)
  return boundary.over_channels(term, reduce)


def _divergence_from_ensemble(
  student: jax.Array,
  teachers: Sequence[jax.Array],
  weights: Sequence[Scalar],
  temperatures: Sequence[Scalar],
  scale: float,
  overlaps: Overlaps,
) -> jax.Array:
  """The divergence from the weighted mean of the teachers' distributions."""
  weights = _normalised(weights)
  distributions = [
    decision.teacher_probabilities(student, teacher, t, scale, overlap)
    for teacher, t, overlap in zip(
      teachers, temperatures, overlaps, strict=True
    )
  ]
  shared = min(p_t.shape[1] for p_t in distributions)
  temperature = weighted_sum(
    [jnp.asarray(t, jnp.float32) for t in temperatures], weights
  )
  # All weights 0: any temperature will do, the target is 0 everywhere.
  temperature = jnp.where(temperature > 0.0, temperature, 1.0)
  log_s = decision.log_probabilities(student[:, :shared], temperature, scale)
  p_t = weighted_sum([p_t[:, :shared] for p_t in distributions], weights)
  divergence = optax.losses.kl_divergence(log_s, p_t)
  return decision.squared(temperature) * jnp.mean(divergence)


def _one_each(
  values: Sequence[_T] | None, count: int, what: str, default: _T
) -> list[_T]:
  values = [default] * count if values is None else list(values)
  if not count or len(values) != count:
    raise ValueError(f"{len(values)} {what} for {count} teachers")
  return values


def _normalised(weights: Sequence[Scalar]) -> list[jax.Array]:
  arrays = [jnp.asarray(w, jnp.float32) for w in weights]
  total = jnp.asarray(sum(arrays))
  return [w / jnp.where(total > 0.0, total, 1.0) for w in arrays]
