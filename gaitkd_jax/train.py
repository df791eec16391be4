"""The training loop."""

from collections.abc import Mapping
from collections.abc import Sequence
import contextlib
import functools
import json
import os
import pathlib
import time
from typing import Any

import jax
from jax.sharding import Mesh
import numpy as np
import tqdm

from gaitkd_jax import checkpoint
from gaitkd_jax import config as config_lib
from gaitkd_jax import distill
from gaitkd_jax import errors
from gaitkd_jax import evaluate
from gaitkd_jax import models
from gaitkd_jax import optim
from gaitkd_jax import sharding
from gaitkd_jax import step as step_lib
from gaitkd_jax import teacher_cache
from gaitkd_jax import writers


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
  workdir = pathlib.Path(workdir)
  mesh = sharding.create_mesh()
  config_lib.check(config)
  config_lib.check_batch(config, mesh.size)
  # All that can be wrong in the config is found before data are prepared.
  module = models.create_model(config.model, config.dtype)
  teachers = distill.create_teachers(config.teachers, config.dtype)
  teachers = teacher_cache.look_up(config, teachers)
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
  best = evaluate.main_figure(config)
  frozen = restore_teachers(config, teachers, mesh)
  evaluate.make_workdir(workdir)
  split = training_split(config)
  subjects = class_names(config, split)
  classes = teacher_classes(config, teachers, subjects)
  stores = teacher_cache.open_stores(
    config, teacher_cache.describe_data(config.data, split), frozen
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
      results = evaluator(state.variables)
      evaluate.report(results, first, workdir)
      return results
    batches = train_batches(config, split, first or 0, bool(stores))
    batches = teacher_cache.attach(batches, stores) if stores else batches
    # Threads that still make batches keep the interpreter from leaving.
    with (
      contextlib.closing(batches),
      create_writer(config, workdir, first) as writer,
    ):
      report = _Reporter(config, workdir, writer)
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
          report.evaluation(done, results)
          checkpointer.save(done, state, meta, results)
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


def restore_teachers(
  config: Any, teachers: Mapping[str, distill.Teacher], mesh: Mesh
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


def class_names(config: Any, split: Any) -> list[str]:
  """The classes of a training split in order, as "<data set>/<subject>"."""
  return [f"{config.data.name}/{s}" for s in np.unique(split.subjects)]


def teacher_classes(
  config: Any,
  teachers: Mapping[str, distill.Teacher],
  subjects: Sequence[str],
) -> dict[str, distill.Classes | None]:
  """Which classes the student shares with every teacher that classifies."""
  found = {}
  ours = config.model.get("num_classes", 0)
  for name in teachers:
    own = config.teachers[name]
    theirs = own.model.get("num_classes", 0)
    if not ours or not theirs:
      continue
    if own.classes:
      known = distill.read_names(own.classes, config.data.name)
    elif own.checkpoint in ("", config_lib.RANDOM):
      known = ()
    else:
      known = checkpoint.restored_meta(own.checkpoint).get("classes", ())
    try:
      found[name] = distill.common_classes(name, subjects, ours, known, theirs)
    except errors.UserError:
      if own.decision_weight:
        raise
      found[name] = distill.NO_CLASSES  # it teaches boundaries only
    if found[name]:
      print(
        f"teacher {name} knows {len(found[name][0])} of the student's "
        f"{len(subjects)} subjects; its decisions are compared among them",
        flush=True,
      )
  return found


def training_split(config: Any):
  """The sequences that `config` trains on, prepared if need be."""
  # TensorFlow is loaded by a run, not by an import of this module.
  from data_pipelines import datasets
  from data_pipelines import store

  split = store.SequenceStore.from_builder(
    datasets.prepare(config.data), "train", config.data.cache_gib
  )
  classes = config.model.get("num_classes", 0)
  if 0 < classes < split.num_classes:
    raise errors.UserError(
      f"config.model.num_classes is {classes}, but {config.data.name} "
      f"trains on {split.num_classes} subjects; give at least as many"
    )
  return split


def train_batches(
  config: Any, split: Any, start_step: int, cached: bool = False
):
  """This process's shares of batch `start_step`, `start_step + 1`, ...

  With `cached` they hold the views that `--mode=cache` showed the teachers.
  """
  from data_pipelines import pipeline

  return pipeline.train_batches(
    split,
    identities=config.batch.identities,
    sequences=config.batch.sequences,
    clip=pipeline.Clip(**config.clip),
    augment=pipeline.Augment(**config.augment),
    sampler=config.batch.sampler,
    seed=config.seed,
    start_step=start_step,
    views=config.cache.views if cached else 0,
    process_index=jax.process_index(),
    process_count=jax.process_count(),
  )


def create_writer(
  config: Any, workdir: pathlib.Path, last_step: int | None
) -> writers.MultiWriter:
  """Opens the logs (in the first process only) and writes config.json."""
  if jax.process_index():
    return writers.MultiWriter([])
  text = json.dumps(config.to_dict(), indent=2, default=str)
  (workdir / "config.json").write_text(text + "\n")
  return writers.MultiWriter(
    [
      writers.JsonlWriter(workdir / "metrics.jsonl", last_step),
      writers.TensorBoardWriter(workdir, last_step),
      writers.ConsoleWriter(),
    ]
  )


class _Reporter:
  """Writes figures without making the device wait."""

  def __init__(self, config: Any, workdir: pathlib.Path, writer):
    self._sequences = config.batch.identities * config.batch.sequences
    self._workdir = workdir
    self._writer = writer
    self._pending = None
    self._since = None  # time and step of the last metrics

  def progress(self, steps: range):
    """A bar on a terminal; nothing in a log file."""
    return tqdm.tqdm(
      steps, initial=steps.start, total=steps.stop, desc="train", disable=None
    )

  def metrics_later(self, step: int, metrics: Mapping[str, jax.Array]) -> None:
    """Keeps metrics, which may still be under way, for the next `flush`."""
    self._pending = step, metrics

  def flush(self) -> None:
    """Waits for the metrics that were kept, and writes them."""
    if self._pending is None:
      return
    (step, metrics), self._pending = self._pending, None
    scalars = {
      f"train/{k}": float(v) for k, v in jax.device_get(metrics).items()
    }
    for name in ("loss", "gradient_norm"):
      if not np.isfinite(scalars[f"train/{name}"]):
        raise errors.UserError(
          f"the {name} is {scalars[f'train/{name}']} at step {step}; lower "
          "optim.learning_rate, set optim.clip_norm, or look at the data"
        )
    self._writer.write(step, scalars | self._speed(step))

  def evaluation(self, step: int, results: Mapping[str, float] | None) -> None:
    """Prints and writes the figures of an evaluation, if there was one."""
    if results is None:
      return
    evaluate.report(results, step, self._workdir)
    self._writer.write(
      step,
      {f"eval/{k}": v for k, v in results.items() if "/view/" not in k},
    )
    self._since = None  # its time is not the training's

  def _speed(self, step: int) -> dict[str, float]:
    """Figures since the last call; none for the first, which compiled."""
    before, self._since = self._since, (time.monotonic(), step)
    if before is None:
      return {}
    seconds = (self._since[0] - before[0]) / (step - before[1])
    return {
      "train/seconds_per_step": seconds,
      "train/sequences_per_second": self._sequences / seconds,
    }
