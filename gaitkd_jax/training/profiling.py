"""A trace of some steps, to look at in TensorBoard."""

from collections.abc import Callable
import contextlib
import dataclasses
import pathlib
import re
import shutil
import sys
import tempfile
from typing import Self

import jax

from gaitkd_jax import errors
from gaitkd_jax import failures
from gaitkd_jax import storage

# Steps of a process that are left out where only a number of steps is asked
# for: the first one compiles, and the queue of batches fills in the next.
_WARM_UP = 5


@dataclasses.dataclass(frozen=True)
class Wanted:
  """Which steps to trace.

  Attributes:
    count: how many.
    first: finished steps before the first one; None: five steps after the
      start of the process.
  """

  count: int
  first: int | None = None

  @classmethod
  def parse(cls, text: str) -> Self:
    """Reads `--profile`: "10", or "100:110" for the ten steps after step 100.

    Raises:
      errors.UserError: it is neither.
    """
    found = re.fullmatch(r"(?:(\d+):)?(\d+)", text)
    first = int(found[1]) if found and found[1] else None
    count = int(found[2]) - (first or 0) if found else 0
    if count < 1:
      raise errors.UserError(
        f"--profile={text}: give a number of steps, as 10, or the first and "
        "last of them, as 100:110"
      )
    return cls(count, first)

  def of(self, steps: range) -> range:
    """The steps to trace, of those that a process does.

    Raises:
      errors.UserError: there are none.
    """
    first = self.first
    if first is None:
      room = max(0, len(steps) - self.count)
      first = steps.start + min(_WARM_UP, room)
    found = range(max(first, steps.start), min(first + self.count, steps.stop))
    if not found:
      raise errors.UserError(
        f"--profile={first}:{first + self.count} asks for none of the steps "
        f"that are still to do, {steps.start} to {steps.stop}"
      )
    return found


class Tracer:
  """Traces steps of the first process, and puts the files into the workdir.

  They are written to a folder of this machine first, since the workdir may be
  in a store. A trace that cannot be kept is said, and the run goes on.
  """

  def __init__(
    self,
    wanted: Wanted | None,
    steps: range,
    workdir: storage.Path,
    pause: Callable[[], contextlib.AbstractContextManager[None]],
  ):
    """Begins nothing yet.

    Args:
      wanted: None: nothing is traced.
      steps: that this process does.
      workdir: takes `plugins/profile/<time>/`.
      pause: waits until the device has done what was started, and does not
        count the time of what is done inside.

    Raises:
      errors.UserError: none of the steps is to be traced.
    """
    steps = wanted.of(steps) if wanted else range(0)
    self._steps = range(0) if jax.process_index() else steps
    self._workdir = workdir
    self._pause = pause
    self._folder: str | None = None

  def __enter__(self) -> Self:
    return self

  def __exit__(self, *unused: object) -> None:
    if self._folder is not None:  # something was raised in between
      jax.profiler.stop_trace()
      shutil.rmtree(self._folder, ignore_errors=True)

  def before(self, i: int) -> None:
    """Begins the trace, if step i, counted from 0, is its first."""
    if self._steps and i == self._steps.start:
      options = jax.profiler.ProfileOptions()
      options.python_tracer_level = 0  # it would slow down what is measured
      with self._pause():
        self._folder = tempfile.mkdtemp(prefix="gaitkd_trace_")
        jax.profiler.start_trace(self._folder, profiler_options=options)

  def after(self, i: int) -> None:
    """Ends the trace, if step i, counted from 0, is its last."""
    if self._folder is None or i + 1 != self._steps.stop:
      return
    with self._pause():
      folder, self._folder = self._folder, None
      try:
        jax.profiler.stop_trace()
        place = _keep(folder, self._workdir)
        print(
          f"written: {place} (a trace of {len(self._steps)} steps; pip install "
          f"xprof, then tensorboard --logdir={self._workdir})",
          flush=True,
        )
      except Exception as e:  # of a disk, a store, or the profiler
        print(
          f"the trace could not be written ({failures.short(e)}); the run goes "
          "on without",
          file=sys.stderr,
          flush=True,
        )
      finally:
        shutil.rmtree(folder, ignore_errors=True)


def _keep(folder: str, workdir: storage.Path) -> storage.Path:
  """Copies a trace into the workdir; returns its folder there."""
  traces = list(pathlib.Path(folder).glob("plugins/profile/*"))
  if not traces or not any(traces[0].iterdir()):
    raise RuntimeError("JAX wrote no files")
  place = workdir / "plugins" / "profile" / traces[0].name
  for file in traces[0].iterdir():
    storage.write_bytes(place / file.name, file.read_bytes())
  return place
