"""Which classes a student shares with a teacher of other subjects."""

from collections.abc import Mapping
from collections.abc import Sequence
from typing import Any

import numpy as np

from gaitkd_jax import checkpoint
from gaitkd_jax import config as config_lib
from gaitkd_jax import errors
from gaitkd_jax import storage
from gaitkd_jax.distill import teachers as teachers_lib

# Positions of the common classes: the student's, and the teacher's.
Classes = tuple[np.ndarray, np.ndarray]
NO_CLASSES: Classes = (np.zeros([0], np.int32), np.zeros([0], np.int32))


def common_classes(
  teacher: str,
  student_names: Sequence[str],
  student_classes: int,
  teacher_names: Sequence[str],
  teacher_classes: int,
) -> Classes | None:
  """Finds the classes that a student and a teacher share, by their names.

  Args:
    teacher: its name, for messages.
    student_names: of the student's classes, in order; classes beyond these
      names belong to no subject.
    student_classes: number of the student's classes.
    teacher_names: of the teacher's classes, in order; empty if they are not
      known.
    teacher_classes: number of the teacher's classes.

  Returns:
    Positions in the student's logits and in the teacher's; None if both have
    the same classes in the same order. Where names are not known, equal numbers
    of classes are taken for the same classes.

  Raises:
    errors.UserError: no class is common, or numbers differ without names.
  """
  if not teacher_names:
    if student_classes == teacher_classes:
      return None
    raise errors.UserError(
      f"logits of the student have {student_classes} classes and those of "
      f"teacher {teacher} {teacher_classes}, and nothing says which are whose; "
      "give the names of the teacher's, one a line, as "
      f"config.teachers.{teacher}.classes"
    )
  if len(teacher_names) > teacher_classes:
    raise errors.UserError(
      f"teacher {teacher} has {teacher_classes} classes, but there are "
      f"{len(teacher_names)} names for them; see "
      f"config.teachers.{teacher}.classes"
    )
  same = list(student_names) == list(teacher_names)
  if same and student_classes == teacher_classes:
    return None
  place = {name: i for i, name in enumerate(teacher_names)}
  pairs = [(i, place[n]) for i, n in enumerate(student_names) if n in place]
  if not pairs:
    raise errors.UserError(
      f"teacher {teacher} knows none of the student's {len(student_names)} "
      f"subjects ({teacher_names[0]}, ... against {student_names[0]}, ...); "
      f"set config.teachers.{teacher}.decision_weight=0 to learn its "
      "boundaries only, or name its classes as the data do"
    )
  of_student, of_teacher = np.array(pairs, np.int32).T
  return of_student, of_teacher


def read_names(path: str, prefix: str) -> list[str]:
  """Reads the names of classes, one a line.

  Args:
    path: of the text file.
    prefix: the data set's name, for subjects that are written without one
      ("001" is "casiab/001").

  Returns:
    The names.

  Raises:
    errors.UserError: the file cannot be read, is empty or names one twice.
  """
  try:
    text = storage.read_text(path)
  except (OSError, UnicodeDecodeError) as e:
    raise errors.UserError(
      f"names of classes {path} cannot be read ({e}); give a text file with "
      "a subject a line"
    ) from e
  names = [line.strip() for line in text.splitlines() if line.strip()]
  names = [name if "/" in name else f"{prefix}/{name}" for name in names]
  if not names or len(set(names)) != len(names):
    what = "twice the same name" if names else "no name"
    raise errors.UserError(
      f"names of classes {path} hold {what}; give a subject a line"
    )
  return names


def teacher_classes(
  config: Any,
  teachers: Mapping[str, teachers_lib.Teacher],
  subjects: Sequence[str],
) -> dict[str, Classes | None]:
  """Which classes the student shares with every teacher that classifies.

  Args:
    config: the whole config.
    teachers: by name.
    subjects: names of the student's classes, in order.

  Returns:
    By teacher, see `common_classes`; teachers are left out if they or the
    student do not classify. A teacher without a common class has `NO_CLASSES`
    if it has no decision weight.

  Raises:
    errors.UserError: see `common_classes` and `read_names`.
  """
  found: dict[str, Classes | None] = {}
  student_classes = config.model.get("num_classes", 0)
  for name in teachers:
    teacher = config.teachers[name]
    num_classes = teachers[name].num_classes
    if not student_classes or not num_classes:
      continue
    names: Sequence[str] = ()
    if teacher.classes:
      names = read_names(teacher.classes, config.data.name)
    elif teacher.checkpoint not in ("", config_lib.RANDOM):
      names = checkpoint.restored_meta(teacher.checkpoint).get("classes", ())
    elif teachers[name].imported and num_classes == len(subjects):
      names = subjects  # its clips came with labels, of these very data
    try:
      common = common_classes(
        name, subjects, student_classes, names, num_classes
      )
    except errors.UserError:
      if teacher.decision_weight:
        raise
      common = NO_CLASSES  # the teacher has boundaries to teach
    found[name] = common
    if common:
      print(
        f"teacher {name} knows {len(common[0])} of the student's "
        f"{len(subjects)} subjects; its decisions are compared among them",
        flush=True,
      )
  return found
