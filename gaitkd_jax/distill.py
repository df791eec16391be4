"""Teachers, and the terms by which they teach.

A teacher is a module, frozen variables and schedules for its weights. Its
variables live in a pytree of their own: they are never differentiated, never
in the optimiser's state, never in the student's checkpoint.
"""

from collections.abc import Callable
from collections.abc import Mapping
import dataclasses
from typing import Any

from flax import linen as nn
import jax
import jax.numpy as jnp

from gaitkd_jax import errors
from gaitkd_jax import losses
from gaitkd_jax import models
from gaitkd_jax import schedules
from gaitkd_jax.models import inputs

Outputs = Mapping[str, jax.Array]


@dataclasses.dataclass(frozen=True)
class Teacher:
  """A frozen network and how much it says.

  Attributes:
    name: its key in `config.teachers`.
    module: the network.
    decision_weight: of the decision loss, a function of the step.
    boundary_weight: of the boundary loss, a function of the step.
    temperature: of the decision loss, a function of the step.
  """

  name: str
  module: nn.Module
  decision_weight: Callable[[jax.Array], jax.Array]
  boundary_weight: Callable[[jax.Array], jax.Array]
  temperature: Callable[[jax.Array], jax.Array]


def create_teachers(
  config: Mapping[str, Any], dtype: str = "float32"
) -> dict[str, Teacher]:
  """Builds the teachers of `config.teachers`, without their variables."""
  teachers = {}
  for name, teacher in config.items():
    teachers[name] = Teacher(
      name=name,
      module=models.create_model(teacher["model"], dtype),
      **{
        key: schedules.create_schedule(teacher[key], f"teachers.{name}.{key}")
        for key in ("decision_weight", "boundary_weight", "temperature")
      },
    )
  return teachers


def check_compatible(
  student: nn.Module,
  student_name: str,
  teachers: Mapping[str, Teacher],
) -> list[str]:
  """Compares the outputs of the teachers with the student's.

  Returns:
    What is left out because one of two networks has not got it, a line each:
    the decision loss without classifiers, and parts beyond those of both.

  Raises:
    errors.UserError: a teacher's outputs do not fit the student's.
  """
  ours, notes = _output_shapes(student), []
  for name, teacher in teachers.items():
    theirs = _output_shapes(teacher.module)
    for key, axis in (("embedding", "channels"), ("logits", "classes")):
      if key not in ours or key not in theirs:
        who = "the student" if key not in ours else f"teacher {name}"
        notes.append(
          f"{who} has no classifier: of teacher {name} only the boundary loss"
          " applies"
        )
      elif ours[key][-1] != theirs[key][-1]:
        raise errors.UserError(
          f"{key} of student {student_name} has {ours[key][-1]} {axis} and "
          f"that of teacher {name} {theirs[key][-1]}; make config.model and "
          f"config.teachers.{name}.model agree"
        )
    parts = ours["embedding"][1], theirs["embedding"][1]
    if parts[0] != parts[1]:
      notes.append(
        f"student {student_name} has {parts[0]} parts and teacher {name} "
        f"{parts[1]}: the first {min(parts)} of both are compared"
      )
  return notes


def teacher_outputs(
  teachers: Mapping[str, Teacher],
  variables: Mapping[str, Any],
  batch: Mapping[str, jax.Array],
) -> dict[str, Outputs]:
  """Runs every teacher on the student's clips, in evaluation mode.

  Each takes its own modalities of a clip.
  """
  return {
    name: jax.lax.stop_gradient(
      teacher.module.apply(
        variables[name],
        inputs.network_input(batch, teacher.module.in_channels),
        batch.get("lengths"),
      )
    )
    for name, teacher in teachers.items()
  }


def distillation_loss(
  teachers: Mapping[str, Teacher],
  student: Outputs,
  taught: Mapping[str, Outputs],
  labels: jax.Array,
  step: jax.Array,
  scale: float = 16.0,
) -> tuple[jax.Array, dict[str, jax.Array]]:
  """GaitKD's objective: the sum over teachers of weighted terms.

  Of unequal numbers of parts the first of both are compared, as in GaitKD's
  code. Without logits on either side there is no decision term.

  Args:
    teachers: by name.
    student: its "embedding" and, if it classifies, "logits".
    taught: the same of every teacher.
    labels: int `[n]`, for the teachers' own accuracy.
    step: of the schedules.
    scale: of the classifier's cross entropy, which calibrates the logits.

  Returns:
    The loss, and the unweighted terms by name. "teacher_accuracy/<name>" and
    "teacher_kl/<name>" (divergence at temperature 1) show a wrong checkpoint at
    the first step.
  """
  total = jnp.zeros([], jnp.float32)
  metrics = {}
  for name, teacher in teachers.items():
    ours, theirs = student, taught[name]
    if "logits" in ours and "logits" in theirs:
      decision = losses.decision_loss(
        ours["logits"], theirs["logits"], teacher.temperature(step), scale
      )
      total += teacher.decision_weight(step) * decision
      metrics[f"decision/{name}"] = decision
      metrics[f"teacher_kl/{name}"] = losses.decision_loss(
        ours["logits"], theirs["logits"], 1.0, scale
      )
    boundary = losses.boundary_loss(ours["embedding"], theirs["embedding"])
    total += teacher.boundary_weight(step) * boundary
    metrics[f"boundary/{name}"] = boundary
    if "logits" in theirs:
      metrics[f"teacher_accuracy/{name}"] = losses.part_accuracy(
        theirs["logits"], labels
      )
  return total, metrics


def _output_shapes(module: nn.Module) -> dict[str, tuple[int, ...]]:
  shape = (1, 2, 64, 44, module.in_channels)
  x = jax.ShapeDtypeStruct(shape, jnp.float32)
  out, _ = jax.eval_shape(module.init_with_output, jax.random.key(0), x)
  return {key: value.shape for key, value in out.items()}
