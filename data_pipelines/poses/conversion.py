"""Writes OpenGait's tree of heat maps, and of silhouettes beside them."""

from collections.abc import Callable
from collections.abc import Iterator
from collections.abc import Mapping
from collections.abc import Sequence
from concurrent import futures
from concurrent.futures import process
import dataclasses
import functools
import multiprocessing
import os
import pathlib
import pickle
import shutil
import signal

import cv2
import numpy as np

from data_pipelines import heatmaps
from data_pipelines.poses import formats
from data_pipelines.poses import sequence as sequence_lib
from data_pipelines.poses import silhouettes as silhouettes_lib
from gaitkd_jax.errors import UserError

HEATMAP, SILHOUETTE = "0_heatmap.pkl", "1_sil.pkl"


@dataclasses.dataclass(frozen=True)
class Job:
  """One sequence.

  Attributes:
    format: the name of its format.
    sequence: where its poses lie.
    target: the folder to write.
    silhouettes: the root of the silhouettes, or None.
    copy: whether pickles of silhouettes are copied, not linked.
    chosen: which of several pickles of a folder are meant, by "poses" and
      "silhouettes"; see `arrays.parse_choice`.
  """

  format: str
  sequence: sequence_lib.PoseSequence
  target: pathlib.Path
  silhouettes: pathlib.Path | None = None
  copy: bool = False
  chosen: Mapping[str, str] = dataclasses.field(default_factory=dict)

  @property
  def finished(self) -> bool:
    """Whether all its files are there."""
    wanted = [HEATMAP] + [SILHOUETTE] * (self.silhouettes is not None)
    return all((self.target / name).exists() for name in wanted)


@dataclasses.dataclass(frozen=True)
class Outcome:
  """What became of a job.

  Attributes:
    reason: why it could not be done; "" if it could.
    poses: how many frames of poses have no silhouette, and are left out.
    silhouettes: how many silhouettes have no pose, and are left out.
  """

  reason: str = ""
  poses: int = 0
  silhouettes: int = 0


def replace(
  target: pathlib.Path, write: Callable[[pathlib.Path], None]
) -> None:
  """Has `write` make a file under another name, then renames it."""
  unfinished = target.with_name(f".{target.name}.{os.getpid()}")
  try:
    write(unfinished)
    os.replace(unfinished, target)
  finally:
    unfinished.unlink(missing_ok=True)


def _dump(values: np.ndarray, path: pathlib.Path) -> None:
  with open(path, "wb") as file:
    pickle.dump(values, file, protocol=4)


def _link(source: pathlib.Path, copy: bool, path: pathlib.Path) -> None:
  if copy:
    shutil.copyfile(source, path)
  else:
    path.symlink_to(source.resolve())


def _convert(job: Job) -> Outcome:
  sequence, outcome = job.sequence, Outcome()
  read = formats.FORMATS[job.format].read
  poses = read(sequence, job.chosen.get("poses", ""))
  if job.silhouettes is not None:
    found = silhouettes_lib.find(
      job.silhouettes, sequence, job.chosen.get("silhouettes", "")
    )
    pairing = silhouettes_lib.pair(poses, found)
    outcome = Outcome(
      poses=len(poses.key_points) - len(pairing.poses),
      silhouettes=found.count - len(pairing.silhouettes),
    )
    if found.pickle is None:
      frames = silhouettes_lib.read_images(
        [found.images[i] for i in pairing.silhouettes]
      )
      save = functools.partial(_dump, frames)
    else:
      save = functools.partial(_link, found.pickle, job.copy)
  try:
    maps = heatmaps.make_heatmaps(poses.key_points)
  except UserError as error:
    raise UserError(f"{poses.source}: {error}") from None
  job.target.mkdir(parents=True, exist_ok=True)
  if job.silhouettes is not None:
    maps = maps[list(pairing.poses)]
    replace(job.target / SILHOUETTE, save)
  replace(job.target / HEATMAP, functools.partial(_dump, maps))
  return outcome


def convert(job: Job) -> Outcome:
  """Makes the files of one sequence, or says why it could not."""
  try:
    return _convert(job)
  except UserError as error:
    return Outcome(" ".join(str(error).split()))
  except OSError as error:
    return Outcome(f"{error.filename or job.target}: {error.strerror}")


def _start_worker() -> None:
  # Ctrl-C reaches all processes; only the parent ends the pool.
  signal.signal(signal.SIGINT, signal.SIG_IGN)
  signal.signal(signal.SIGTERM, signal.SIG_IGN)  # likewise a scheduler's
  cv2.setNumThreads(1)


def convert_all(jobs: Sequence[Job], processes: int) -> Iterator[Outcome]:
  """Yields the results of `convert`, in order.

  Raises:
    UserError: a process was killed.
  """
  if processes == 1:
    yield from map(convert, jobs)
    return
  pool = futures.ProcessPoolExecutor(
    processes, multiprocessing.get_context("spawn"), _start_worker
  )
  with pool:
    try:
      yield from pool.map(convert, jobs, chunksize=4)
    except process.BrokenProcessPool:
      raise UserError(
        "a process was killed, perhaps because memory ran out; give fewer"
        " --processes and start again to go on"
      ) from None
