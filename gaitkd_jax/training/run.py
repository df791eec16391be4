"""What a training needs: made, and checked, before its first step."""

from collections.abc import Callable
from collections.abc import Iterator
from collections.abc import Mapping
import contextlib
import dataclasses
import functools
from typing import Any

import jax
from jax.sharding import Mesh
import numpy as np

from gaitkd_jax import checkpoint
from gaitkd_jax import config as config_lib
from gaitkd_jax import distill
from gaitkd_jax import errors
from gaitkd_jax import models
from gaitkd_jax import placement
from gaitkd_jax import quantize
from gaitkd_jax import sharding
from gaitkd_jax import storage
from gaitkd_jax import workdir as workdir_lib
from gaitkd_jax.evaluation import evaluate
from gaitkd_jax.hosts import together
from gaitkd_jax.quantize import calibration
from gaitkd_jax.training import basis
from gaitkd_jax.training import optim
from gaitkd_jax.training import step as step_lib


@dataclasses.dataclass(frozen=True)
class Run:
  """Everything that the training loop uses.

  Attributes:
    config: the whole config.
    workdir: takes all results.
    mesh: devices of the data axis.
    place: where the student's arrays lie, and those that follow them.
    student: the network that learns.
    distillation: the teachers' variables, and what they ask of it.
    init_state: from a key to the state of step 0, jitted.
    train_step: see `step.make_train_step`.
    batches: from a step to this process's shares of its batch and of the next
      ones; to be closed.
    batch_names: from a step to the names of the sequences of its whole batch.
    evaluator: scores the student on the test split.
    primary_metric: the metric by which checkpoints are compared.
    soft_gap: from a state to `calibration.soft_gap` on the first batch; None
      where training computes with hard values.
    metadata: JSON that is kept with every checkpoint.
    resumption: what is not as it was, where the run goes on.
  """

  config: Any
  workdir: storage.Path
  mesh: Mesh
  place: placement.Placement
  student: models.GaitNetwork
  distillation: distill.Distillation
  init_state: Callable[[jax.Array], step_lib.TrainState]
  train_step: Callable[..., tuple[step_lib.TrainState, dict[str, jax.Array]]]
  batches: Callable[
    [int], contextlib.AbstractContextManager[Iterator[dict[str, np.ndarray]]]
  ]
  batch_names: Callable[[int], list[str]]
  evaluator: evaluate.Evaluator
  primary_metric: str
  soft_gap: Callable[[step_lib.TrainState], float] | None
  metadata: Mapping[str, Any]
  resumption: basis.Resumption


def prepare(config: Any, workdir: storage.Path) -> Run:
  """Makes all that `config` describes; what cannot work is found here.

  What costs nothing to check comes before the data, which may take hours to be
  prepared.

  Args:
    config: see `config.default`.
    workdir: takes all results; it is made if need be.

  Raises:
    errors.UserError: what the user can mend.
  """
  # TensorFlow is loaded by a run, not by an import of this module.
  from data_pipelines import training

  mesh = sharding.create_mesh()
  config_lib.check_keys(config)
  mistakes = errors.Mistakes()
  with mistakes.collect():
    config_lib.check(config)
  with mistakes.collect():
    config_lib.check_batch(config, mesh.size)
  with mistakes.collect():
    primary_metric = evaluate.primary_metric(config)
  student = None
  with mistakes.collect():
    student = models.create_model(
      config.model, quantization=config.quantization
    )
  with mistakes.collect():
    optimizer, schedule = optim.create_optimizer(
      config.optim, student, config.quantization
    )
  phase = None
  with mistakes.collect():
    phase = step_lib.create_phase(config.quantization)
  mistakes.check()
  student = models.create_model(config.model, config.dtype, config.quantization)
  checkpoint.check_place(workdir)
  workdir_lib.make_workdir(workdir)
  basis.check_config(config, workdir)
  choice = config.sharding.classifier
  teachers = distill.prepare(config, student, mesh)
  placement.tell(
    placement.place(student, choice, mesh),
    *distill.place_teachers(teachers.teachers, choice, mesh).values(),
  )
  calibration.tell_float_parts(student)
  builder = together.prepare_data(config.data)
  split = training.training_split(config, builder)
  subjects = training.class_names(config, split)
  distillation = teachers.with_data(split, subjects)
  evaluator = evaluate.Evaluator(config, student, mesh)
  metadata = {
    "model": config.model.to_dict(),
    "quantization": student.quantization.form if student.quantization else {},
    "classes": subjects,
    **basis.facts(split, distillation, evaluator),
  }
  batches = functools.partial(_batches, config, split, distillation)
  soft_gap = None
  if student.quantization and student.quantization.forward == "soft":
    soft_gap = functools.partial(_soft_gap, student, phase, batches, mesh)
  return Run(
    config=config,
    workdir=workdir,
    mesh=mesh,
    place=step_lib.place_state(student, distillation.objective, choice, mesh),
    student=student,
    distillation=distillation,
    init_state=step_lib.make_init(
      student, optimizer, mesh, distillation.objective, choice
    ),
    train_step=step_lib.make_train_step(
      student,
      optimizer,
      schedule,
      config.losses,
      distillation.objective,
      mesh,
      seed=config.seed,
      skip_nonfinite=config.train.skip_nonfinite > 0,
      classifier=choice,
      phase=phase,
      hold=optim.hold(config.optim, student),
    ),
    batch_names=functools.partial(training.batch_names, config, split),
    batches=batches,
    evaluator=evaluator,
    primary_metric=primary_metric,
    soft_gap=soft_gap,
    metadata=metadata,
    resumption=basis.compare(config, workdir, metadata),
  )


def _soft_gap(
  student: models.GaitNetwork,
  phase: Callable[[jax.Array], quantize.Phase],
  batches: Callable[..., Any],
  mesh: Mesh,
  state: step_lib.TrainState,
) -> float:
  """See `Run.soft_gap`."""
  with batches(0) as several:
    batch = sharding.put_batch(next(several), mesh)
  program = jax.jit(
    lambda variables, step, batch: calibration.soft_gap(
      student, variables, batch, phase(step)
    ),
    out_shardings=sharding.replicated(mesh),
  )
  return float(program(state.variables, state.step, batch))


@contextlib.contextmanager
def _batches(
  config: Any, split: Any, distillation: distill.Distillation, start_step: int
) -> Iterator[Iterator[dict[str, np.ndarray]]]:
  """The batches from a step on, with what cached teachers say of them."""
  from data_pipelines import training

  cached = bool(distillation.stores)
  batches = training.train_batches(config, split, start_step, cached)
  # Threads that still make batches would keep the interpreter from leaving.
  with contextlib.closing(batches):
    yield distillation.attach(batches) if cached else batches
