"""GaitGraph's table of CASIA-B's poses: one CSV file of all sequences.

`casia-b_pose_coco.csv` is part of release v0.1 of
https://github.com/tteepe/GaitGraph, where
`src/preparation/prepare_pose_estimation.py` writes it: a header, `image_name`
and `<joint>_x`, `<joint>_y`, `<joint>_conf` of COCO's 17 joints, and a row for
each picture in which a person was found. Names are as `src/datasets/gait.py`
splits them, `<anything>/001-bg-01-018/000021.jpg`, numbered from 1 by ffmpeg.
The tables of training and test subjects that `split_casia-b.py` writes are read
likewise.
"""

import collections
import pathlib
import re

import numpy as np

from data_pipelines.poses import follow
from data_pipelines.poses import sequence as sequence_lib
from gaitkd_jax.errors import UserError

_VALUES = 17 * 3
_NAME = re.compile(
  r"(?:.*/)?(\d+)-([a-z]+-\d+)-(\d+)/([^/]*\d[^/]*)", re.ASCII | re.DOTALL
)


def _split(line: bytes, path: pathlib.Path) -> tuple[str, str, str, str]:
  """Returns (subject, condition, view, picture) of a row."""
  name = line.split(b",", 1)[0].strip(b'" \r\n').decode("ascii", "replace")
  if match := _NAME.fullmatch(name):
    return match.groups()
  raise UserError(
    f"{path}: image_name {name[:100]!r} is not"
    " <id>-<condition>-<number>-<view>/<frame>, such as"
    " 001-bg-01-018/000021.jpg"
  )


def _is_table(path: pathlib.Path) -> bool:
  """Whether the first line is that of such a table."""
  with open(path, "rb") as file:
    line = file.readline(10_000)
  return b"image_name" in line[:20] and line.count(b",") == _VALUES


def _table(root: pathlib.Path) -> pathlib.Path | None:
  """The table that an input is or holds; None if there is none."""
  if root.is_file():
    return root
  paths = [p for p in sequence_lib.files(root, ".csv") if _is_table(p)]
  if len(paths) > 1:
    names = ", ".join(path.name for path in paths)
    raise UserError(f"{root} holds {len(paths)} tables ({names}); give one")
  return paths[0] if paths else None


def _fits(root: pathlib.Path) -> bool:
  return _table(root) is not None


def _find(root: pathlib.Path) -> list[sequence_lib.PoseSequence]:
  """Notes where each sequence's rows lie, so that one can be read alone.

  Raises:
    UserError: it is no such table.
    OSError: it cannot be read.
  """
  path = _table(root)
  if path is None:
    return []
  if not _is_table(path):
    raise UserError(
      f"{path}: the first line is not image_name and {_VALUES} columns of x, y,"
      " conf, as in GaitGraph's casia-b_pose_coco.csv; give that file"
    )
  rows = collections.defaultdict(list)
  with open(path, "rb") as file:
    at = len(file.readline())
    for line in file:
      end = at + len(line)
      if line.strip():
        parts = rows[_split(line, path)[:3]]
        if parts and parts[-1][1] == at:
          parts[-1] = (parts[-1][0], end)
        else:
          parts.append((at, end))
      at = end
  return [
    sequence_lib.PoseSequence(*key, path, tuple(parts))
    for key, parts in sorted(rows.items())
  ]


def _read(sequence: sequence_lib.PoseSequence, _: str) -> sequence_lib.Poses:
  path, frames = sequence.path, collections.defaultdict(list)
  source = f"{path}, {sequence.folder}"
  with open(path, "rb") as file:
    for start, end in sequence.rows:
      file.seek(start)
      for line in file.read(end - start).splitlines():
        picture = _split(line, path)[3]
        cells = line.split(b",")[1:]
        try:
          # GaitGraph leaves a cell empty where a joint is not known.
          values = np.array([cell.strip() or b"nan" for cell in cells], float)
        except ValueError:
          values = np.zeros(0)
        if len(values) != _VALUES:
          raise UserError(
            f"{source}, {picture[:100]}: {len(cells)} values where"
            f" {_VALUES} numbers are expected; copy the file again"
          )
        number = sequence_lib.frame_number(picture)
        frames[number].append(values.reshape(17, 3))
  return follow.fill(frames, source)


FORMAT = sequence_lib.Format(
  "gaitgraph",
  "GaitGraph's casia-b_pose_coco.csv",
  _fits,
  _find,
  _read,
)
