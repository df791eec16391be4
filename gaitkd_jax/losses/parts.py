"""How the parts of two networks are matched.

A part is a horizontal strip of the body. Networks differ in their number of
strips: `common_parts` pairs them by index, as GaitKD's code does;
`overlap_matrix` and `mix_parts` pair them by where they lie.
"""

from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np

Edges = Sequence[tuple[float, float]]


def common_parts(
  student: jax.Array,
  teacher: jax.Array,
  what: str,
  same_width: bool = True,
) -> tuple[jax.Array, jax.Array]:
  """Keeps the first parts of both, as many as both have.

  This is what GaitKD's code does with unequal numbers of parts.

  Args:
    student: `[n, p, c]`.
    teacher: `[n, q, c]`.
    what: the arrays are, for the error message.
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


def strip_edges(bins: Sequence[int]) -> list[tuple[float, float]]:
  """Where the strips of a horizontal pyramid lie.

  Examples:
    >>> strip_edges((2, 1))
    [(0.0, 0.5), (0.5, 1.0), (0.0, 1.0)]

  Args:
    bins: the number of strips at each level, in the order of the network's
      parts, such as `(16, 8, 4, 2, 1)`; `(16,)` is one level of 16 strips.

  Returns:
    `(top, bottom)` of every strip, as shares of the height.
  """
  return [
    (part / count, (part + 1) / count)
    for count in bins
    for part in range(count)
  ]


def overlap_matrix(
  student_parts: int | Edges, teacher_parts: int | Edges
) -> np.ndarray:
  """How much of each student part each teacher part covers.

  The definition is ours: the length of the overlap of two strips, with every
  row normalised to 1. Equal strips give the identity; for 16 student strips
  and 15 teacher strips, row 7 has .467 at column 6 and .533 at column 7.

  Examples:
    >>> overlap_matrix(4, 2)
    array([[1., 0.],
           [1., 0.],
           [0., 1.],
           [0., 1.]], dtype=float32)

  Args:
    student_parts: the number of strips of equal height, or `(top, bottom)` of
      every part, as shares of the height (see `strip_edges`).
    teacher_parts: the same of the teacher.

  Returns:
    float32 `[p, q]`.

  Raises:
    ValueError: a part is empty, or no teacher part covers a student part.
  """
  student = _edges(student_parts, "student")
  teacher = _edges(teacher_parts, "teacher")
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


def mix_parts(teacher: jax.Array, overlap: jax.Array | np.ndarray) -> jax.Array:
  """Mixes what a teacher has for its parts, for the student's parts.

  Of decisions mix the probabilities, not the logits: a mixture of
  distributions is a distribution, and keeps the modes of both strips.

  Args:
    teacher: `[n, q, c]`.
    overlap: `[p, q]` with rows that sum to 1 (see `overlap_matrix`).

  Returns:
    float32 `[n, p, c]`.

  Raises:
    ValueError: the overlap has another number of teacher parts.
  """
  if np.ndim(overlap) != 2 or np.shape(overlap)[1] != teacher.shape[1]:
    raise ValueError(
      f"overlap {np.shape(overlap)} does not fit the parts of teacher "
      f"{teacher.shape}"
    )
  return jnp.einsum(
    "pq,nqc->npc",
    jnp.asarray(overlap, jnp.float32),
    teacher.astype(jnp.float32),
    precision=jax.lax.Precision.HIGHEST,
  )


def check_mixed(
  student: jax.Array, mixed: jax.Array, teacher: jax.Array, what: str
) -> None:
  """Raises a ValueError unless mixed parts have the student's shape.

  Args:
    student: `[n, p, c]`.
    mixed: what `mix_parts` made of `teacher`.
    teacher: `[n, q, c]`, for the message.
    what: the arrays are, for the message.
  """
  if student.shape != mixed.shape:
    raise ValueError(
      f"student {what} {student.shape} and teacher {what} {teacher.shape}, "
      f"mixed to {mixed.shape[1]} parts, differ"
    )


def _edges(parts: int | Edges, who: str) -> np.ndarray:
  edges = np.asarray(
    strip_edges([parts]) if isinstance(parts, int) else parts, np.float64
  ).reshape(-1, 2)
  if not len(edges) or not (edges[:, 0] < edges[:, 1]).all():
    raise ValueError(f"{who} parts need a top above their bottom: {parts}")
  return edges
