"""The training loop."""

from collections.abc import Sequence
import contextlib
import os
from typing import Any

import jax

from gaitkd_jax import array_names
from gaitkd_jax import checkpoint
from gaitkd_jax import checkpointer as checkpointer_lib
from gaitkd_jax import errors
from gaitkd_jax import evaluation
from gaitkd_jax import models
from gaitkd_jax import placement
from gaitkd_jax import sharding
from gaitkd_jax import storage
from gaitkd_jax.hosts import stopping
from gaitkd_jax.quantize import calibration
from gaitkd_jax.training import finite
from gaitkd_jax.training import logs
from gaitkd_jax.training import profiling
from gaitkd_jax.training import run as run_lib
from gaitkd_jax.training import step as step_lib
from gaitkd_jax.training import watch


def train_and_evaluate(
  config: Any,
  workdir: str | os.PathLike[str],
  profile: profiling.Wanted | None = None,
) -> dict[str, float]:
  """Trains the student of `config` and scores it.

  Starts from the newest checkpoint of `workdir`, else from what fits of
  `train.init_from`, else from scratch. Batch i and everything random are
  functions of (seed, i), so a run that was stopped and goes on equals one that
  was not. With other settings it goes on too: what differs is printed and kept.
  With other data or another network it does not.

  Args:
    config: see `config.default`.
    workdir: takes config.json and those that it replaced, metrics.jsonl,
      checkpoints/, eval/ and TensorBoard's events.
    profile: steps of which a trace is written.

  Returns:
    The protocol's metrics at the end.

  Raises:
    errors.UserError: what the user can mend.
  """
  run = run_lib.prepare(config, storage.path(workdir))
  folder = run.workdir / "checkpoints"
  with checkpointer_lib.Checkpointer(
    folder,
    run.primary_metric,
    run.metadata["evaluation"],
    unnamed=run.resumption.same_evaluation,
  ) as checkpointer:
    start = checkpointer.latest_step
    state = initial_state(run, checkpointer)
    if (
      start is not None
      and start >= config.train.steps
      and not (
        checkpointer.owes_scores or _lacks_results(config, run.workdir, start)
      )
    ):
      results = finish(run, checkpointer, state, start)
    else:
      results = train(run, checkpointer, state, start, profile)
  return results.flat() if results else {}


def train(
  run: run_lib.Run,
  checkpointer: checkpointer_lib.Checkpointer,
  state: step_lib.TrainState,
  start: int | None,
  profile: profiling.Wanted | None = None,
) -> evaluation.Evaluation | None:
  """Trains from step `start` (None: a new run) to the last, and scores.

  Args:
    run: of `run.prepare`.
    checkpointer: saves the states.
    state: of step `start`; it is donated.
    start: finished steps.
    profile: steps to trace.

  Returns:
    The evaluation of all subjects at the end; None for a submission.
  """
  config, teachers = run.config.train, run.distillation.variables
  steps = range(start or 0, max(config.steps, start or 0))
  with (
    run.batches(steps.start) as batches,
    logs.create_writer(
      run.config,
      run.workdir,
      start,
      run.resumption.changed,
      scores_again=checkpointer.owes_scores,
    ) as writer,
    watch.Watch() as watched,
    contextlib.ExitStack() as stack,
  ):
    guard = finite.Guard(
      config.skip_nonfinite,
      run.workdir,
      run.batch_names,
      checkpointer.last_whole_step,
    )
    report = logs.Reporter(run.config, run.workdir, writer, watched, guard)
    tracer = stack.enter_context(
      profiling.Tracer(profile, steps, run.workdir, report.paused)
    )
    scores = None  # of the last state
    with stopping.held():
      if checkpointer.owes_scores:
        scores = score(run, report, state, steps.start, not steps)
        checkpointer.add_scores(steps.start, scores)
      batch = sharding.put_batch(next(batches), run.mesh) if steps else None
      for i in report.progress(steps):
        # The order matters: while the device is at step i, the host makes batch
        # i + 1 and writes the metrics of the steps before.
        tracer.before(i)
        with (
          jax.transfer_guard("disallow"),
          jax.profiler.StepTraceAnnotation("train", step_num=i),
        ):
          state, metrics = run.train_step(state, teachers, batch)
        done, last = i + 1, i + 1 == steps.stop
        evaluates = last or _due(done, config.eval_every)
        saves = evaluates or _due(done, config.checkpoint_every)
        watched.started(done, metrics, saves or _due(done, config.log_every))
        if not last:
          with watched.data():
            batch = sharding.put_batch(next(batches), run.mesh)
        report.flush()
        tracer.after(i)
        checkpointer.settle(wait=False)
        stops = stopping.reached()
        if saves or stops:
          report.flush(wait=True)  # what is not finite is never saved
          guard.check_state(done, state)
          scores = None
          if evaluates and not stops:
            try:
              scores = score(run, report, state, done, last)
            except errors.Stopped:
              stops = True
          checkpointer.save(
            done, state, run.metadata, scores, owes_scores=evaluates and stops
          )
        if stops:
          place = run.workdir / "checkpoints" / str(done)
          raise stopping.stopped(f"after step {done}, saved in {place}")
    final = finish(run, checkpointer, state, steps.stop)
    if run.config.eval.subjects and final:
      report.results(steps.stop, final, "eval")
    # Once more, if it could not be written.
    checkpointer.save(steps.stop, state, run.metadata, scores)
    return final


def score(
  run: run_lib.Run,
  report: logs.Reporter,
  state: step_lib.TrainState,
  done: int,
  last: bool,
) -> dict[str, float] | None:
  """Evaluates a state in training, reports, and returns the flat metrics.

  Raises:
    errors.Stopped: a signal came before there were metrics; nothing is
      reported.
  """
  with report.evaluating():
    results = run.evaluator(state.variables)
    gap = run.soft_gap(state) if run.soft_gap else None
  report.evaluation(done, results, last)
  if gap is not None:
    report.soft_gap(done, gap)
  return results.flat() if results else None


def finish(
  run: run_lib.Run,
  checkpointer: checkpointer_lib.Checkpointer,
  state: step_lib.TrainState,
  step: int,
) -> evaluation.Evaluation | None:
  """Scores the last state by all subjects; names the best one if it is older.

  The best is by the protocol's primary metric, among the evaluations in
  training.
  """
  folder = run.workdir / "checkpoints"
  results = run.evaluator.finish(
    state.variables, step, run.workdir, str(folder / str(step))
  )
  best = checkpointer.best_step
  if best not in (None, step) and not jax.process_index():
    print(f"the best checkpoint is an earlier one: {folder / str(best)}")
  return results


def initial_state(
  run: run_lib.Run, checkpointer: checkpointer_lib.Checkpointer
) -> step_lib.TrainState:
  """The newest state of the workdir; of a new run, that of step 0."""
  step = checkpointer.latest_step
  if step is None:
    state = run.init_state(jax.random.key(run.config.seed))
    state = start_from(
      run.config.train.init_from, state, run.place, run.student
    )
    return start_quantizers(run, state)
  abstract = jax.eval_shape(run.init_state, jax.random.key(0))
  state = checkpointer.restore(abstract, run.place)
  folder = run.workdir / "checkpoints"
  if not jax.process_index():
    print(f"resumed from {folder / str(step)}", flush=True)
    if run.resumption.text:
      print(run.resumption.text, flush=True)
  return state


def start_from(
  path: str,
  state: step_lib.TrainState,
  place: placement.Placement,
  student: models.GaitNetwork,
) -> step_lib.TrainState:
  """Gives a fresh state what fits it of a checkpoint, and says what did."""
  if not path:
    return state
  variables, taken, stayed = checkpoint.restore_matching(
    path, state.variables, place, student.quantization is not None
  )
  print(f"taken from {path}: {len(taken)} arrays ({_parts(taken)})")
  print(f"as initialised: {len(stayed)} arrays ({_parts(stayed)})", flush=True)
  return state.replace(**variables)


def start_quantizers(
  run: run_lib.Run, state: step_lib.TrainState
) -> step_lib.TrainState:
  """Gives the steps of a fresh quantised state what its values ask for.

  Those of `train.init_from` are kept if they are of the same bits, and all are
  there.
  """
  settings, path = run.student.quantization, run.config.train.init_from
  if settings is None:
    return state
  if (
    path and checkpoint.restored_meta(path).get("quantization") == settings.form
  ):
    stored = checkpoint.stored_shapes(path)
    wanted = array_names.shapes(state.variables)
    if all(stored.get(n) == wanted[n] for n in wanted if "step_size" in n):
      return state
  count = run.config.quantization.batches
  with run.batches(0) as batches:
    steps = calibration.observe(
      run.student,
      state.variables,
      (sharding.put_batch(next(batches), run.mesh) for _ in range(count)),
      run.mesh,
    )
  if not jax.process_index():
    print(
      f"quantised, {settings.name}: steps of {len(jax.tree.leaves(steps))} "
      f"quantisers from {count} batches ({settings.observer})",
      flush=True,
    )
  return state.replace(**calibration.with_steps(state.variables, steps))


def _lacks_results(config: Any, workdir: storage.Path, step: int) -> bool:
  """Whether a run was stopped in its last evaluation, of all subjects."""
  return bool(config.eval.subjects) and not logs.has_results(workdir, step)


def _parts(names: Sequence[str]) -> str:
  """The parts of a network that arrays belong to."""
  return ", ".join(dict.fromkeys(n.split("/")[1] for n in names)) or "none"


def _due(done: int, every: int) -> bool:
  return every > 0 and done % every == 0
