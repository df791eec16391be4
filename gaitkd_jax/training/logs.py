"""What a training prints and logs, without making the device wait."""

from collections.abc import Iterable
from collections.abc import Mapping
from collections.abc import Sequence
import dataclasses
import pathlib
import time
import types
from typing import Any

import jax
import numpy as np
import tqdm

from gaitkd_jax import errors
from gaitkd_jax import evaluation as evaluation_lib
from gaitkd_jax import workdir as workdir_lib
from gaitkd_jax.evaluation import tables
from gaitkd_jax.training import writers


def create_writer(
  config: Any,
  workdir: pathlib.Path,
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
  return writers.MultiWriter(
    [
      writers.JsonlWriter(
        workdir / "metrics.jsonl", last_step, scores_again=scores_again
      ),
      writers.TensorBoardWriter(workdir, last_step),
      writers.ConsoleWriter(),
    ]
  )


def has_results(workdir: pathlib.Path, step: int) -> bool:
  """Whether the metrics of an evaluation of all subjects are logged."""
  path = workdir / "metrics.jsonl"
  text = path.read_text(errors="replace") if path.exists() else ""
  return any(
    line.startswith(f'{{"step": {step}, "eval/') for line in text.splitlines()
  )


class Reporter:
  """Prints and logs metrics without making the device wait."""

  def __init__(
    self, config: Any, workdir: pathlib.Path, writer: writers.Writer
  ):
    self._subjects = config.eval.subjects
    self._sequences = config.batch.identities * config.batch.sequences
    self._workdir = workdir
    self._writer = writer
    self._pending = None
    self._since = None  # time and step of the last metrics

  def progress(self, steps: range) -> Iterable[int]:
    """The steps; a terminal shows a bar, a log file nothing."""
    return tqdm.tqdm(
      steps, initial=steps.start, total=steps.stop, desc="train", disable=None
    )

  def metrics_later(
    self, step: int, metrics: Mapping[str, jax.Array], written: bool = True
  ) -> None:
    """Keeps metrics, which may still be computed, for the next `flush`.

    Args:
      step: finished steps.
      metrics: of the last one.
      written: whether `flush` writes them, rather than only look at them.
    """
    self._pending = step, metrics, written

  def flush(self) -> None:
    """Waits for the metrics that were kept, and writes them.

    Raises:
      errors.UserError: the loss or the norm of the gradient is not finite.
    """
    if self._pending is None:
      return
    (step, metrics, written), self._pending = self._pending, None
    scalars = {
      f"train/{k}": float(v) for k, v in jax.device_get(metrics).items()
    }
    for name in ("loss", "gradient_norm"):
      if not np.isfinite(scalars[f"train/{name}"]):
        raise errors.UserError(
          f"the {name} is {scalars[f'train/{name}']} at step {step}; lower "
          "optim.learning_rate, set optim.clip_norm, or look at the data"
        )
    if written:
      self._writer.write(step, scalars | self._speed(step))

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
      workdir_lib.write(
        results.flat(), name, self._workdir, step=step, left_out=left_out
      )
    self.results(step, results, "eval_subset" if some else "eval")
    self._since = None  # its time is not the training's

  def results(
    self, step: int, results: evaluation_lib.Evaluation, prefix: str
  ) -> None:
    """Logs the metrics of an evaluation, without those of single views."""
    scalars = results.flat(views=False)
    self._writer.write(step, {f"{prefix}/{k}": v for k, v in scalars.items()})

  def _speed(self, step: int) -> dict[str, float]:
    """Speed since the last call; none for the first, which compiled."""
    before, self._since = self._since, (time.monotonic(), step)
    if before is None:
      return {}
    seconds = (self._since[0] - before[0]) / (step - before[1])
    return {
      "train/seconds_per_step": seconds,
      "train/sequences_per_second": self._sequences / seconds,
    }
