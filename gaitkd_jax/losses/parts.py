"""How the parts of two networks are matched.

A part is a horizontal strip of the body. Networks differ in their number of
strips: `common_parts` pairs them by index, as GaitKD's code does;
`overlap_matrix` and `mix_probabilities` pair them by where they lie.
"""

from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np

Boundaries = Sequence[tuple[float, float]]


def common_parts(
  student: jax.Array,
  teacher: jax.Array,
  what: str,
  same_width: bool = True,
) -> tuple[jax.Array, jax.Array]:
  """Cuts both to the first parts, as many as both have, as GaitKD's code does.

  Args:
    student: `[n, p, c]`.
    teacher: `[n, q, c]`.
    what: they are, for the error.
    same_width: whether the last axes must agree.

  Returns:
    Two arrays of `min(p, q)` parts.

  Raises:
    ValueError: another axis differs.
  """
  fits = (
    student.ndim == teacher.ndim == 3
    and student.shape[0] == teacher.shape[0]
    and (not same_width or student.shape[2] == teacher.shape[2])
  )
  if not fits:
    raise ValueError(
      f"student {what} {student.shape} and teacher {what} {teacher.shape} "
      "differ in more than their parts"
    )
  parts = min(student.shape[1], teacher.shape[1])
  return student[:, :parts], teacher[:, :parts]


def pyramid_boundaries(bins: Sequence[int]) -> list[tuple[float, float]]:
  """Where the parts of a horizontal pyramid lie.

  Args:
    bins: strips of each level, in the order of the network's parts, such as
      `(16, 8, 4, 2, 1)`; `(16,)` is one level of 16 strips.

  Returns:
    `(top, bottom)` of every part, as shares of the height.
  """
  return [
    (part / count, (part + 1) / count)
    for count in bins
    for part in range(count)
  ]


def overlap_matrix(
  student_parts: int | Boundaries, teacher_parts: int | Boundaries
) -> np.ndarray:
  """How much of each student part each teacher part covers.

  Our definition: the length of the overlap of two strips, rows normalised to
  1. The identity for equal strips; for 16 strips taught by 15, row 7 is .467
  and .533 on 6 and 7.

  Args:
    student_parts: the number of strips of equal height, or `(top, bottom)` of
      every part, as shares of the height (see `pyramid_boundaries`).
    teacher_parts: the same of the teacher.

  Returns:
    float32 `[p, q]`.

  Raises:
    ValueError: a part is empty or no teacher part covers a student part.
  """
  student = _boundaries(student_parts, "student")
  teacher = _boundaries(teacher_parts, "teacher")
  top = np.maximum(student[:, None, 0], teacher[None, :, 0])
  bottom = np.minimum(student[:, None, 1], teacher[None, :, 1])
  length = np.maximum(bottom - top, 0.0)
  # Strips that merely touch overlap by a rounding error.
  length[length < 1e-9] = 0.0
  total = length.sum(axis=1, keepdims=True)
  if not total.all():
    part = int(np.argmin(total))
    raise ValueError(
      f"student part {part} {tuple(student[part].tolist())} lies beyond every "
      f"teacher part of {teacher.tolist()}"
    )
  return (length / total).astype(np.float32)


def mix_probabilities(
  probabilities: jax.Array, overlap: jax.Array | np.ndarray
) -> jax.Array:
  """The teacher's distributions, mixed for the student's parts.

  Probabilities are mixed, not logits: a mixture stays a distribution and keeps
  the modes of both strips.

  Args:
    probabilities: `[n, q, k]`.
    overlap: `[p, q]`, rows summing to 1 (see `overlap_matrix`).

  Returns:
    float32 `[n, p, k]`.

  Raises:
    ValueError: the parts disagree.
  """
  check_overlap(probabilities, overlap)
  return jnp.einsum(
    "pq,nqk->npk",
    jnp.asarray(overlap, jnp.float32),
    probabilities.astype(jnp.float32),
    precision=jax.lax.Precision.HIGHEST,
  )


def check_overlap(teacher: jax.Array, overlap: jax.Array | np.ndarray) -> None:
  """Raises a ValueError unless `overlap` `[p, q]` fits teacher `[n, q, c]`."""
  if np.ndim(overlap) != 2 or np.shape(overlap)[1] != teacher.shape[1]:
    raise ValueError(
      f"overlap {np.shape(overlap)} does not fit the parts of teacher "
      f"{teacher.shape}"
    )


def _boundaries(parts: int | Boundaries, who: str) -> np.ndarray:
  if isinstance(parts, int):
    parts = pyramid_boundaries([parts])
  edges = np.asarray(parts, np.float64).reshape(-1, 2)
  if not len(edges) or not (edges[:, 0] < edges[:, 1]).all():
    raise ValueError(f"{who} parts need a top above their bottom: {parts}")
  return edges
