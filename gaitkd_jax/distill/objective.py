"""What teachers and further terms ask of a student, added up."""

from collections.abc import Mapping
from collections.abc import Sequence
import dataclasses
from typing import Any

import jax
import jax.numpy as jnp

from gaitkd_jax import errors
from gaitkd_jax import losses
from gaitkd_jax import models
from gaitkd_jax.distill import class_mapping
from gaitkd_jax.distill import context as context_lib
from gaitkd_jax.distill import pairing
from gaitkd_jax.distill import teachers as teachers_lib
from gaitkd_jax.distill import term_configs
from gaitkd_jax.distill import terms as terms_lib
from gaitkd_jax.models import heads


@dataclasses.dataclass(frozen=True)
class Objective:
  """What teachers and further terms ask of a student, added up.

  Attributes:
    teachers: by name.
    terms: GaitKD's levels, and those of `config.terms`.
    pairings: of the student with each teacher.
  """

  teachers: Mapping[str, teachers_lib.Teacher]
  terms: Sequence[terms_lib.Term] = ()
  pairings: Mapping[str, pairing.Pairing] = dataclasses.field(
    default_factory=dict
  )

  def init_aux(self, key: jax.Array) -> dict[str, Any]:
    """What training needs beside the student, at step 0.

    Returns:
      "params" (of connectors, which learn), "batch_stats" (of connectors) and
      "memory" (of terms, by "<term>/<teacher>"); all empty for GaitKD itself.
    """
    aux: dict[str, Any] = {"params": {}, "batch_stats": {}, "memory": {}}
    for i, name in enumerate(sorted(self._connected())):
      variables = self.pairings[name].init_connector(jax.random.fold_in(key, i))
      connectors = aux["params"].setdefault("connectors", {})
      connectors[name] = variables["params"]
      aux["batch_stats"][name] = variables["batch_stats"]
    for term in self.terms:
      for name in term.weights:
        memory = None
        if name:
          memory = term.init_memory(self.pairings[name].abstract())
        if memory is not None:
          aux["memory"][term.key(name)] = memory
    return aux

  def memories_by_class(self) -> dict[str, tuple[int, ...]]:
    """Shapes of the memories whose leading axis is of classes, by their name.

    "memory/<term>/<teacher>", as in `init_aux`.
    """
    found = [
      term.key(name)
      for term in self.terms
      for name in term.weights
      if name and term.kind.memory is not None and term.kind.memory.by_class
    ]
    if not found:
      return {}
    memory = jax.eval_shape(self.init_aux, jax.random.key(0))["memory"]
    return {f"memory/{key}": memory[key].shape for key in found}

  def __call__(
    self, context: context_lib.Context, aux: Mapping[str, Any]
  ) -> tuple[jax.Array, dict[str, jax.Array], dict[str, Any]]:
    """Adds up everything that is asked of the student's outputs.

    Args:
      context: outputs, labels and step.
      aux: see `init_aux`.

    Returns:
      The loss, the unweighted terms by name, and the next aux ("params" as they
      were). "teacher_accuracy/<name>" and "teacher_kl/<name>" (the decision
      level at temperature 1) show a wrong checkpoint at the first step.
    """
    stats, memory = dict(aux["batch_stats"]), dict(aux["memory"])
    pairs = {}
    metrics: dict[str, jax.Array] = {}
    for name in self.teachers:
      student, teacher = context.student, context.teacher_outputs[name]
      if name in self._connected():
        variables = {
          "params": aux["params"]["connectors"][name],
          "batch_stats": stats[name],
        }
        student, stats[name] = self.pairings[name].connect(student, variables)
      pairs[name] = self.pairings[name](student, teacher)
      if "logits" in teacher and self.pairings[name].classes is None:
        metrics[f"teacher_accuracy/{name}"] = losses.part_accuracy(
          teacher["logits"], context.labels
        )
    loss = jnp.zeros([], jnp.float32)
    for term in self.terms:
      value, found, remembered = term(context, pairs, memory)
      loss += value
      metrics |= found
      memory |= remembered
    new_aux = {
      "params": aux["params"],
      "batch_stats": stats,
      "memory": jax.lax.stop_gradient(memory),
    }
    return loss, metrics, new_aux

  def _connected(self) -> list[str]:
    """Teachers whose width the student's embedding is brought to."""
    return [n for n, p in self.pairings.items() if p.connector is not None]


def create_objective(
  student: models.GaitNetwork,
  teachers: Mapping[str, teachers_lib.Teacher],
  distillation: Mapping[str, Any] | None = None,
  terms: Mapping[str, Any] | None = None,
  scale: float = 16.0,
  classes: Mapping[str, class_mapping.Classes | None] | None = None,
) -> Objective:
  """Builds the objective of a student and its teachers.

  Args:
    student: the network.
    teachers: by name.
    distillation: `config.distillation`; None is the default.
    terms: `config.terms`.
    scale: of the student's cross entropy.
    classes: by teacher, see `common_classes`; None has all in common.

  Returns:
    The objective.

  Raises:
    errors.UserError: a term that is unknown or does not fit.
  """
  distillation, terms = distillation or {}, terms or {}
  by_height = distillation.get("parts") == "overlap"
  student_shapes = teachers_lib.output_shapes(student)
  pairings = {
    name: _pairing(
      student,
      student_shapes,
      teacher,
      by_height,
      float(scale),
      (classes or {}).get(name),
    )
    for name, teacher in teachers.items()
  }
  levels = term_configs.create_levels(
    distillation, teachers, pairings, float(scale)
  )
  for level in levels:
    if level.name in terms:
      raise errors.UserError(
        f"config.terms.{level.name} has the name of a level that "
        "config.teachers asks for; give the term another"
      )
  further = term_configs.create_terms(terms, teachers, pairings, float(scale))
  return Objective(teachers, (*levels, *further), pairings)


def _pairing(
  student: models.GaitNetwork,
  student_shapes: Mapping[str, tuple[int, ...]],
  teacher: teachers_lib.Teacher,
  by_height: bool,
  scale: float,
  classes: class_mapping.Classes | None,
) -> pairing.Pairing:
  shapes = teacher.shapes
  overlap = connector = None
  if by_height and not teacher.same_parts(student):
    try:
      overlap = losses.overlap_matrix(
        losses.strip_edges(student.bins), teacher.edges
      )
    except ValueError as e:  # edges of an imported teacher
      raise errors.UserError(
        f"parts of teacher {teacher.name} do not cover the student's ({e}); "
        "set config.distillation.parts=truncate, or import it with other edges"
      ) from e
  if teacher.connector:
    connector = heads.Connector(shapes["embedding"][-1])
  return pairing.Pairing(
    student=student_shapes,
    teacher=shapes,
    overlap=overlap,
    classes=classes,
    factor=teacher.scale / scale,
    connector=connector,
  )
