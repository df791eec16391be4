"""How fast a run is, what it waits for, and how much memory it uses."""

from collections.abc import Iterator
import contextlib
import os
import pathlib
import time

import jax

from gaitkd_jax.training import watch

_GIB = 2**30
_STATM = pathlib.Path("/proc/self/statm")


class Pace:
  """Measures steps between one line of the log and the next.

  The first step of a process and the first after an evaluation are not
  counted: they hold the time of what was compiled, or of the evaluation. The
  time in which a checkpoint keeps the device waiting is.
  """

  def __init__(self, steps: int, eval_every: int, sequences: int):
    """Begins.

    Args:
      steps: of the whole run.
      eval_every: see `train.eval_every`.
      sequences: of a global batch.
    """
    self._steps = steps
    self._eval_every = eval_every
    self._sequences = sequences
    self._since: watch.Done | None = None
    self._idle = 0.0
    self._evaluation = 0.0  # seconds that the last one took

  @contextlib.contextmanager
  def evaluation(self) -> Iterator[None]:
    """What is done inside is an evaluation: its time is not the training's."""
    began = time.monotonic()
    yield
    self._evaluation = time.monotonic() - began
    self.restart()

  def restart(self) -> None:
    """What was done between the last step and the next is not counted."""
    self._since = None

  def add(self, done: watch.Done) -> None:
    """Takes the next step that the device has done."""
    if self._since is None:
      self._since, self._idle = done, 0.0
    else:
      self._idle += done.idle

  def measured(self, done: watch.Done) -> dict[str, float]:
    """What was measured until a step, which was added, and begins anew.

    Args:
      done: the step.

    Returns:
      By name: seconds_per_step, steps_per_second, sequences_per_second,
      data_wait (the share, 0 to 1, of the time in which the device waited for
      data), hours_left (with the evaluations to come, if there was one), and
      those of `memory`; only these for the first step, which compiled.
    """
    since, self._since = self._since, done
    idle, self._idle = self._idle, 0.0
    if since is None or since.step >= done.step:
      return memory()
    passed = done.time - since.time
    seconds = passed / (done.step - since.step)
    left = seconds * (self._steps - done.step)
    left += self._evaluation * self._evaluations_after(done.step)
    return {
      "seconds_per_step": seconds,
      "steps_per_second": 1 / seconds,
      "sequences_per_second": self._sequences / seconds,
      "data_wait": min(1.0, idle / passed),
      "hours_left": left / 3600,
    } | memory()

  def _evaluations_after(self, step: int) -> int:
    if self._eval_every <= 0:
      return int(step < self._steps)
    inside = self._steps // self._eval_every - step // self._eval_every
    return inside + bool(self._steps % self._eval_every)


def memory() -> dict[str, float]:
  """GiB that this process uses.

  Returns:
    "device_gib", the most that was in use so far on the local device that used
    most, where the device tells it (a CPU does not); and "host_gib", what is in
    use now, on Linux.
  """
  found = {}
  stats = [device.memory_stats() or {} for device in jax.local_devices()]
  used = [s.get("peak_bytes_in_use", s.get("bytes_in_use")) for s in stats]
  if None not in used:
    found["device_gib"] = max(used) / _GIB
  if _STATM.exists():
    pages = int(_STATM.read_text().split()[1])
    found["host_gib"] = pages * os.sysconf("SC_PAGE_SIZE") / _GIB
  return found
