"""Renders many sequences on all cores, in a fixed order."""

import collections
from collections.abc import Iterator
from collections.abc import Sequence
from concurrent import futures
import contextlib
import itertools
import multiprocessing
import os
import signal
import sys
import threading
import types
import zlib

import numpy as np

from data_pipelines.walkers import sequence
from data_pipelines.walkers import spec as spec_lib

# Tasks for each core that are handed out ahead. A finished one takes about 1 MB
# until it is read, so this bounds the memory.
_TASKS_AHEAD = 4


def _render(
  size: spec_lib.Size, spec: spec_lib.Spec, subject: str, condition: str
) -> np.ndarray:
  """Returns all views of one walk as bits, uint8 [views, s, 64, 8]."""
  views = [
    sequence.render_sequence(size, subject, condition, view, spec)
    for view in size.views
  ]
  return np.packbits(np.stack(views), axis=-1)


def _render_heatmaps(
  size: spec_lib.Size, spec: spec_lib.Spec, subject: str, condition: str
) -> list[list[bytes]]:
  """Returns the heat maps of all views of one walk, each frame compressed."""
  views = (
    sequence.render_heatmaps(size, subject, condition, view, spec)
    for view in size.views
  )
  return [[zlib.compress(maps.tobytes()) for maps in view] for view in views]


def _render_task(
  size: spec_lib.Size,
  spec: spec_lib.Spec,
  heatmaps: bool,
  subject: str,
  condition: str,
) -> tuple[np.ndarray, list[list[bytes]] | None]:
  walk = (size, spec, subject, condition)
  return _render(*walk), _render_heatmaps(*walk) if heatmaps else None


@contextlib.contextmanager
def _bare_main() -> Iterator[None]:
  """Keeps child processes from importing the program that started them.

  A spawned process first imports its parent's main module. Rendering only needs
  numpy, whereas that program may take seconds to import, or have no file.
  """
  main = sys.modules["__main__"]
  sys.modules["__main__"] = types.ModuleType("__main__")
  try:
    yield
  finally:
    sys.modules["__main__"] = main


def _end_with_parent() -> None:
  multiprocessing.parent_process().join()
  os._exit(1)


def _start_worker() -> None:
  # Ctrl-C reaches all processes; only the parent ends the pool.
  signal.signal(signal.SIGINT, signal.SIG_IGN)
  signal.signal(signal.SIGTERM, signal.SIG_IGN)  # likewise a scheduler's
  # A worker waits for tasks forever if its parent is killed outright.
  threading.Thread(target=_end_with_parent, daemon=True).start()


def _render_all(
  size: spec_lib.Size,
  spec: spec_lib.Spec,
  heatmaps: bool,
  tasks: Sequence[tuple[str, str]],
  cores: int,
) -> Iterator[tuple[np.ndarray, list[list[bytes]] | None]]:
  if cores == 1:
    for task in tasks:
      yield _render_task(size, spec, heatmaps, *task)
    return
  # A fork would copy the locks that threads of TensorFlow and JAX hold.
  context = multiprocessing.get_context("spawn")
  pool = futures.ProcessPoolExecutor(
    cores, mp_context=context, initializer=_start_worker
  )
  try:
    todo = iter(tasks)
    pending = collections.deque()

    def submit(count: int) -> None:
      for task in itertools.islice(todo, count):
        pending.append(pool.submit(_render_task, size, spec, heatmaps, *task))

    with _bare_main():
      submit(_TASKS_AHEAD * cores)
    while pending:
      walk = pending.popleft().result()
      submit(1)
      yield walk
  finally:
    pool.shutdown(cancel_futures=True)


def sequences(
  size: str | spec_lib.Size,
  subjects: Sequence[str],
  spec: spec_lib.Spec,
  cores: int | None = None,
  *,
  heatmaps: bool = False,
) -> Iterator[tuple[str, str, str, dict[str, np.ndarray | list[bytes]]]]:
  """Renders all sequences of some subjects.

  Args:
    size: Name of a size, or a `Size`.
    subjects: Names of the subjects.
    spec: Knobs of the difficulty.
    cores: Processes to render in; None: as many as the machine has cores. With
      one, this process renders.
    heatmaps: Whether heat maps are rendered, too.

  Yields:
    (subject, condition, view, modalities), ordered by subject, condition and
    view whatever the number of processes. The modalities are "silhouettes",
    uint8 [s, 64, 64], and, if wanted, "heatmaps": s frames, uint8 [2, 64, 64],
    each compressed with zlib. Compressing takes long, so the rendering
    processes do it, side by side.
  """
  size = spec_lib.get_size(size)
  tasks = list(itertools.product(subjects, size.conditions))
  cores = min(cores or os.cpu_count() or 1, len(tasks))
  rendered = _render_all(size, spec, heatmaps, tasks, cores)
  with contextlib.closing(rendered):
    for (subject, condition), (bits, maps) in zip(tasks, rendered, strict=True):
      for i, view in enumerate(size.views):
        found = {"silhouettes": np.unpackbits(bits[i], axis=-1) * 255}
        if maps is not None:
          found["heatmaps"] = maps[i]
        yield subject, condition, view, found
