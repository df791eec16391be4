"""What all formats share: where a sequence lies, and how frames are named."""

from collections.abc import Callable
from collections.abc import Iterator
from collections.abc import Sequence
import dataclasses
import itertools
import os
import pathlib
import re

import numpy as np

from data_pipelines import tree
from gaitkd_jax.errors import UserError

# A file of poses is read as a whole; an hour of one person is 40 MB of JSON.
_MOST_BYTES = 2**28


@dataclasses.dataclass(frozen=True)
class PoseSequence:
  """Where the poses of one sequence lie.

  Attributes:
    subject: such as "001".
    condition: such as "nm-01".
    view: such as "090".
    path: the folder or the file that holds them.
    rows: (start, end) in bytes of its parts of the file, if the file holds
      other sequences, too.
    silhouettes: the folder of the same sequence in the publisher's tree of
      silhouettes, if that is not `<subject>/<condition>/<view>`.
  """

  subject: str
  condition: str
  view: str
  path: pathlib.Path
  rows: tuple[tuple[int, int], ...] = ()
  silhouettes: str = ""

  @property
  def folder(self) -> pathlib.PurePath:
    """Its place in OpenGait's tree."""
    return pathlib.PurePath(self.subject, self.condition, self.view)


@dataclasses.dataclass(frozen=True)
class Poses:
  """The poses of one sequence.

  Attributes:
    key_points: float64 [t, 17, 3], COCO's joints as (x, y, confidence); all 0
      where a frame shows no person.
    source: where they were read, for errors.
    numbers: those of the frames, increasing; empty if they are not known.
  """

  key_points: np.ndarray
  source: str
  numbers: tuple[int, ...] = ()


@dataclasses.dataclass(frozen=True)
class Format:
  """One way in which poses are shipped.

  Attributes:
    name: for the command line.
    text: what the input holds, for people.
    fits: whether an input seems to be of this format, by a look at few files.
    find: lists the sequences of an input.
    read: reads one. The text says which of several files of a folder is meant,
      by index or a part of the name; empty for the format's own rule.
  """

  name: str
  text: str
  fits: Callable[[pathlib.Path], bool]
  find: Callable[[pathlib.Path], list[PoseSequence]]
  read: Callable[[PoseSequence, str], Poses]


def frame_number(name: str) -> int | None:
  """The number of a frame: the last digits in the name of its file.

  Such as 21 of `0021_keypoints.json`, 11627 of `human_crop_f11627.txt` and 12
  of `001-nm-01-090-012.png`; None if there are none, or too many.
  """
  digits = re.findall(r"\d+", pathlib.PurePath(name).stem, re.ASCII)
  return int(digits[-1]) if digits and len(digits[-1]) < 30 else None


def frame_numbers(names: Sequence[str]) -> tuple[int, ...]:
  """The numbers of frames whose names are in natural order.

  Returns:
    One number a frame; none at all unless they increase from frame to frame,
    because then the last digits number something else.
  """
  numbers = [frame_number(name) for name in names]
  if None in numbers or any(a >= b for a, b in itertools.pairwise(numbers)):
    return ()
  return tuple(numbers)


def subfolders(path: pathlib.Path) -> list[pathlib.Path]:
  """The visible folders in a folder, by name; links are followed."""
  if not path.is_dir():
    return []
  with os.scandir(path) as entries:
    names = [e.name for e in entries if e.name[0] != "." and e.is_dir()]
  return [path / name for name in sorted(names)]


def folders(root: pathlib.Path, depth: int) -> Iterator[pathlib.Path]:
  """All folders `depth` below a root, in order of their paths."""
  if not depth:
    yield root
    return
  for path in subfolders(root):
    yield from folders(path, depth - 1)


def files(path: pathlib.Path, *suffixes: str) -> list[pathlib.Path]:
  """The visible files with one of the endings, in natural order."""
  if not path.is_dir():
    return []
  with os.scandir(path) as entries:
    names = [
      e.name
      for e in entries
      if e.name.lower().endswith(suffixes)
      and e.name[0] != "."
      and not e.is_dir()
    ]
  return [path / name for name in sorted(names, key=tree.natural_key)]


def by_folders(root: pathlib.Path) -> list[PoseSequence]:
  """Lists the sequences of a tree `<subject>/<condition>/<view>`."""
  return [
    PoseSequence(*path.relative_to(root).parts, path)
    for path in folders(root, 3)
  ]


def read_text(path: pathlib.Path) -> str:
  """Reads a small text file.

  Raises:
    UserError: it cannot be read, is huge, or is no text.
  """
  try:
    if (size := path.stat().st_size) > _MOST_BYTES:
      raise UserError(
        f"{path}: {size} bytes are too many for the poses of one sequence; "
        "split the file"
      )
    return path.read_bytes().decode()
  except OSError as error:
    raise UserError(
      f"{path}: cannot be read ({error.strerror}); repair or delete it"
    ) from error
  except UnicodeDecodeError:
    raise UserError(f"{path}: is not a text file; copy it again") from None
