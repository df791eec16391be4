"""Teachers: frozen networks and how much each says."""

from collections.abc import Callable
from collections.abc import Mapping
import dataclasses
import functools
from typing import Any

from flax import linen as nn
import jax
from jax.sharding import Mesh

from gaitkd_jax import checkpoint
from gaitkd_jax import config as config_lib
from gaitkd_jax import errors
from gaitkd_jax import models
from gaitkd_jax import sharding
from gaitkd_jax.models import inputs
from gaitkd_jax.training import schedules

Outputs = Mapping[str, jax.Array]
Batch = Mapping[str, jax.Array]


@dataclasses.dataclass(frozen=True)
class Teacher:
  """A frozen network and how much it says.

  Attributes:
    name: its key in `config.teachers`.
    module: the network.
    decision_weight: of the decision loss, a function of the step.
    boundary_weight: of the boundary loss, a function of the step.
    temperature: of the decision loss, a function of the step.
    scale: of the cross entropy that trained it.
    connector: whether the student learns a layer to the teacher's width.
    lookup: from a batch to what the teacher says of it, where that was
      precomputed; None runs the module.
  """

  name: str
  module: nn.Module
  decision_weight: Callable[[jax.Array], jax.Array]
  boundary_weight: Callable[[jax.Array], jax.Array]
  temperature: Callable[[jax.Array], jax.Array]
  scale: float = 16.0
  connector: bool = False
  lookup: Callable[[Batch], Outputs] | None = None


def create_teachers(
  config: Mapping[str, Any], dtype: str = "float32"
) -> dict[str, Teacher]:
  """Builds the teachers of `config.teachers`, without their variables."""
  teachers = {}
  for name, teacher in config.items():
    teachers[name] = Teacher(
      name=name,
      module=models.create_model(teacher["model"], dtype),
      scale=float(teacher.get("scale", 16.0)),
      connector=teacher.get("connector", False),
      **{
        key: schedules.create_schedule(teacher[key], f"teachers.{name}.{key}")
        for key in ("decision_weight", "boundary_weight", "temperature")
      },
    )
  return teachers


def teacher_outputs(
  teachers: Mapping[str, Teacher],
  variables: Mapping[str, Any],
  batch: Batch,
) -> dict[str, Outputs]:
  """What every teacher says of the student's clips, in evaluation mode.

  Each takes its own modalities of a clip.

  Args:
    teachers: by name.
    variables: of those that are run, by name.
    batch: see `step.make_train_step`.

  Returns:
    Their outputs, which no gradient reaches.
  """
  taught = {}
  for name, teacher in teachers.items():
    if teacher.lookup is not None:
      out = teacher.lookup(batch)
    else:
      out = teacher.module.apply(
        variables[name],
        inputs.network_input(batch, teacher.module.in_channels),
        batch.get("lengths"),
      )
    taught[name] = jax.lax.stop_gradient(out)
  return taught


def restore_teachers(
  config: Any, teachers: Mapping[str, Teacher], mesh: Mesh
) -> dict[str, Any]:
  """Reads the teachers' variables onto the mesh.

  A teacher that is looked up in a store needs none.
  """
  frozen = {}
  for name, teacher in teachers.items():
    own = config.teachers[name]
    if own.cache and not own.checkpoint:
      continue
    init = jax.jit(
      functools.partial(models.init_variables, teacher.module),
      out_shardings=sharding.replicated(mesh),
    )
    if not own.checkpoint:
      raise errors.UserError(
        f"teacher {name} has no checkpoint; give "
        f"--config.teachers.{name}.checkpoint=<workdir of its training>, or "
        f"its outputs as --config.teachers.{name}.cache=<folder>"
      )
    if own.checkpoint == config_lib.RANDOM:
      print(f"teacher {name} is UNTRAINED (checkpoint=random)", flush=True)
      frozen[name] = init(jax.random.key(config.seed + 1))
    else:
      frozen[name] = checkpoint.restore_model(
        own.checkpoint,
        jax.eval_shape(init, jax.random.key(0)),
        sharding.replicated(mesh),
      )
  return frozen


def output_shapes(module: nn.Module) -> dict[str, tuple[int, ...]]:
  """Shapes of all that a network returns for one clip of two frames."""
  shape = (1, 2, 64, 44, module.in_channels)
  x = jax.ShapeDtypeStruct(shape, "float32")
  out, _ = jax.eval_shape(module.init_with_output, jax.random.key(0), x)
  return {key: value.shape for key, value in out.items()}
