"""How the parts of two networks are matched."""

import jax


def common_parts(
  student: jax.Array, teacher: jax.Array, what: str
) -> tuple[jax.Array, jax.Array]:
  """Cuts both to the first parts, as many as both have, as GaitKD's code does.

  Args:
    student: `[n, p, c]`.
    teacher: `[n, q, c]`.
    what: they are, for the error.

  Returns:
    Two arrays `[n, min(p, q), c]`.

  Raises:
    ValueError: another axis differs.
  """
  if student.ndim != 3 or student.shape[::2] != teacher.shape[::2]:
    raise ValueError(
      f"student {what} {student.shape} and teacher {what} {teacher.shape} "
      "differ in more than their parts"
    )
  parts = min(student.shape[1], teacher.shape[1])
  return student[:, :parts], teacher[:, :parts]
