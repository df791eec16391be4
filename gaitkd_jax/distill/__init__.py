"""Teachers, how they are brought beside the student, and what they ask of it.

A teacher is a module, frozen variables and schedules for its weights. Its
variables live in a pytree of their own: they are never differentiated, never
in the optimiser's state, never in the student's checkpoint. What only training
needs besides - connectors, memories of objectives - are the student's *aids*:
they are in the state and its checkpoints, but not in the item "model".
"""

from gaitkd_jax.distill.class_mapping import NO_CLASSES
from gaitkd_jax.distill.class_mapping import Classes
from gaitkd_jax.distill.class_mapping import common_classes
from gaitkd_jax.distill.class_mapping import read_names
from gaitkd_jax.distill.class_mapping import teacher_classes
from gaitkd_jax.distill.compatible import check_compatible
from gaitkd_jax.distill.objective import Context
from gaitkd_jax.distill.objective import Objective
from gaitkd_jax.distill.objective import create_objective
from gaitkd_jax.distill.teachers import Outputs
from gaitkd_jax.distill.teachers import Teacher
from gaitkd_jax.distill.teachers import create_teachers
from gaitkd_jax.distill.teachers import output_shapes
from gaitkd_jax.distill.teachers import restore_teachers
from gaitkd_jax.distill.teachers import teacher_outputs

__all__ = [
  "Classes",
  "Context",
  "NO_CLASSES",
  "Objective",
  "Outputs",
  "Teacher",
  "check_compatible",
  "common_classes",
  "create_objective",
  "create_teachers",
  "output_shapes",
  "read_names",
  "restore_teachers",
  "teacher_classes",
  "teacher_outputs",
]
