"""Follows one person through frames that show several.

Pose estimators find everybody, and number people anew in every frame. The
walker of a sequence is taken to be the most confident and largest person in it,
and is followed from that frame forward and backward: in the next frame, the
walker is the person whose joints are nearest on average, measured in heights of
the body. Who is further away than `MOST_JUMP` heights is somebody else; then
the frame shows no person. After `MOST_GAP` frames without the walker, the
others show no person either, because nobody could tell who is who.

OpenGait takes the first person of each frame, and so jumps between people; its
remedy for OUMVLP takes the person who lies on the silhouette
(https://github.com/ShiqiYu/OpenGait/pull/280).
"""

from collections.abc import Iterable
from collections.abc import Mapping
from collections.abc import Sequence
import math

import numpy as np

from data_pipelines.poses import sequence as sequence_lib
from gaitkd_jax.errors import UserError

MOST_JUMP = 0.5  # of the body's height, between frames in which it is seen
MOST_GAP = 25  # frames: one second of most videos
_MOST_FRAMES = 100_000  # over an hour at 25 Hz


def _known(person: np.ndarray) -> np.ndarray:
  """Which joints [17] of a person [17, 3] have a place."""
  points = person[:, :2]
  return np.isfinite(points).all(-1) & (points != 0).any(-1)


def _height(person: np.ndarray) -> float:
  y = person[_known(person), 1]
  return float(np.ptp(y)) if len(y) else 0.0


def prominence(person: np.ndarray) -> float:
  """How much a person stands out: summed confidence times height.

  Args:
    person: float [17, 3].
  """
  confidence = np.clip(np.nan_to_num(person[:, 2]), 0, 1)
  return float(confidence[_known(person)].sum() * _height(person))


def distance(one: np.ndarray, other: np.ndarray) -> float:
  """The mean distance of the joints that both have, in heights of the larger.

  Args:
    one: float [17, 3].
    other: likewise.

  Returns:
    The distance; infinite if they share no joint or have no height.
  """
  both = _known(one) & _known(other)
  height = max(_height(one), _height(other))
  if not both.any() or not height:
    return np.inf
  steps = np.linalg.norm(one[both, :2] - other[both, :2], axis=-1)
  return float(steps.mean()) / height


def one_person(frames: Sequence[np.ndarray]) -> np.ndarray:
  """Chooses one person a frame.

  Args:
    frames: float [people, 17, 3] of each frame in turn; people may be 0.

  Returns:
    float64 [t, 17, 3]; 0 in frames that show no person. If no frame shows
    several, all are taken as they are.
  """
  result = np.zeros((len(frames), 17, 3))
  if all(len(people) < 2 for people in frames):
    for row, people in zip(result, frames, strict=True):
      row[:] = people[0] if len(people) else 0
    return result
  best = [max(map(prominence, people), default=-1.0) for people in frames]
  start = int(np.argmax(best))
  result[start] = max(frames[start], key=prominence)

  def follow(order: Iterable[int]) -> None:
    last, gap = result[start], 0
    for i in order:
      found = min(
        frames[i], key=lambda person: distance(last, person), default=None
      )
      if found is None or distance(last, found) > MOST_JUMP:
        gap += 1
        if gap > MOST_GAP:
          return
      else:
        result[i] = last = found
        gap = 0

  follow(range(start + 1, len(frames)))
  follow(range(start - 1, -1, -1))
  return result


def fill(
  frames: Mapping[int, Sequence[np.ndarray]], source: str
) -> sequence_lib.Poses:
  """Puts frames in order, and empty ones where numbers are left out.

  A list of people says nothing of frames without any. Numbers are counted in
  their greatest common step, because a video may have been thinned out.

  Args:
    frames: people [17, 3] by the number of the frame.
    source: where they come from, for the error.

  Returns:
    The poses from the first frame that is listed to the last.

  Raises:
    UserError: there is no frame, or the numbers are far apart.
  """
  if not frames:
    raise UserError(f"{source}: holds no frame; delete the file")
  first, last = min(frames), max(frames)
  step = math.gcd(*(number - first for number in frames)) or 1
  numbers = range(first, last + 1, step)
  # Not `len`, which fails beyond the size of an index.
  if (last - first) // step >= _MOST_FRAMES:
    raise UserError(
      f"{source}: frames are numbered from {first} to {last}, but only"
      f" {len(frames)} are there; number them one after another"
    )
  people = [
    np.array(frames.get(number, ())).reshape(-1, 17, 3) for number in numbers
  ]
  return sequence_lib.Poses(one_person(people), source, tuple(numbers))
