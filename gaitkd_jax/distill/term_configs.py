"""Makes terms of what a config says, and finds what cannot work."""

from collections.abc import Mapping
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp

from gaitkd_jax import errors
from gaitkd_jax.distill import context as context_lib
from gaitkd_jax.distill import kinds
from gaitkd_jax.distill import pairing
from gaitkd_jax.distill import teachers as teachers_lib
from gaitkd_jax.distill import terms
from gaitkd_jax.training import schedules

Teachers = Mapping[str, teachers_lib.Teacher]
Pairings = Mapping[str, pairing.Pairing]


def create_levels(
  config: Mapping[str, Any],
  teachers: Teachers,
  pairings: Pairings,
  scale: float,
) -> list[terms.Term]:
  """Builds the terms whose weights `config.teachers` gives: GaitKD's levels.

  A level leaves out teachers whose outputs it cannot compare, and teachers of
  weight 0.

  Args:
    config: `config.distillation`, the mode of each level.
    teachers: by name.
    pairings: of the student with each teacher.
    scale: of the student's cross entropy.

  Returns:
    The levels that have a teacher left.

  Raises:
    errors.UserError: an unknown mode, a teacher without the array that a level
      looks at, or teachers that vote by unlike options.
  """
  pairs = {name: pairings[name].abstract() for name in teachers}
  levels = []
  for name, kind in terms.KINDS.items():
    if not kind.of_teachers:
      continue
    mode = config.get(name, "sum")
    if mode not in ("sum", *kind.modes):
      raise errors.UserError(
        f"config.distillation.{name} is {mode!r}; give one of "
        f"{', '.join(('sum', *kind.modes))}"
      )
    members = {
      key: teacher
      for key, teacher in teachers.items()
      if kind.end_point in pairs[key].student
      and kind.end_point in pairs[key].teacher
    }
    given = dict(kind.of_teachers)
    weight_key = given.pop("weight")
    weights = {n: getattr(t, weight_key) for n, t in members.items()}
    level = terms.Term(
      name=name,
      kind=kind,
      weights={n: w for n, w in weights.items() if w is not None},
      options={
        n: {option: getattr(t, key) for option, key in given.items()}
        for n, t in members.items()
      },
      end_points=(kind.end_point, kind.end_point),
      scale=scale,
      mode=mode,
      members=len(members),
    )
    if level.weights:
      _check_level(level, pairs)
      levels.append(level)
  return levels


def _check_level(level: terms.Term, pairs: Mapping[str, pairing.Pair]) -> None:
  for name in level.weights:
    end_point = level.end_points_of(name)[1]
    if end_point not in pairs[name].teacher:
      raise errors.UserError(
        f"config.teachers.{name}.{level.name}_centre is {end_point}, and this "
        "teacher has none; give it num_classes, or set the centre to none"
      )
  options = [level.options[name] for name in level.weights]
  if level.mode not in ("sum", "mean") and any(
    o != options[0] for o in options
  ):
    raise errors.UserError(
      f"config.distillation.{level.name} is {level.mode}, but the teachers' "
      f"{level.name}_centre or {level.name}_reduce differ; make them agree"
    )


def create_terms(
  config: Mapping[str, Any],
  teachers: Teachers,
  pairings: Pairings,
  scale: float,
) -> list[terms.Term]:
  """Builds the terms of `config.terms`.

  Args:
    config: by name, mappings of `kind`, `weight` (a number or a schedule),
      `teacher` (a name; empty for all) and the options of the kind, which are
      the arguments of its loss; one that is a mapping is a schedule.
    teachers: by name.
    pairings: of the student with each teacher.
    scale: of the student's cross entropy.

  Returns:
    The terms whose weight is not the number 0.

  Raises:
    errors.UserError: an unknown kind, teacher or option, or outputs that the
      loss cannot compare.
  """
  found = []
  for name, values in config.items():
    term = _create_term(name, dict(values.items()), teachers, pairings, scale)
    if term.kind.other_clips is None:
      for teacher in term.options:
        _try(term, values["kind"], teacher, pairings[teacher])
    if term.weights:
      found.append(term)
  return found


def _create_term(
  name: str,
  values: dict[str, Any],
  teachers: Teachers,
  pairings: Pairings,
  scale: float,
) -> terms.Term:
  kind_name, teacher = values.pop("kind", ""), values.pop("teacher", "")
  weight = teachers_lib.create_weight(
    values.pop("weight", 1.0), f"terms.{name}.weight"
  )
  if kind_name not in terms.KINDS:
    raise errors.UserError(
      f"config.terms.{name}.kind is {kind_name!r}; give one of "
      f"{', '.join(sorted(terms.KINDS))}"
    )
  kind = terms.KINDS[kind_name]
  where = f"config.terms.{name} of kind {kind_name}"
  named = _teachers_of(where, name, kind, teacher, teachers)
  if kind.other_clips is not None:
    _check_other_clips(where, name, named, pairings)
  end_points = (kind.end_point, kind.end_point)
  if kind.any_end_point:
    end_points = tuple(values.pop("end_points", end_points))
  _check_cached(where, kind, named, end_points[1], teachers)
  defaults = kind.memory.options if kind.memory else {}
  settings = {key: values.pop(key, value) for key, value in defaults.items()}
  for key in values:
    if key not in kind.options:
      raise errors.UserError(
        f"{where} has no option {key}; it has "
        f"{', '.join([*kind.options, *defaults]) or 'none'}"
      )
  options = {
    key: schedules.create_schedule(value, f"terms.{name}.{key}")
    if hasattr(value, "items")
    else value
    for key, value in values.items()
  }
  return terms.Term(
    name=name,
    kind=kind,
    weights={} if weight is None else dict.fromkeys(named, weight),
    options=dict.fromkeys(named, options),
    settings=settings,
    end_points=end_points,
    scale=scale,
    members=len(named),
  )


def _teachers_of(
  where: str, name: str, kind: kinds.Kind, teacher: str, teachers: Teachers
) -> tuple[str, ...]:
  """The names of a term's teachers; ("",) where it needs none."""
  named = (teacher,) if teacher else tuple(teachers)
  if kind.alone:
    named = ("",)
  unknown = [n for n in named if n and n not in teachers]
  if unknown or not named:
    raise errors.UserError(
      f"{where} needs a teacher"
      + (f", and {unknown[0]} is none" if unknown else "")
      + "; config.teachers has "
      + (", ".join(teachers) or "none")
    )
  if kind.other_clips is not None and len(named) > 1:
    raise errors.UserError(
      f"{where} takes one teacher; name it in config.terms.{name}.teacher"
    )
  return named


def _check_other_clips(
  where: str, name: str, named: Sequence[str], pairings: Pairings
) -> None:
  """Other clips are compared as the teacher's logits are."""
  for teacher in named:
    if teacher and not pairings[teacher].same_logits:
      raise errors.UserError(
        f"{where} needs a teacher with the student's classes and scale, which "
        f"{teacher} has not"
      )


def _check_cached(
  where: str,
  kind: kinds.Kind,
  named: Sequence[str],
  end_point: str,
  teachers: Teachers,
) -> None:
  """A cache holds embeddings and logits only, and of its own clips."""
  cached = [n for n in named if n and teachers[n].lookup is not None]
  held = kind.other_clips is None and end_point in ("embedding", "logits")
  if cached and not held:
    raise errors.UserError(
      f"{where} needs to run teacher {cached[0]}, whose outputs are read from "
      "a cache; leave the cache out, or give another kind"
    )


def _try(
  term: terms.Term, kind: str, teacher: str, paired: pairing.Pairing
) -> None:
  """Finds out, from shapes alone, what would fail in the first step."""
  where = f"config.terms.{term.name} of kind {kind}"
  # Four clips of two people, so that every loss has its pairs.
  pair = paired.abstract(clips=4)
  for who, outputs, key in zip(
    ("the student", f"teacher {teacher}"),
    (pair.student, pair.teacher),
    term.end_points_of(teacher),
    strict=True,
  ):
    if key not in outputs:
      raise errors.UserError(
        f"{where}: {who} has no {key}; it has {', '.join(outputs)}"
      )
  if (
    term.end_points_of(teacher)[1] == "logits"
    and "labels" in term.kind.arguments
    and paired.classes is not None
  ):
    raise errors.UserError(
      f"{where} looks at the truth, but teacher {teacher} knows other subjects "
      "than the student; use a kind that does not, such as kd or gdkd"
    )

  def run(student: pairing.Outputs, outputs: pairing.Outputs) -> Any:
    context = context_lib.Context(
      student=student,
      teacher_outputs={teacher: outputs},
      labels=jnp.array([0, 0, 1, 1]),
      step=jnp.zeros([], jnp.int32),
    )
    compared = pairing.Pair(student, outputs, pair.overlap)
    memory = term.init_memory(compared)
    return term.compare(context, teacher, compared, memory)

  try:
    jax.eval_shape(run, pair.student, pair.teacher)
  except (ValueError, TypeError) as e:
    text = str(e).splitlines()[0]
    raise errors.UserError(
      f"{where} cannot compare the student with teacher {teacher}: {text}"
    ) from e
