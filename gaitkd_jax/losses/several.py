"""Several teachers of one student: ensembles of decisions and of boundaries."""

from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np
import optax

from gaitkd_jax.losses import decision
from gaitkd_jax.losses import parts

Scalar = float | jax.Array
Overlaps = Sequence[np.ndarray | jax.Array | None]
Classes = Sequence[tuple[np.ndarray, np.ndarray] | None]


def decision_ensemble_loss(
  student_logits: jax.Array,
  teacher_logits: Sequence[jax.Array],
  weights: Sequence[Scalar] | None = None,
  temperatures: Scalar | Sequence[Scalar] = 4.0,
  scale: float = 16.0,
  reduce: str = "sum",
  overlaps: Overlaps | None = None,
  classes: Classes | None = None,
) -> jax.Array:
  """GaitKD's decision loss of several teachers (arXiv 2604.26255).

  "sum" is GaitKD's code, `sum_m w_m T_m^2 KL(P_m || P_s)`. "mean" is `T^2
  KL(sum_m w_m P_m || P_s)` with the weights divided by their sum: the
  divergence from the ensemble. With weights that sum to 1 and one temperature
  both have the same gradient, for the first exceeds the second by `sum_m w_m
  KL(P_m || sum_m w_m P_m)`, which does not depend on the student. Of unequal
  temperatures "mean" softens each teacher by its own and the student by their
  weighted mean (our definition).

  Args:
    student_logits: cosines `[n, p, k]`.
    teacher_logits: cosines `[n, q_m, k_m]` of every teacher.
    weights: w_m, numbers or functions of the step already applied; None is 1
      for each. "mean" with only zeros is 0.
    temperatures: `T`, or `T_m` of each.
    scale: factor on all logits.
    reduce: "sum" or "mean".
    overlaps: `[p, q_m]` of each teacher, by which its distributions are mixed
      (see `parts.overlap_matrix`); None, or None for one, compares the first
      parts. "mean" then uses the parts that all networks have.
    classes: for each teacher the student's and its own indices of the common
      classes, or None where all agree. Both distributions are renormalised over
      the common ones. "mean" is then the weighted mean of divergences, of the
      same gradient where the subsets are equal.

  Returns:
    Scalar float32, the mean over samples and parts.

  Raises:
    ValueError: shapes differ, or lists of unequal length, or no common class,
      or an unknown `reduce`.
  """
  count = len(teacher_logits)
  if reduce not in ("sum", "mean"):
    raise ValueError(f"reduce is 'sum' or 'mean', not {reduce!r}")
  weights = _each(weights, count, "weights", 1.0)
  overlaps = _each(overlaps, count, "overlaps", None)
  classes = _each(classes, count, "classes", None)
  if not isinstance(temperatures, Sequence):
    temperatures = [temperatures] * count
  temperatures = _each(temperatures, count, "temperatures", 4.0)
  if reduce == "mean":
    weights = _normalised(weights)
  pairs = [
    _decision_pair(student_logits, *arguments, scale)
    for arguments in zip(
      teacher_logits, temperatures, overlaps, classes, strict=True
    )
  ]
  value = jnp.zeros([], jnp.float32)
  if reduce == "mean" and all(subset is None for subset in classes):
    shared = min(p_t.shape[1] for _, p_t in pairs)
    temperature = sum(
      w * jnp.asarray(t, jnp.float32)
      for w, t in zip(weights, temperatures, strict=True)
    )
    # All weights 0: any temperature will do, the target is 0 everywhere.
    temperature = jnp.where(temperature > 0.0, temperature, 1.0)
    log_s = decision.log_probabilities(
      student_logits[:, :shared], temperature, scale
    )
    p_t = sum(
      w * p_t[:, :shared] for w, (_, p_t) in zip(weights, pairs, strict=True)
    )
    divergence = optax.losses.kl_divergence(log_s, p_t)
    return decision.squared(temperature) * jnp.mean(divergence)
  for weight, temperature, (log_s, p_t) in zip(
    weights, temperatures, pairs, strict=True
  ):
    divergence = optax.losses.kl_divergence(log_s, p_t)
    value += weight * decision.squared(temperature) * jnp.mean(divergence)
  return value


def boundary_ensemble_loss(
  student_embedding: jax.Array,
  teacher_embeddings: Sequence[jax.Array],
  weights: Sequence[Scalar] | None = None,
  mode: str = "sum",
  margin: float = 1.0,
  overlaps: Overlaps | None = None,
) -> jax.Array:
  """GaitKD's boundary loss of several teachers (arXiv 2604.26255).

  "sum" is GaitKD's code, the weighted sum of `boundary_loss` of each teacher.
  The others are our definitions: "vote" takes one side for each channel, that
  of the larger weight, a tie being negative; "agree" is the vote on channels
  where all teachers of a positive weight agree, nothing elsewhere. Of a vote
  only the proportions of the weights matter; nobody votes with only zeros.

  Args:
    student_embedding: `[n, p, d]`.
    teacher_embeddings: `[n, q_m, d]` of every teacher; only signs matter.
    weights: w_m >= 0, numbers or functions of the step already applied; None
      is 1 for each.
    mode: "sum", "vote" or "agree".
    margin: see `boundary_loss`.
    overlaps: `[p, q_m]` of each teacher (see `parts.overlap_matrix`): every
      teacher part that a student part overlaps is a source of its own weight
      A_ij; embeddings of two strips are never averaged. None, or None for one,
      compares the first parts. "vote" and "agree" then use the parts that all
      networks have.

  Returns:
    Scalar float32, the mean over samples and parts of the sum over channels.

  Raises:
    ValueError: shapes differ, or lists of unequal length, or an unknown mode.
  """
  count = len(teacher_embeddings)
  if mode not in ("sum", "vote", "agree"):
    raise ValueError(f"mode is 'sum', 'vote' or 'agree', not {mode!r}")
  weights = _each(weights, count, "weights", 1.0)
  overlaps = _each(overlaps, count, "overlaps", None)
  student = student_embedding.astype(jnp.float32)
  above, below = [], []
  for teacher, overlap in zip(teacher_embeddings, overlaps, strict=True):
    up, down = _sides(student_embedding, teacher, overlap)
    above.append(up)
    below.append(down)
  low = jnp.square(jax.nn.relu(student + margin))
  high = jnp.square(jax.nn.relu(margin - student))
  if mode == "sum":
    value = jnp.zeros([], jnp.float32)
    for weight, up, down in zip(weights, above, below, strict=True):
      used = up.shape[1]
      term = up * high[:, :used] + down * low[:, :used]
      value += weight * jnp.mean(jnp.sum(term, axis=-1))
    return value
  used = min(up.shape[1] for up in above)
  up, down = (
    sum(w * side[:, :used] for w, side in zip(weights, sides, strict=True))
    for sides in (above, below)
  )
  # Sums of equal weights in another order differ by a rounding.
  wins = up - down > 1e-6 * (up + down)
  term = jnp.where(wins, high[:, :used], low[:, :used])
  taken = up + down > 0.0
  if mode == "agree":
    taken &= (up == 0.0) | (down == 0.0)
  term = jnp.where(taken, term, 0.0)
  return jnp.mean(jnp.sum(term, axis=-1))


def _decision_pair(student, teacher, temperature, overlap, classes, scale):
  """The student's log distribution, and the teacher's for the same parts."""
  if classes is not None:
    ours, theirs = (np.asarray(index) for index in classes)
    if not len(ours) or len(ours) != len(theirs):
      raise ValueError(
        f"student logits {student.shape} and teacher logits {teacher.shape} "
        f"have {len(ours)} and {len(theirs)} common classes"
      )
    student, teacher = student[..., ours], teacher[..., theirs]
  teacher = jax.lax.stop_gradient(teacher)
  if overlap is None:
    student, teacher = parts.common_parts(student, teacher, "logits")
  p_t = jnp.exp(decision.log_probabilities(teacher, temperature, scale))
  if overlap is not None:
    p_t = parts.mix_probabilities(p_t, overlap)
    _check_equal(student, p_t, teacher, "logits")
  return decision.log_probabilities(student, temperature, scale), p_t


def _sides(student, teacher, overlap):
  """The weights of a teacher's sources above zero, and of the others."""
  teacher = jax.lax.stop_gradient(teacher)
  if overlap is None:
    _, teacher = parts.common_parts(student, teacher, "embedding")
    up = (teacher > 0).astype(jnp.float32)
    return up, 1.0 - up
  up = parts.mix_probabilities(teacher > 0, overlap)
  down = parts.mix_probabilities(teacher <= 0, overlap)
  _check_equal(student, up, teacher, "embedding")
  return up, down


def _check_equal(student, mixed, teacher, what):
  if student.shape != mixed.shape:
    raise ValueError(
      f"student {what} {student.shape} and teacher {what} {teacher.shape}, "
      f"mixed to {mixed.shape[1]} parts, differ"
    )


def _each(values, count, what, default):
  values = [default] * count if values is None else list(values)
  if not count or len(values) != count:
    raise ValueError(f"{len(values)} {what} for {count} teachers")
  return values


def _normalised(weights):
  weights = [jnp.asarray(w, jnp.float32) for w in weights]
  total = sum(weights)
  return [w / jnp.where(total > 0.0, total, 1.0) for w in weights]
