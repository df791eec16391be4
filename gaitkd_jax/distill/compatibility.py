"""Whether a student can learn from its teachers."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from gaitkd_jax import errors
from gaitkd_jax import losses
from gaitkd_jax import models
from gaitkd_jax.distill import teachers as teachers_lib


def check_compatible(
  student: models.GaitNetwork,
  student_name: str,
  teachers: Mapping[str, teachers_lib.Teacher],
  distillation: Mapping[str, Any] | None = None,
  ordered: bool = True,
) -> list[str]:
  """Compares the outputs of the teachers with the student's.

  Args:
    student: the network.
    student_name: for messages.
    teachers: by name.
    distillation: `config.distillation`; None is the default.
    ordered: whether clips hold frames in their order.

  Returns:
    What is left out because one of two networks lacks it, a line each: the
    decision loss without classifiers, and parts that only one network has.

  Raises:
    errors.UserError: a teacher's outputs do not fit the student's.
  """
  parts_rule = (distillation or {}).get("parts", "truncate")
  boundary = (distillation or {}).get("boundary", "sum")
  student_shapes, notes = teachers_lib.output_shapes(student), []
  for name, teacher in teachers.items():
    shapes = teacher.shapes
    if "logits" not in student_shapes or "logits" not in shapes:
      who = "the student"
      if "logits" in student_shapes:
        who = f"teacher {name}"
      notes.append(
        f"{who} has no classifier: of teacher {name} only the boundary loss"
        " applies"
      )
    widths = student_shapes["embedding"][-1], shapes["embedding"][-1]
    if widths[0] != widths[1] and not teacher.connector:
      raise errors.UserError(
        f"embedding of student {student_name} has {widths[0]} channels and "
        f"that of teacher {name} {widths[1]}; set "
        f"config.teachers.{name}.connector=True, or make config.model and "
        f"config.teachers.{name}.model agree"
      )
    if teacher.temporal and not ordered:
      raise errors.UserError(
        f"teacher {name} looks at frames in their order, but config.clip.kind "
        "draws them without; use an ordered kind, which does not matter to a "
        "student of sets"
      )
    if parts_rule == "truncate":
      note = _truncated(student_name, student, teacher)
      notes += [note] if note else []
  mixed = parts_rule == "overlap" and any(
    not t.same_parts(student) for t in teachers.values()
  )
  if boundary != "sum" and (
    mixed or any(t.connector for t in teachers.values())
  ):
    raise errors.UserError(
      f"config.distillation.boundary is {boundary}, which compares the "
      "teachers' channels with one another: that needs equal parts and no "
      "connectors; use sum"
    )
  return notes


def _truncated(
  student_name: str,
  student: models.GaitNetwork,
  teacher: teachers_lib.Teacher,
) -> str:
  """What pairing parts by their number leaves out, if anything."""
  edges, teacher_edges = (
    np.array(e) for e in (losses.strip_edges(student.bins), teacher.edges)
  )
  common = min(len(edges), len(teacher_edges))
  # Parts may drift apart by one strip's height, as GaitKD's 16 and 15 do.
  drift = np.abs(edges[:common] - teacher_edges[:common]).max()
  if teacher.same_parts(student):
    return ""
  note = (
    f"student {student_name} has {len(edges)} parts and teacher "
    f"{teacher.name} {len(teacher_edges)}: the first {common} of both are "
    "compared"
  )
  if drift > 1 / common + 1e-9:
    note += (
      ", though they lie at other heights of the body: "
      "config.distillation.parts=overlap compares by height"
    )
  return note
