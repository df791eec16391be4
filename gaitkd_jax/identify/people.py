"""People who are followed, and the boxes in which they are found."""

from collections.abc import Sequence
import dataclasses

import numpy as np

from gaitkd_jax.identify import looks
from gaitkd_jax.identify.track import Detection

# So many frames make a person, fewer are noise.
_FRAMES = 3
# Shares of what is found, in position, size and velocity.
_POSITION, _SIZE, _VELOCITY = 0.6, 0.3, 0.15
_LOOK = 0.1
# So close to the border, in shares of the picture's width, someone leaves.
_BORDER = 0.01

LEFT = "left the picture"
LOST = "lost"
LAST = "the video ends"


@dataclasses.dataclass(eq=False)
class Person:
  """One person who is followed.

  Attributes:
    id: from 1; 0 until there are so many frames that it may be used.
    centre: float [2], pixels.
    size: float [2], width and height.
    velocity: float [2], pixels a frame.
    area: white pixels, a running mean.
    look: a running mean of `Detection.look`, while alone.
    frames: numbers of the frames in which the person was seen alone.
    found: what was seen there.
    ended: why the track ends; "" while it goes on.
    missing: frames since the person was last seen.
  """

  id: int
  centre: np.ndarray
  size: np.ndarray
  velocity: np.ndarray
  area: float
  look: np.ndarray | None
  frames: list[int] = dataclasses.field(default_factory=list)
  found: list[Detection] = dataclasses.field(default_factory=list)
  ended: str = ""
  missing: int = 0

  @classmethod
  def of(cls, detection: Detection, frame: int) -> "Person":
    """A person who is seen for the first time."""
    centre, size = centre_of(detection.box)
    person = cls(
      0, centre, size, np.zeros(2), float(detection.area), detection.look
    )
    person.frames.append(frame)
    person.found.append(detection)
    return person

  @property
  def known(self) -> bool:
    """Whether this is no noise."""
    return len(self.frames) >= _FRAMES

  @property
  def box(self) -> np.ndarray:
    """Where the person is foreseen, float [4]."""
    return np.concatenate([self.centre - self.size / 2, self.size])

  def foresee(self) -> None:
    """One frame later."""
    self.centre = self.centre + self.velocity
    self.missing += 1

  def see(self, detection: Detection, frame: int) -> None:
    """The person is found, alone."""
    centre, size = centre_of(detection.box)
    error = centre - self.centre
    # The first frames say nothing of the velocity yet.
    gain = max(_VELOCITY, 1 / (len(self.frames) + 1))
    self.velocity = self.velocity + gain * error / self.missing
    self.centre = self.centre + _POSITION * error
    self.size = self.size + _SIZE * (size - self.size)
    self.area += _SIZE * (detection.area - self.area)
    if self.look is None:
      self.look = detection.look
    elif detection.look is not None:
      self.look = self.look + _LOOK * (detection.look - self.look)
    self.missing = 0
    self.frames.append(frame)
    self.found.append(detection)


def centre_of(box: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
  """Centre and size of a box, float [2] each."""
  size = np.asarray(box[2:], np.float64)
  return np.asarray(box[:2], np.float64) + size / 2, size


def _intersection(a: np.ndarray, b: np.ndarray) -> float:
  width = min(a[0] + a[2], b[0] + b[2]) - max(a[0], b[0])
  height = min(a[1] + a[3], b[1] + b[3]) - max(a[1], b[1])
  return max(0.0, width) * max(0.0, height)


def inside(a: np.ndarray, b: np.ndarray) -> float:
  """The share of box a that box b covers."""
  return float(_intersection(a, b) / max(a[2] * a[3], 1e-9))


def overlaps(a: Sequence[np.ndarray], b: Sequence[np.ndarray]) -> np.ndarray:
  """Intersection over union of boxes, [n, m]."""
  found = np.zeros((len(a), len(b)))
  for i, first in enumerate(a):
    for j, second in enumerate(b):
      both = _intersection(first, second)
      union = first[2] * first[3] + second[2] * second[3] - both
      found[i, j] = both / max(union, 1e-9)
  return found


def grown(box: np.ndarray) -> np.ndarray:
  """A box with a margin."""
  margin = 0.15 * box[2:]
  return np.concatenate([box[:2] - margin, box[2:] + 2 * margin])


def joined(parts: Sequence[Detection]) -> Detection:
  """One person of several parts."""
  box = hull([part.box for part in parts])
  mask = None
  if all(part.mask is not None for part in parts):
    width, height = np.rint(box[2:]).astype(int)
    mask = np.zeros((height, width), np.uint8)
    for part in parts:
      left, top = np.rint(part.box[:2] - box[:2]).astype(int)
      rows, columns = part.mask.shape
      mask[top : top + rows, left : left + columns] |= part.mask
  area = sum(part.area for part in parts)
  look = None
  if all(part.look is not None for part in parts):
    look = sum(part.area * part.look for part in parts) / max(area, 1)
  return dataclasses.replace(parts[0], box=box, mask=mask, area=area, look=look)


def hull(boxes: Sequence[np.ndarray]) -> np.ndarray:
  """The smallest box around boxes."""
  low = np.min([box[:2] for box in boxes], axis=0)
  high = np.max([box[:2] + box[2:] for box in boxes], axis=0)
  return np.concatenate([low, high - low])


def differ(person: Person, detection: Detection) -> float:
  """How different someone looks, 0 to 1; 0 if that is not known."""
  if person.look is None or detection.look is None:
    return 0.0
  return looks.distance(person.look, detection.look)


def where_to(box: np.ndarray, width: int, height: int) -> str:
  """Why someone is gone who was last seen in a box."""
  border = _BORDER * width
  inside = box[0] > border and box[0] + box[2] < width - border
  inside &= box[1] > border and box[1] + box[3] < height - border
  return LOST if inside else LEFT
