"""Teachers: frozen networks and the weights of what they ask."""

from collections.abc import Callable
from collections.abc import Mapping
from collections.abc import Sequence
import dataclasses
import functools
import types
from typing import Any

import jax
from jax.sharding import Mesh
import numpy as np

from gaitkd_jax import checkpoint
from gaitkd_jax import config as config_lib
from gaitkd_jax import errors
from gaitkd_jax import losses
from gaitkd_jax import models
from gaitkd_jax import placement
from gaitkd_jax import quantize
from gaitkd_jax.models import inputs
from gaitkd_jax.training import schedules

# Shares of the height by which edges may differ that somebody has typed.
_SAME_EDGE = 1e-3

Outputs = Mapping[str, jax.Array]
Batch = Mapping[str, jax.Array]
Schedule = Callable[[jax.Array | int], jax.Array]


@dataclasses.dataclass(frozen=True)
class Imported:
  """What a store says of a network that is not here.

  Attributes:
    shapes: of its outputs for one clip: "embedding" and "neck" `[1, p, d]` and,
      if they were imported, "logits" `[1, p, k]`.
    edges: (top, bottom) of every part, as shares of the height.
  """

  shapes: Mapping[str, tuple[int, ...]]
  edges: Sequence[tuple[float, float]]


@dataclasses.dataclass(frozen=True)
class Teacher:
  """A frozen network and the weights of what it asks of a student.

  Attributes:
    name: its key in `config.teachers`.
    module: the network; None if its outputs were imported.
    decision_weight: of GaitKD's decision level, a function of the step; None
      leaves the level out.
    boundary_weight: of GaitKD's boundary level, likewise.
    temperature: of the decision level, a function of the step.
    boundary_centre: where signs of the boundary level are taken, see
      `losses.boundary_loss`.
    boundary_reduce: of the boundary level over channels, likewise.
    scale: of the cross entropy that trained the teacher.
    connector: whether the student learns a layer that brings its embedding to
      the teacher's width.
    lookup: takes a batch to the teacher's outputs where they were precomputed;
      None runs the module.
    imported: stands for the module if that is None.
  """

  name: str
  module: models.GaitNetwork | None
  decision_weight: Schedule | None
  boundary_weight: Schedule | None
  temperature: Schedule
  scale: float = 16.0
  connector: bool = False
  boundary_centre: str = "none"
  boundary_reduce: str = "sum"
  lookup: Callable[[Batch], Outputs] | None = None
  imported: Imported | None = None

  @property
  def network(self) -> models.GaitNetwork:
    """The module of a teacher that has one."""
    assert self.module is not None, f"teacher {self.name} is imported"
    return self.module

  @property
  def shapes(self) -> Mapping[str, tuple[int, ...]]:
    """Shapes of all outputs for one clip."""
    if self.imported is not None:
      return self.imported.shapes
    return output_shapes(self.network)

  @property
  def edges(self) -> Sequence[tuple[float, float]]:
    """(top, bottom) of every part, as shares of the height."""
    if self.imported is not None:
      return self.imported.edges
    return losses.strip_edges(self.network.bins)

  def same_parts(self, student: models.GaitNetwork) -> bool:
    """Whether its parts lie where the student's do."""
    edges = losses.strip_edges(student.bins)
    return len(edges) == len(self.edges) and np.allclose(
      edges, self.edges, rtol=0, atol=_SAME_EDGE
    )

  @property
  def num_classes(self) -> int:
    """Classes of the logits; 0 if there are none."""
    if self.imported is not None:
      return self.imported.shapes.get("logits", (0,))[-1]
    return self.network.num_classes

  @property
  def temporal(self) -> bool:
    """Whether it has to be shown frames in their order."""
    return self.module is not None and self.module.temporal


def create_teachers(
  config: Mapping[str, Any], dtype: str = "float32"
) -> dict[str, Teacher]:
  """Builds the teachers of `config.teachers`, without their variables.

  What there is to know of an imported one, `cache.look_up` reads from its
  store.

  Args:
    config: by name, see `config.teacher`.
    dtype: of the networks' computation.

  Returns:
    The teachers by name.

  Raises:
    errors.UserError: a model, a weight or a temperature that cannot be read.
  """
  teachers = {}
  for name, teacher in config.items():
    decision_weight, boundary_weight = (
      create_weight(teacher[key], f"teachers.{name}.{key}")
      for key in ("decision_weight", "boundary_weight")
    )
    teachers[name] = Teacher(
      name=name,
      module=None
      if teacher["model"].get("name") == config_lib.IMPORTED
      else models.create_model(teacher["model"], dtype),
      decision_weight=decision_weight,
      boundary_weight=boundary_weight,
      temperature=schedules.create_schedule(
        teacher["temperature"], f"teachers.{name}.temperature"
      ),
      scale=float(teacher.get("scale", 16.0)),
      connector=teacher.get("connector", False),
      boundary_centre=teacher.get("boundary_centre", "none"),
      boundary_reduce=teacher.get("boundary_reduce", "sum"),
    )
  return teachers


def create_weight(
  spec: float | Mapping[str, Any], name: str
) -> Schedule | None:
  """A term's weight as a function of the step; None for the number 0.

  A schedule is never None, whatever its values.

  Args:
    spec: a number, or a schedule (see `schedules.create_schedule`).
    name: the config's key, for messages.

  Returns:
    The schedule, or None.

  Raises:
    errors.UserError: `spec` is neither.
  """
  schedule = schedules.create_schedule(spec, name)
  return schedule if hasattr(spec, "items") or float(spec) else None


def teacher_outputs(
  teachers: Mapping[str, Teacher],
  variables: Mapping[str, Any],
  batch: Batch,
) -> dict[str, Outputs]:
  """The teachers' outputs for the student's clips, in evaluation mode.

  Each network takes the modalities that it was trained on.

  Args:
    teachers: by name.
    variables: by name, of the teachers that are run.
    batch: see `step.make_train_step`.

  Returns:
    The outputs by teacher; no gradient reaches them.
  """
  outputs = {}
  for name, teacher in teachers.items():
    if teacher.lookup is not None:
      outputs[name] = teacher.lookup(batch)
    else:
      outputs[name] = _run(teacher.network, variables[name], batch)
  return jax.lax.stop_gradient(outputs)


def place_teachers(
  teachers: Mapping[str, Teacher], classifier: str, mesh: Mesh
) -> dict[str, placement.Placement]:
  """Where the arrays of the teachers that are run lie.

  Args:
    teachers: by name.
    classifier: see `placement.place`.
    mesh: devices of the data axis.
  """
  return {
    name: placement.place(teacher.network, classifier, mesh, f"teacher {name}")
    for name, teacher in teachers.items()
    if teacher.lookup is None
  }


def restore_teachers(
  config: Any, teachers: Mapping[str, Teacher], mesh: Mesh
) -> dict[str, Any]:
  """Reads the teachers' variables onto the mesh.

  A teacher whose outputs come from a cache needs none; if it has a checkpoint
  all the same, this is read to check that the cache was made from it.

  Args:
    config: the whole config.
    teachers: by name.
    mesh: every device holds a copy, of large classifiers its share of the
      classes (`config.sharding.classifier`).

  Returns:
    The variables by teacher.

  Raises:
    errors.UserError: a teacher has no checkpoint, or one of another model.
  """
  variables = {}
  for name, teacher in teachers.items():
    teacher_config = config.teachers[name]
    if teacher_config.cache and not teacher_config.checkpoint:
      continue
    module = teacher.network
    place = placement.place(module, config.sharding.classifier, mesh)
    init = jax.jit(
      functools.partial(models.init_variables, module),
      out_shardings=place.of_variables(),
    )
    if not teacher_config.checkpoint:
      raise errors.UserError(
        f"teacher {name} has no checkpoint; give "
        f"--config.teachers.{name}.checkpoint=<workdir of its training>, or "
        f"its outputs as --config.teachers.{name}.cache=<folder>"
      )
    if teacher_config.checkpoint == config_lib.RANDOM:
      print(f"teacher {name} is UNTRAINED (checkpoint=random)", flush=True)
      variables[name] = init(jax.random.key(config.seed + 1))
    else:
      meta = checkpoint.restored_meta(teacher_config.checkpoint)
      if form := meta.get("quantization"):
        raise errors.UserError(
          f"teacher {name} is {quantize.describe(form)} in "
          f"{teacher_config.checkpoint}, and teachers are float; give "
          f"--config.teachers.{name}.checkpoint=<workdir of a float network>"
        )
      variables[name] = checkpoint.restore_model(
        teacher_config.checkpoint,
        jax.eval_shape(init, jax.random.key(0)),
        place,
      )
  return variables


@functools.lru_cache(maxsize=64)
def output_shapes(module: models.GaitNetwork) -> Mapping[str, tuple[int, ...]]:
  """Shapes of all that a network returns for one clip of two frames."""
  shape = (1, 2, *module.frame_size, module.in_channels)
  x = jax.ShapeDtypeStruct(shape, "float32")
  out, _ = jax.eval_shape(module.init_with_output, jax.random.key(0), x)
  return types.MappingProxyType({k: value.shape for k, value in out.items()})


def _run(module: models.GaitNetwork, variables: Any, batch: Batch) -> Any:
  return module.apply(
    variables,
    inputs.network_input(batch, module.in_channels),
    batch.get("lengths"),
  )
