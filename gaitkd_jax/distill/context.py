"""What an objective is computed from, in one step."""

from collections.abc import Callable
from collections.abc import Mapping
import dataclasses

import jax

from gaitkd_jax.distill import teachers as teachers_lib


@dataclasses.dataclass(frozen=True)
class Context:
  """What an objective is computed from, in one step.

  Attributes:
    student: the student's outputs.
    teacher_outputs: the teachers' outputs, by name.
    labels: int `[n]`.
    step: int32 scalar.
    batch: the clips; None where no term needs augmented copies of them.
    key: of random draws in this step.
    student_forward: the student's outputs, in training mode, for other clips.
    teachers_forward: the teachers' outputs for other clips, by name.
  """

  student: teachers_lib.Outputs
  teacher_outputs: Mapping[str, teachers_lib.Outputs]
  labels: jax.Array
  step: jax.Array
  batch: teachers_lib.Batch | None = None
  key: jax.Array | None = None
  student_forward: (
    Callable[[teachers_lib.Batch], teachers_lib.Outputs] | None
  ) = None
  teachers_forward: (
    Callable[[teachers_lib.Batch], Mapping[str, teachers_lib.Outputs]] | None
  ) = None
