"""What a training prints and logs, without making the device wait."""

from collections.abc import Iterable
from collections.abc import Iterator
from collections.abc import Mapping
from collections.abc import Sequence
import contextlib
import dataclasses
import sys
import types
from typing import Any

import jax
import tqdm

from gaitkd_jax import errors
from gaitkd_jax import evaluation as evaluation_lib
from gaitkd_jax import storage
from gaitkd_jax import workdir as workdir_lib
from gaitkd_jax.evaluation import tables
from gaitkd_jax.training import finite
from gaitkd_jax.training import pace
from gaitkd_jax.training import spool as spool_lib
from gaitkd_jax.training import watch
from gaitkd_jax.training import writers


def create_writer(
  config: Any,
  workdir: storage.Path,
  last_step: int | None,
  changed: Mapping[str, Sequence[Any]] = types.MappingProxyType({}),
  *,
  scores_again: bool = False,
) -> writers.MultiWriter:
  """Opens the logs and writes config.json, in the first process only.

  Args:
    config: the whole config.
    workdir: of the run.
    last_step: finished steps; None: the run begins.
    changed: what is not as before, see `workdir.write_config`.
    scores_again: whether `last_step` is evaluated once more.
  """
  if jax.process_index():
    return writers.MultiWriter([])
  workdir_lib.write_config(workdir, config.to_dict(), last_step, changed)
  if storage.is_remote(workdir):
    return writers.MultiWriter(_spooled(workdir, last_step, scores_again))
  return writers.MultiWriter(
    [
      writers.JsonlWriter(
        workdir / "metrics.jsonl", last_step, scores_again=scores_again
      ),
      writers.TensorBoardWriter(workdir, last_step),
      writers.ConsoleWriter(),
    ]
  )


def _spooled(
  workdir: storage.Path, last_step: int | None, scores_again: bool
) -> list[writers.Writer]:
  """The writers of a workdir in a store."""
  spool = spool_lib.Spool(workdir)
  name = "metrics.jsonl"
  lines = writers.JsonlWriter(
    spool.folder / name, last_step, workdir / name, scores_again=scores_again
  )
  events = writers.TensorBoardWriter(spool.folder, last_step)
  spool.start()
  return [lines, events, writers.ConsoleWriter(), spool]


def has_results(workdir: storage.Path, step: int) -> bool:
  """Whether the metrics of an evaluation of all subjects are logged."""
  path = workdir / "metrics.jsonl"
  text = storage.read_text(path, "replace") if storage.exists(path) else ""
  return any(
    line.startswith(f'{{"step": {step}, "eval/') for line in text.splitlines()
  )


class Reporter:
  """Prints and logs metrics without making the device wait."""

  def __init__(
    self,
    config: Any,
    workdir: storage.Path,
    writer: writers.Writer,
    steps: watch.Watch,
    guard: finite.Guard,
  ):
    """Begins.

    Args:
      config: the whole config.
      workdir: of the run.
      writer: takes the metrics.
      steps: follows them on the device.
      guard: is asked what to do where one is not finite.
    """
    self._subjects = config.eval.subjects
    self._workdir = workdir
    self._writer = writer
    self._watch = steps
    self._guard = guard
    self._pace = pace.Pace(
      config.train.steps,
      config.train.eval_every,
      config.batch.identities * config.batch.sequences,
    )

  def progress(self, steps: range) -> Iterable[int]:
    """The steps; a terminal shows a bar, a log file nothing."""
    return tqdm.tqdm(
      steps, initial=steps.start, total=steps.stop, desc="train", disable=None
    )

  def flush(self, wait: bool = False) -> None:
    """Writes the metrics of the steps that are done.

    Args:
      wait: whether to wait for all that were started.

    Raises:
      errors.UserError: the loss or the norm of the gradient is not finite.
    """
    for done in self._watch.done(wait):
      self._pace.add(done)
      scalars = {"skipped": 1.0} if self._guard.skips(done) else {}
      if done.logged:
        metrics = jax.device_get(done.metrics)
        scalars = {k: float(v) for k, v in metrics.items()} | scalars
        scalars |= self._pace.measured(done)
      if scalars:
        self._writer.write(
          done.step, {f"train/{k}": v for k, v in scalars.items()}
        )

  def evaluating(self) -> contextlib.AbstractContextManager[None]:
    """What is done inside is an evaluation: its time is not the training's."""
    return self._pace.evaluation()

  @contextlib.contextmanager
  def paused(self) -> Iterator[None]:
    """Waits for the steps; the time of what is done inside is not theirs."""
    self.flush(wait=True)
    yield
    self._pace.restart()

  def evaluation(
    self, step: int, results: evaluation_lib.Evaluation | None, last: bool
  ) -> None:
    """Prints and writes the metrics of an evaluation, if there was one.

    `loop.finish` prints those of all subjects after the last step.
    """
    if not results:
      return
    some = bool(self._subjects)
    if (some or not last) and not jax.process_index():
      print(tables.format_table(results.metrics), flush=True)
      if results.left_out:
        print(tables.format_left_out(results.left_out), flush=True)
      name = f"{step}_subset" if some else str(step)
      left_out = [dataclasses.asdict(one) for one in results.left_out]
      try:
        workdir_lib.write(
          results.flat(), name, self._workdir, step=step, left_out=left_out
        )
      except errors.UserError as e:  # on a full disk, say
        print(f"{e}; the run goes on", file=sys.stderr, flush=True)
    self.results(step, results, "eval_subset" if some else "eval")

  def soft_gap(self, step: int, gap: float) -> None:
    """Prints and logs how far soft values are from those that are tested."""
    if not jax.process_index():
      print(
        f"soft against hard rounding: cosine {1 - gap:.5f} between embeddings",
        flush=True,
      )
    self._writer.write(step, {"eval/soft_gap": gap})

  def results(
    self, step: int, results: evaluation_lib.Evaluation, prefix: str
  ) -> None:
    """Logs the metrics of an evaluation, without those of single views."""
    scalars = results.flat(views=False)
    self._writer.write(step, {f"{prefix}/{k}": v for k, v in scalars.items()})
