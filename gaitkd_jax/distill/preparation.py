"""Everything that a training needs of its teachers, made from a config."""

from collections.abc import Iterable
from collections.abc import Iterator
from collections.abc import Mapping
from collections.abc import Sequence
import dataclasses
from typing import Any

from jax.sharding import Mesh
import numpy as np

from gaitkd_jax import checkpoint
from gaitkd_jax import models
from gaitkd_jax.distill import cache as cache_lib
from gaitkd_jax.distill import class_mapping
from gaitkd_jax.distill import compatibility
from gaitkd_jax.distill import objective as objective_lib
from gaitkd_jax.distill import teachers as teachers_lib


@dataclasses.dataclass(frozen=True)
class Distillation:
  """Teachers that are ready to teach a student on a training split.

  Attributes:
    objective: what they and further terms ask of the student.
    variables: by name, of the teachers that are run.
    stores: by name, of the teachers whose outputs are read from a cache.
  """

  objective: objective_lib.Objective
  variables: Mapping[str, Any]
  stores: Mapping[str, cache_lib.Store]

  def attach(
    self, batches: Iterable[Mapping[str, np.ndarray]]
  ) -> Iterator[dict[str, np.ndarray]]:
    """Adds to batches what is read from caches; see `cache.attach`."""
    return cache_lib.attach(batches, self.stores)

  def digests(self) -> dict[str, str]:
    """SHA-256 of every teacher's variables, as far as they are known."""
    found = {
      name: checkpoint.digest(variables)
      for name, variables in self.variables.items()
    }
    found |= {
      name: store.header.get("digest", "")
      for name, store in self.stores.items()
    }
    return {name: digest for name, digest in found.items() if digest}


@dataclasses.dataclass(frozen=True)
class Prepared:
  """Teachers for which the data have not been looked at yet.

  Attributes:
    config: the whole config.
    student: the network.
    teachers: by name.
    variables: by name; a cached teacher's are only used to check that the cache
      was made from them.
    objective: None if only the data can say which classes are common.
  """

  config: Any
  student: models.GaitNetwork
  teachers: Mapping[str, teachers_lib.Teacher]
  variables: Mapping[str, Any]
  objective: objective_lib.Objective | None

  def with_data(self, split: Any, subjects: Sequence[str]) -> Distillation:
    """Matches classes, and opens the caches of teachers' outputs.

    Args:
      split: the training split, a `data_pipelines.store.SequenceStore`.
      subjects: names of the student's classes, in order.

    Returns:
      What training takes.

    Raises:
      errors.UserError: no class is common, or a cache is of something else.
    """
    classes = class_mapping.teacher_classes(
      self.config, self.teachers, subjects
    )
    stores: dict[str, cache_lib.Store] = {}
    if any(t.cache for t in self.config.teachers.values()):
      data = cache_lib.describe_data(self.config.data, split)
      stores = cache_lib.open_stores(self.config, data, self.variables)
    objective = self.objective
    if objective is None or any(classes.values()):
      objective = _create_objective(
        self.config, self.student, self.teachers, classes
      )
    run = [name for name in self.teachers if name not in stores]
    variables = {name: self.variables[name] for name in run}
    return Distillation(objective, variables, stores)


def prepare(config: Any, student: models.GaitNetwork, mesh: Mesh) -> Prepared:
  """Makes what a config says of teachers, before the data are prepared.

  It prints what of two networks cannot be compared.

  Args:
    config: the whole config; its teachers may be none.
    student: the network.
    mesh: that takes the teachers' variables.

  Returns:
    The teachers; `Prepared.with_data` gives what training takes.

  Raises:
    errors.UserError: what can be found wrong without the data.
  """
  teachers = cache_lib.look_up(
    config, teachers_lib.create_teachers(config.teachers, config.dtype)
  )
  for note in compatibility.check_compatible(
    student,
    config.model.name,
    teachers,
    config.distillation,
    "unordered" not in config.clip.kind,
  ):
    print(note, flush=True)
  num_classes = {config.model.get("num_classes", 0)}
  num_classes |= {teacher.num_classes for teacher in teachers.values()}
  objective = None
  if len(num_classes) == 1:
    objective = _create_objective(config, student, teachers)
  variables = teachers_lib.restore_teachers(config, teachers, mesh)
  return Prepared(config, student, teachers, variables, objective)


def _create_objective(
  config: Any,
  student: models.GaitNetwork,
  teachers: Mapping[str, teachers_lib.Teacher],
  classes: Mapping[str, class_mapping.Classes | None] | None = None,
) -> objective_lib.Objective:
  return objective_lib.create_objective(
    student,
    teachers,
    config.distillation,
    config.terms,
    config.losses.cross_entropy.scale,
    classes,
  )
