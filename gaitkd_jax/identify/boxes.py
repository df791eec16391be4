"""Boxes of people that the user's own tracker found, from a CSV file."""

import csv
import math
import os

import numpy as np

from gaitkd_jax.errors import Mistakes
from gaitkd_jax.errors import UserError
from gaitkd_jax.identify.track import Detection

COLUMNS = ("frame", "id", "x", "y", "w", "h")
# A track with a gap of more frames is worth a word.
_GAP = 25
_LISTED = 5  # mistakes that are named


class Boxes:
  """Boxes by frame.

  Attributes:
    path: of the file.
    by_frame: {number of a frame, from 0: {id: float [4], left, top, width and
      height in the video's pixels}}.
    warnings: what was odd, each in one line.
  """

  def __init__(self, path: str | os.PathLike[str]):
    """Reads a file.

    Args:
      path: lines of frame,id,x,y,w,h: frames count from 0, x and y are the
        upper left corner in pixels. The first line may hold these names. What
        follows after h is ignored, so that MOTChallenge's files can be read,
        whose frames count from 1: take 1 away.

    Raises:
      UserError: a line is no box, or an id is there twice in a frame.
    """
    self.path = os.fspath(path)
    self.by_frame: dict[int, dict[int, np.ndarray]] = {}
    self.warnings: list[str] = []
    try:
      with open(path, encoding="utf-8-sig", newline="") as file:
        rows = list(csv.reader(file))
    except OSError as error:
      raise UserError(
        f"--boxes {self.path} cannot be read ({error.strerror}); check the path"
      ) from error
    except (UnicodeDecodeError, csv.Error) as error:
      raise UserError(
        f"--boxes {self.path} is no CSV file; give lines of {','.join(COLUMNS)}"
      ) from error
    mistakes = Mistakes()
    wrong = 0
    for number, row in enumerate(rows, 1):
      cells = [cell.strip() for cell in row]
      if not any(cells) or (number == 1 and _is_header(cells)):
        continue
      if problem := self._add(cells):
        wrong += 1
        if wrong <= _LISTED:
          mistakes.add([f"--boxes {self.path}, line {number}: {problem}"])
    if wrong > _LISTED:
      mistakes.add([f"and {wrong - _LISTED} more lines of it"])
    mistakes.check()
    if not self.by_frame:
      raise UserError(
        f"--boxes {self.path} holds no box; give lines of {','.join(COLUMNS)}"
      )
    self._look_for_gaps()

  def check(self, width: int, height: int, count: int) -> None:
    """Checks the boxes against the video, and cuts them to its picture.

    Args:
      width: of the video in pixels.
      height: of the video in pixels.
      count: its frames; 0: unknown.

    Raises:
      UserError: a box is outside the picture, or its frame behind the end.
    """
    outside = [
      (frame, name)
      for frame, boxes in sorted(self.by_frame.items())
      for name, (x, y, w, h) in sorted(boxes.items())
      if x >= width or y >= height or x + w <= 0 or y + h <= 0
    ]
    if outside:
      frame, name = outside[0]
      more = f", and {len(outside) - 1} more" if len(outside) > 1 else ""
      raise UserError(
        f"--boxes {self.path}: the box of id {name} in frame {frame}{more} "
        f"lies outside the picture of {width} x {height} pixels; x, y, w, h are "
        "pixels of the video, x and y the upper left corner"
      )
    last = max(self.by_frame)
    if count and last >= count:
      raise UserError(
        f"--boxes {self.path} names frame {last}, but the video has {count} "
        f"frames, 0 to {count - 1}; are these the boxes of another video, or "
        "do they count from 1?"
      )
    for boxes in self.by_frame.values():
      for name, (x, y, w, h) in boxes.items():
        left, top = max(x, 0.0), max(y, 0.0)
        right, bottom = min(x + w, width), min(y + h, height)
        boxes[name] = np.array([left, top, right - left, bottom - top])

  def detections(self, frame: int, scale: float) -> list[Detection]:
    """The boxes of a frame, in pixels of the picture scaled down by `scale`."""
    return [
      Detection(box / scale, id=name)
      for name, box in sorted(self.by_frame.get(frame, {}).items())
    ]

  def _add(self, cells: list[str]) -> str:
    """Adds a box; returns what is wrong with it."""
    if len(cells) < len(COLUMNS):
      return f"{len(cells)} numbers; give {','.join(COLUMNS)}"
    try:
      values = [float(cell) for cell in cells[: len(COLUMNS)]]
    except ValueError:
      return f"{','.join(cells)[:60]} are no numbers; give {','.join(COLUMNS)}"
    if not all(map(math.isfinite, values)):
      return "a number is not finite; leave the line out"
    frame, name, _, _, width, height = values
    if frame != int(frame) or frame < 0 or name != int(name):
      return (
        f"frame {cells[0]}, id {cells[1]}: give whole numbers, frames from 0"
      )
    if min(width, height) <= 0:
      return f"a box of {cells[4]} x {cells[5]} pixels; leave the line out"
    boxes = self.by_frame.setdefault(int(frame), {})
    if int(name) in boxes:
      return f"id {int(name)} is in frame {int(frame)} twice; keep one box"
    boxes[int(name)] = np.array(values[2:])
    return ""

  def _look_for_gaps(self) -> None:
    seen: dict[int, int] = {}
    gaps: dict[int, tuple[int, int]] = {}
    for frame in sorted(self.by_frame):
      for name in self.by_frame[frame]:
        gap = frame - seen.get(name, frame) - 1
        if gap > max(_GAP, gaps.get(name, (0, 0))[0]):
          gaps[name] = (gap, seen[name])
        seen[name] = frame
    for name, (gap, since) in sorted(gaps.items())[:_LISTED]:
      self.warnings.append(
        f"--boxes {self.path}: id {name} is not there for {gap} frames after "
        f"frame {since}; it is taken for one person all the same"
      )
    if len(gaps) > _LISTED:
      self.warnings.append(
        f"--boxes {self.path}: {len(gaps) - _LISTED} more ids have such gaps"
      )


def _is_header(cells: list[str]) -> bool:
  return not any(cell[:1].isdigit() or cell[:1] in "+-." for cell in cells[:2])
