"""Follows the steps on the device, without making the device wait.

A step is started long before it is done: the host goes on to make the next
batch. Here a thread waits for every step in its turn, notes when the device was
done with it, and whether its loss and gradient are finite. The loop takes from
it what is there, and waits for the rest only before it saves.
"""

from collections.abc import Iterator
from collections.abc import Mapping
import contextlib
import dataclasses
import math
import queue
import threading
import time
from typing import Self

import jax

# What has to be finite in every step.
WATCHED = ("loss", "gradient_norm")
# So many steps the host is ahead of the device, at most: enough that the device
# never runs dry, and few enough that their batches fit beside the network.
_AHEAD = 4

Metrics = Mapping[str, jax.Array]


@dataclasses.dataclass(frozen=True)
class Done:
  """A step that the device has done.

  Attributes:
    step: its number, from 1.
    metrics: of `step.make_train_step`, still on the device.
    logged: whether they are to be written.
    finite: whether loss and norm of the gradient are.
    time: when it was done, in seconds of `time.monotonic`.
    idle: seconds in which the device had nothing to do because the batch of
      this step was not there; see `Watch`.
  """

  step: int
  metrics: Metrics
  logged: bool
  finite: bool
  time: float
  idle: float


@dataclasses.dataclass(frozen=True)
class _Started:
  step: int
  metrics: Metrics
  logged: bool
  data: tuple[float, float]  # from when to when the host waited for the batch


class Watch:
  """A thread that waits for every step in its turn.

  What counts as waiting for data: the host asks for the batch of step i + 1 at
  time b, while the device may still be at step i, and has put it at time e. If
  the device was done with step i at time f, it waited max(0, e - max(b, f))
  seconds for this batch: nothing, if it was still busy when the batch came. The
  time between steps that evaluations, checkpoints or logs take is not counted,
  nor the wait for the first batch. The thread learns f some tens of
  microseconds late.
  """

  def __init__(self) -> None:
    self._started: queue.SimpleQueue[_Started | None] = queue.SimpleQueue()
    self._done: queue.SimpleQueue[Done | Exception] = queue.SimpleQueue()
    self._open = 0  # steps that were started and not given out
    self._data = (0.0, 0.0)
    self._thread = threading.Thread(target=self._follow, daemon=True)
    self._thread.start()

  def __enter__(self) -> Self:
    return self

  def __exit__(self, *unused: object) -> None:
    self._started.put(None)

  @contextlib.contextmanager
  def data(self) -> Iterator[None]:
    """What is done inside is getting the next batch."""
    began = time.monotonic()
    with jax.profiler.TraceAnnotation("next batch"):
      yield
    self._data = began, time.monotonic()

  def started(self, step: int, metrics: Metrics, logged: bool) -> None:
    """Hands over a step that was given to the device.

    Args:
      step: its number, from 1.
      metrics: of the step; it need not be done.
      logged: is given back with it.
    """
    self._started.put(_Started(step, metrics, logged, self._data))
    self._open += 1

  def done(self, wait: bool = False) -> Iterator[Done]:
    """Gives out the steps that are done, each once and in their order.

    Args:
      wait: whether to wait until all that were started are done; else it waits
        only while the host is more than four steps ahead.

    Raises:
      Exception: what the device, or the computation, raised.
    """
    while self._open:
      try:
        one = self._done.get(block=wait or self._open > _AHEAD)
      except queue.Empty:
        return
      self._open -= 1
      if isinstance(one, Exception):
        raise one
      yield one

  def _follow(self) -> None:
    before = math.inf  # when the device was done with the step before
    while (one := self._started.get()) is not None:
      try:
        watched = [one.metrics[name] for name in WATCHED]
        jax.block_until_ready(watched)
        now = time.monotonic()
        finite = all(math.isfinite(x) for x in jax.device_get(watched))
      except Exception as e:
        self._done.put(e)
        continue
      waited, before = idle(one.data, before), now
      self._done.put(
        Done(one.step, one.metrics, one.logged, finite, now, waited)
      )


def idle(data: tuple[float, float], before: float) -> float:
  """Seconds for which the device waited for a batch, see `Watch`.

  Args:
    data: from when to when the host waited for it.
    before: when the device was done with the step before.
  """
  began, ended = data
  return max(0.0, ended - max(began, before))
