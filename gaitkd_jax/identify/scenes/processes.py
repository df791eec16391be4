"""Renders several scenes at once, in processes of its own."""

from collections.abc import Iterator
from collections.abc import Mapping
import contextlib
import multiprocessing
from multiprocessing import connection as connection_lib
from multiprocessing import resource_tracker
import pathlib
import signal
from typing import Any

from gaitkd_jax import errors
from gaitkd_jax.hosts import stopping
from gaitkd_jax.identify.scenes import spec
from gaitkd_jax.identify.scenes import video_files


@contextlib.contextmanager
def writing(
  videos: Mapping[pathlib.Path, spec.Scene], processes: int = 2
) -> Iterator[Iterator[pathlib.Path]]:
  """Writes videos while something else is done.

  Inside, the processes render; at the end they are gone, whether they were
  through or not, and so are videos that were begun.

  Args:
    videos: scenes by the file to be written, see `write_video`.
    processes: how many.

  Yields:
    The files, each when it is written. Raises what `write_video` does.
  """
  # Pipes alone: what a queue or a pool shares would be complained of if the
  # program is left.
  context = multiprocessing.get_context("spawn")
  workers: dict[Any, Any] = {}
  try:
    _start(context, min(processes, len(videos)), workers)
    yield _written(videos, list(workers))
  finally:
    for worker in workers.values():
      worker.terminate()
    for pipe, worker in workers.items():
      worker.join()
      pipe.close()
    for path in videos:
      video_files.unfinished(path).unlink(missing_ok=True)


def _start(context: Any, count: int, workers: dict[Any, Any]) -> None:
  """Adds processes that render, by their pipes."""
  # It is started first, since it lets ctrl-C through again.
  resource_tracker.ensure_running()
  # A terminal's ctrl-C reaches all processes of a program; of it the main one
  # takes care. Processes inherit what is held back here.
  before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
  try:
    # Half of a start would make the process complain.
    with stopping.held():
      for _ in range(count):
        here, there = context.Pipe()
        worker = context.Process(target=_work, args=(there,), daemon=True)
        worker.start()
        workers[here] = worker
        there.close()
  finally:
    signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _written(
  videos: Mapping[pathlib.Path, spec.Scene], pipes: list[Any]
) -> Iterator[pathlib.Path]:
  """Hands out scenes at once, and yields what is written as it is asked."""
  waiting = list(videos.items())[::-1]
  for pipe in pipes:
    _hand(pipe, waiting)
  return _answers(waiting, len(videos), pipes)


def _answers(
  waiting: list[tuple[pathlib.Path, spec.Scene]], count: int, pipes: list[Any]
) -> Iterator[pathlib.Path]:
  for _ in range(count):
    (pipe, *_) = connection_lib.wait(pipes)
    try:
      path, error = pipe.recv()
    except EOFError:
      raise errors.UserError(
        "a process that renders was ended from outside (too little memory?); "
        "start again"
      ) from None
    if error is not None:
      raise error
    if waiting:
      _hand(pipe, waiting)
    else:
      pipes.remove(pipe)
    yield path


def _hand(pipe: Any, waiting: list[tuple[pathlib.Path, spec.Scene]]) -> None:
  """Gives a process the next scene."""
  # One that is gone is heard of when its answer is read.
  with contextlib.suppress(BrokenPipeError):
    pipe.send(waiting.pop())


def _work(pipe: Any) -> None:
  """Writes videos until the pipe is closed; prints nothing."""
  while True:
    try:
      path, scene = pipe.recv()
    except EOFError:
      return
    error: Exception | None = None
    try:
      video_files.write_video(scene, path)
    except Exception as raised:
      error = raised
    try:
      pipe.send((path, error))
    except BrokenPipeError:
      return  # the main process was ended by force
