"""Makes heat maps of limbs and joints from key points.

python scripts/make_heatmaps.py --input=poses --output=heatmaps \
  --silhouettes=silhouettes

A folder `<input>/<id>/<condition>/<view>/` has one .pkl, .npz or .npy of key
points, [frames, 17, 3] (COCO) or [frames, 18, 3] (OpenPose). What is written is
OpenGait's layout: `<output>/<id>/<condition>/<view>/0_heatmap.pkl`, uint8
[frames, 2, 64, 64]. With `--silhouettes`, a link `1_sil.pkl` to the pickle in
the same folder of that tree lies beside it. If the program is stopped and
started again, it goes on; sequences that cannot be used are left out and
listed.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from collections.abc import Iterator
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
import sys

import cv2
import numpy as np
import tqdm

from data_pipelines import heatmaps
from data_pipelines import pickles
from gaitkd_jax import errors

HEATMAP, SILHOUETTE = "0_heatmap.pkl", "1_sil.pkl"
_SUFFIXES = (".pkl", ".npz", ".npy")


@dataclasses.dataclass(frozen=True)
class Job:
  """One sequence.

  Attributes:
    source: the folder of its key points.
    target: the folder to write.
    silhouettes: the folder of its silhouettes, or None.
    copy: whether the silhouettes are copied, not linked.
  """

  source: pathlib.Path
  target: pathlib.Path
  silhouettes: pathlib.Path | None
  copy: bool

  @property
  def finished(self) -> bool:
    """Whether all its files are there."""
    wanted = [HEATMAP] + [SILHOUETTE] * (self.silhouettes is not None)
    return all((self.target / name).exists() for name in wanted)


def _only_file(
  folder: pathlib.Path, suffixes: tuple[str, ...], what: str
) -> pathlib.Path:
  """Returns the file in a folder; if several, the one named as the folder."""
  files = [
    path
    for path in (folder.iterdir() if folder.is_dir() else ())
    if path.suffix.lower() in suffixes and not path.name.startswith(".")
  ]
  named_alike = [path for path in files if path.stem == folder.name]
  if len(named_alike) == 1 or len(files) == 1:
    return (named_alike or files)[0]
  raise errors.UserError(
    f"{folder}: {len(files)} files of {what} where one is expected"
  )


def _replace(
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


def convert(job: Job) -> str:
  """Makes the files of one sequence; returns why it could not, or ""."""
  try:
    source = _only_file(job.source, _SUFFIXES, "key points")
    key_points = heatmaps.read_key_points(source)
    if job.silhouettes is not None:
      found = _only_file(job.silhouettes, (".pkl",), "silhouettes")
      count = len(pickles.read_silhouettes(found))
      if count != len(key_points):
        raise errors.UserError(
          f"{source}: {len(key_points)} frames of key points, but {count} in"
          f" {found}; both need the same frames"
        )
    try:
      maps = heatmaps.make_heatmaps(key_points)
    except errors.UserError as error:
      raise errors.UserError(f"{source}: {error}") from None
    job.target.mkdir(parents=True, exist_ok=True)
    if job.silhouettes is not None:
      link = functools.partial(_link, found, job.copy)
      _replace(job.target / SILHOUETTE, link)
    _replace(job.target / HEATMAP, functools.partial(_dump, maps))
  except errors.UserError as error:
    return " ".join(str(error).split())
  except OSError as error:
    return f"{error.filename or job.target}: {error.strerror}"
  return ""


def find(args: argparse.Namespace) -> list[Job]:
  """Lists the sequences below the input.

  Raises:
    errors.UserError: a folder is missing or holds no sequence, or the output is
      in another one of them.
  """
  given = {"--input": args.input, "--silhouettes": args.silhouettes}
  for flag, root in given.items():
    if root is not None and not root.is_dir():
      raise errors.UserError(
        f"{flag} {root} is not a folder; give the one that holds"
        " <id>/<condition>/<view>"
      )
    output = args.output.resolve()
    if root is not None and root.resolve() in (output, *output.parents):
      raise errors.UserError(
        f"--output {args.output} is in {flag}; give a folder elsewhere"
      )
  folders = sorted(path for path in args.input.glob("*/*/*") if path.is_dir())
  if not folders:
    raise errors.UserError(
      f"--input {args.input} holds no <id>/<condition>/<view>/ with a .pkl,"
      " .npz or .npy"
    )
  names = [folder.relative_to(args.input) for folder in folders]
  return [
    Job(
      folder,
      args.output / name,
      args.silhouettes and args.silhouettes / name,
      args.copy,
    )
    for folder, name in zip(folders, names, strict=True)
  ]


def _start_worker() -> None:
  # Ctrl-C reaches all processes; only the parent ends the pool.
  signal.signal(signal.SIGINT, signal.SIG_IGN)
  cv2.setNumThreads(1)


def convert_all(jobs: list[Job], processes: int) -> Iterator[str]:
  """Yields the results of `convert`, in order."""
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
      raise errors.UserError(
        "a process was killed, perhaps because memory ran out; give fewer"
        " --processes and start again to go on"
      ) from None


def run(args: argparse.Namespace) -> None:
  """Converts a tree, shows progress, and lists what was left out."""
  if args.processes < 1:
    raise errors.UserError(f"--processes is {args.processes}; give 1 or more")
  jobs = find(args)
  todo = [job for job in jobs if args.overwrite or not job.finished]
  processes = max(1, min(args.processes, len(todo)))
  reasons = list(
    tqdm.tqdm(
      convert_all(todo, processes),
      desc="heat maps",
      total=len(todo),
      unit="sequence",
      disable=None,  # where standard error is no terminal
    )
  )
  failed = [reason for reason in reasons if reason]
  for reason in failed:
    print(f"left out: {reason}", file=sys.stderr)
  print(
    f"{len(todo) - len(failed)} sequences written to {args.output},"
    f" {len(jobs) - len(todo)} were there, {len(failed)} left out"
  )
  if len(failed) == len(jobs):
    raise errors.UserError(f"no sequence of {args.input} can be used")


def main() -> None:
  """Parses the command line; a user's mistake is one line and status 2."""
  parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
  parser.add_argument(
    "--input", type=pathlib.Path, required=True, help="tree of key points"
  )
  parser.add_argument(
    "--output", type=pathlib.Path, required=True, help="tree to write"
  )
  parser.add_argument(
    "--silhouettes", type=pathlib.Path, help="tree of silhouettes to link"
  )
  parser.add_argument(
    "--copy", action="store_true", help="copy the silhouettes, do not link"
  )
  parser.add_argument(
    "--overwrite", action="store_true", help="make what is there again"
  )
  parser.add_argument("--processes", type=int, default=os.cpu_count() or 1)
  try:
    run(parser.parse_args())
  except errors.UserError as error:
    print(f"error: {' '.join(str(error).split())}", file=sys.stderr)
    sys.exit(2)


if __name__ == "__main__":
  main()
