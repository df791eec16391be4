"""Teachers, how they are brought beside the student, and what they ask of it.

A teacher is a module, frozen variables and schedules for its weights. Its
variables are in a pytree of their own: they are never differentiated, never in
the optimiser's state, never in the student's checkpoint. What training needs
beside the student - connectors to a teacher's width, memories of terms - is the
training state's `aux`: it is saved with the optimiser, not with the model.

`prepare` makes all of it from a config. The table of objectives is
`terms.KINDS`.
"""

from gaitkd_jax.distill.class_mapping import NO_CLASSES
from gaitkd_jax.distill.class_mapping import Classes
from gaitkd_jax.distill.class_mapping import common_classes
from gaitkd_jax.distill.class_mapping import read_names
from gaitkd_jax.distill.class_mapping import teacher_classes
from gaitkd_jax.distill.compatibility import check_compatible
from gaitkd_jax.distill.context import Context
from gaitkd_jax.distill.objective import Objective
from gaitkd_jax.distill.objective import create_objective
from gaitkd_jax.distill.preparation import Distillation
from gaitkd_jax.distill.preparation import Prepared
from gaitkd_jax.distill.preparation import prepare
from gaitkd_jax.distill.teachers import Outputs
from gaitkd_jax.distill.teachers import Teacher
from gaitkd_jax.distill.teachers import create_teachers
from gaitkd_jax.distill.teachers import output_shapes
from gaitkd_jax.distill.teachers import place_teachers
from gaitkd_jax.distill.teachers import restore_teachers
from gaitkd_jax.distill.teachers import teacher_outputs

__all__ = [
  "Classes",
  "Context",
  "Distillation",
  "NO_CLASSES",
  "Objective",
  "Outputs",
  "Prepared",
  "Teacher",
  "check_compatible",
  "common_classes",
  "create_objective",
  "create_teachers",
  "output_shapes",
  "place_teachers",
  "prepare",
  "read_names",
  "restore_teachers",
  "teacher_classes",
  "teacher_outputs",
]
