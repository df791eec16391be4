"""The training loop."""

from collections.abc import Mapping
from collections.abc import Sequence
import contextlib
import os
import pathlib
from typing import Any

import jax
from jax.sharding import Mesh

from gaitkd_jax import checkpoint
from gaitkd_jax import config as config_lib
from gaitkd_jax import distill
from gaitkd_jax import evaluation
from gaitkd_jax import models
from gaitkd_jax import sharding
from gaitkd_jax import workdir as workdir_lib
from gaitkd_jax.distill import cache as cache_lib
from gaitkd_jax.evaluation import evaluate
from gaitkd_jax.training import logs
from gaitkd_jax.training import optim
from gaitkd_jax.training import step as step_lib


def train_and_evaluate(
  config: Any, workdir: str | os.PathLike[str]
) -> dict[str, float]:
  """Trains the student of `config` and scores it.

  Starts from the newest checkpoint of `workdir`, else from what fits of
  `train.init_from`, else from scratch. Batch i
  and everything random are functions of (seed, i), so a run that was stopped
  and goes on equals one that was not.

  Args:
    config: see `config.default`.
    workdir: takes config.json, metrics.jsonl, checkpoints/, eval/ and
      TensorBoard's events.

  Returns:
    The protocol's figures at the end.

  Raises:
    errors.UserError: what the user can mend.
  """
  # TensorFlow is loaded by a run, not by an import of this module.
  from data_pipelines import training

  workdir = pathlib.Path(workdir)
  mesh = sharding.create_mesh()
  config_lib.check(config)
  config_lib.check_batch(config, mesh.size)
  # All that can be wrong in the config is found before data are prepared.
  module = models.create_model(config.model, config.dtype)
  teachers = distill.create_teachers(config.teachers, config.dtype)
  teachers = cache_lib.look_up(config, teachers)
  for note in distill.check_compatible(
    module,
    config.model.name,
    teachers,
    config.distillation,
    "unordered" not in config.clip.kind,
  ):
    print(note, flush=True)
  classes = {
    t.model.get("num_classes", 0) for t in (config, *config.teachers.values())
  }
  objective = None
  if len(classes) == 1:  # else the data have to say which are common
    objective = create_objective(config, module, teachers)
  optimizer, schedule = optim.create_optimizer(config.optim)
  best = evaluate.primary_metric(config)
  frozen = distill.restore_teachers(config, teachers, mesh)
  workdir_lib.make_workdir(workdir)
  split = training.training_split(config)
  subjects = training.class_names(config, split)
  classes = distill.teacher_classes(config, teachers, subjects)
  stores = cache_lib.open_stores(
    config, cache_lib.describe_data(config.data, split), frozen
  )
  # Of a teacher that is read from a store the variables only proved which.
  frozen = {name: frozen[name] for name in teachers if name not in stores}
  if objective is None or any(classes.values()):
    objective = create_objective(config, module, teachers, classes)
  make_state = step_lib.make_init(module, optimizer, mesh, objective)
  train_step = step_lib.make_train_step(
    module,
    optimizer,
    schedule,
    config.losses,
    objective,
    mesh,
    seed=config.seed,
  )
  meta = {"model": config.model.to_dict(), "classes": subjects}
  with checkpoint.Checkpointer(workdir / "checkpoints", best) as checkpointer:
    first = checkpointer.latest_step
    if first is None:
      state = make_state(jax.random.key(config.seed))
      state = start_from(config.train.init_from, state, mesh)
    else:
      abstract = jax.eval_shape(make_state, jax.random.key(0))
      state = checkpointer.restore(abstract, sharding.replicated(mesh))
      print(f"resumed from {workdir / 'checkpoints' / str(first)}", flush=True)
    evaluator = evaluate.Evaluator(config, module, mesh)
    steps = range(first or 0, config.train.steps)
    if not steps:  # an earlier run finished them
      results = finish(checkpointer, evaluator, state, first, workdir)
      return results.flat() if results else {}
    batches = training.train_batches(config, split, first or 0, bool(stores))
    batches = cache_lib.attach(batches, stores) if stores else batches
    # Threads that still make batches keep the interpreter from leaving.
    with (
      contextlib.closing(batches),
      logs.create_writer(config, workdir, first) as writer,
    ):
      report = logs.Reporter(config, workdir, writer)
      batch = sharding.put_batch(next(batches), mesh)
      for i in report.progress(steps):
        # The order matters: while the device is at step i, the host makes batch
        # i + 1 and reads the metrics of the step before.
        with jax.transfer_guard("disallow"):
          state, metrics = train_step(state, frozen, batch)
        done, last = i + 1, i + 1 == steps.stop
        if not last:
          batch = sharding.put_batch(next(batches), mesh)
        report.flush()
        evaluates = last or _due(done, config.train.eval_every)
        saves = evaluates or _due(done, config.train.checkpoint_every)
        if saves or done % config.train.log_every == 0:
          report.metrics_later(done, metrics)
        if saves:
          report.flush()  # a state that is not finite is never saved
          results = evaluator(state.variables) if evaluates else None
          report.evaluation(done, results, last)
          scores = results.flat() if results else None
          checkpointer.save(done, state, meta, scores)
      results = finish(checkpointer, evaluator, state, done, workdir)
      if config.eval.subjects and results:
        report.figures(done, results, "eval")
      return results.flat() if results else {}


def finish(
  checkpointer: checkpoint.Checkpointer,
  evaluator: evaluate.Evaluator,
  state: step_lib.TrainState,
  step: int,
  workdir: pathlib.Path,
) -> evaluation.Evaluation | None:
  """Scores the last state by all subjects; names the best one if it is older.

  The best is by the protocol's primary metric, among the evaluations in
  training.
  """
  folder = workdir / "checkpoints"
  results = evaluator.finish(
    state.variables, step, workdir, str(folder / str(step))
  )
  best = checkpointer.best_step
  if best not in (None, step) and not jax.process_index():
    print(f"the best checkpoint is an earlier one: {folder / str(best)}")
  return results


def start_from(
  path: str, state: step_lib.TrainState, mesh: Mesh
) -> step_lib.TrainState:
  """Gives a fresh state what fits it of a checkpoint, and says what did."""
  if not path:
    return state
  variables, taken, stayed = checkpoint.restore_matching(
    path, state.variables, sharding.replicated(mesh)
  )
  print(f"taken from {path}: {len(taken)} arrays ({_parts(taken)})")
  print(f"as initialised: {len(stayed)} arrays ({_parts(stayed)})", flush=True)
  return state.replace(**variables)


def _parts(names: Sequence[str]) -> str:
  """The parts of a network that arrays belong to."""
  return ", ".join(dict.fromkeys(n.split("/")[1] for n in names)) or "none"


def _due(done: int, every: int) -> bool:
  return every > 0 and done % every == 0


def create_objective(
  config: Any,
  module: Any,
  teachers: Mapping[str, distill.Teacher],
  classes: Mapping[str, distill.Classes | None] | None = None,
) -> distill.Objective:
  """The objective of `config`; `classes` as `teacher_classes` found them."""
  return distill.create_objective(
    module,
    teachers,
    config.distillation,
    config.terms,
    config.losses.cross_entropy.scale,
    classes,
  )
