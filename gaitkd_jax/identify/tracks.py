"""Follows people from frame to frame: SORT, and what to do where they meet.

Bewley et al. 2016, "Simple Online and Realtime Tracking": every person's box is
foreseen by constant velocity, and the boxes that are found are given to those
foreseen so that their overlap is the greatest in sum. In place of a Kalman
filter its steady state is used, fixed shares of what was foreseen and found,
because here every box is as certain as any other.

Where two people meet, a background model finds one box for both. A tracker that
gives it to either may go on with the other person later, and nobody would
know. So both tracks pause. Once there are as many boxes again as there were
people, clothes say who is who, if they say it clearly; if not, both tracks end,
and new ones begin.

The `trackers` of PyPI would do the first part, but need opencv-python, which
must not be installed beside opencv-python-headless.
"""

from collections.abc import Sequence
import dataclasses

import numpy as np

from gaitkd_jax.identify import looks
from gaitkd_jax.identify import quality
from gaitkd_jax.identify.track import Detection

# A box that is found is no one's whose box is foreseen with less overlap
# (intersection over union).
_OVERLAP = 0.2
# A box holds a person if it covers that share of the box foreseen.
_INSIDE = 0.5
# So many frames make a person, fewer are noise. A track is numbered once it has
# as many as it needs, see `quality.LEAST_GOOD`.
_FRAMES = 3
# A person who was not seen for so many seconds is another one when back; so is
# one who looks that different.
_GAP = 0.6
_CHANGED = 0.6
# People who are together for so many seconds are not told apart afterwards.
_TOGETHER = 4.0
# To tell people apart, the wrong way must be that much worse than the right one
# (mean distance of looks, 0 to 1).
_CLEARLY = 0.12
# A part of a person is less than this share of the person's area.
_PART = 0.45
# It is that person's if so much of it is where that one is foreseen.
_OWN_PART = 0.8
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
    centre, size = _centre(detection.box)
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
    centre, size = _centre(detection.box)
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


@dataclasses.dataclass(eq=False)
class _Group:
  """People who are found as one box.

  Attributes:
    people: those whose tracks pause.
    box: float [4], the last one.
    frames: how long they are together.
    missing: frames since the box was last seen.
  """

  people: list[Person]
  box: np.ndarray
  frames: int = 0
  missing: int = 0


class Tracker:
  """Follows people; the same frames give the same tracks.

  Attributes:
    tracks: of 15 frames or more, in the order in which they had these.
    seen: the boxes of the last frame that were given to somebody.
    present: all boxes of the last frame.
    short: how many people of 3 frames or more were no track, by the reason why
      they ended.
  """

  def __init__(self, fps: float, width: int, height: int):
    """Begins with an empty picture.

    Args:
      fps: frames a second.
      width: of the picture.
      height: of the picture.
    """
    self.tracks: list[Person] = []
    self.seen: list[Detection] = []
    self.present: list[Detection] = []
    self.short: dict[str, int] = {}
    self._last = 0  # the last id
    self._gap = max(2, round(_GAP * fps))
    self._together = round(_TOGETHER * fps)
    self._width, self._height = width, height
    self._people: list[Person] = []  # who are followed, also before an id
    self._groups: list[_Group] = []

  def update(self, frame: int, detections: Sequence[Detection]) -> None:
    """Goes on by one frame.

    Args:
      frame: its number; one more than before.
      detections: the people who are found in it.
    """
    self.seen = []
    for person in self._all():
      person.foresee()
    self.present = self._join(list(detections))
    free = list(self.present)
    for group in list(self._groups):
      free = self._follow(group, frame, free)
    pairs = self._assign(free)
    free = self._meet(pairs, free)
    for person, detection in pairs.items():
      self._fall_apart(person, detection, free)
    for person, detection in pairs.items():
      if not person.ended:
        self._see(person, detection, frame)
    self._drop()
    self._people += [Person.of(detection, frame) for detection in free]
    self.seen += free

  def finish(self) -> list[Person]:
    """Ends all tracks, and returns them."""
    for person in self._all():
      gone = person.missing > 1
      self._finish(person, self._reason(person) if gone else LAST)
    self._people, self._groups = [], []
    return self.tracks

  def take_ended(self) -> list[Person]:
    """Returns tracks that have ended since the last call, and forgets them."""
    ended = [person for person in self.tracks if person.ended]
    self.tracks = [person for person in self.tracks if not person.ended]
    return ended

  def _all(self) -> list[Person]:
    return [*self._people, *(p for g in self._groups for p in g.people)]

  def _join(self, found: list[Detection]) -> list[Detection]:
    """Puts together what fell into parts, where one person is foreseen."""
    claims: dict[Person, list[Detection]] = {}
    for detection in found:
      owners = [
        person
        for person in self._all()
        if _inside(detection.box, _grown(person.box)) > _OWN_PART
      ]
      if len(owners) == 1 and owners[0].known:
        claims.setdefault(owners[0], []).append(detection)
    for person, parts in claims.items():
      tall = [part for part in parts if part.box[3] > 0.6 * person.size[1]]
      if len(parts) > 1 and len(tall) < 2:
        found = [one for one in found if one not in parts] + [_joined(parts)]
    return sorted(found, key=lambda one: tuple(one.box))

  def _see(self, person: Person, detection: Detection, frame: int) -> None:
    person.see(detection, frame)
    self.seen.append(detection)
    if not person.id and len(person.frames) >= quality.LEAST_GOOD:
      self._last += 1
      person.id = self._last
      self.tracks.append(person)

  def _assign(self, free: list[Detection]) -> dict[Person, Detection]:
    """Gives boxes to people; takes them from `free`."""
    from scipy.optimize import linear_sum_assignment

    if not free or not self._people:
      return {}
    overlap = _overlaps([p.box for p in self._people], [d.box for d in free])
    pairs = {}
    for i, j in zip(*linear_sum_assignment(-overlap), strict=True):
      person, detection = self._people[i], free[j]
      if overlap[i, j] < _OVERLAP:
        continue
      # Behind a tree, people may change places.
      if person.missing > 2 and _differ(person, detection) > _CHANGED:
        continue
      pairs[person] = detection
    taken = set(map(id, pairs.values()))
    free[:] = [d for d in free if id(d) not in taken]
    return pairs

  def _meet(
    self, pairs: dict[Person, Detection], free: list[Detection]
  ) -> list[Detection]:
    """Makes groups of people who are in one box; returns the boxes left."""
    owner = {id(d): p for p, d in pairs.items()}
    waiting = [p for p in self._people if p not in pairs]
    left = []
    for detection in [*pairs.values(), *free]:
      person = owner.get(id(detection))
      inside = [p for p in waiting if _inside(p.box, detection.box) > _INSIDE]
      if person is not None and _inside(person.box, detection.box) > _INSIDE:
        inside.append(person)
      known = [p for p in inside if p.known]
      if len(known) > 1:
        pairs.pop(person, None) if person is not None else None
        self._groups.append(_Group(known, detection.box))
        self._people = [p for p in self._people if p not in inside]
        waiting = [p for p in waiting if p not in inside]
      elif person is None:
        left.append(detection)
    return left

  def _fall_apart(
    self, person: Person, detection: Detection, free: list[Detection]
  ) -> None:
    """Ends a track of which another person steps out.

    Two people may have come into the picture as one.
    """
    if not person.known:
      return
    before = person.found[-1]
    for other in free:
      whole = before.area and other.area > _PART * before.area
      tall = other.box[3] > 0.6 * before.box[3]
      if whole and tall and _inside(other.box, before.box) > _INSIDE:
        self._finish(person, "two people stepped out of it")
        free.append(detection)
        return

  def _follow(
    self, group: _Group, frame: int, free: list[Detection]
  ) -> list[Detection]:
    """Follows people who are together; returns the boxes left to others."""
    boxes = [group.box] + [person.box for person in group.people]
    own, others = [], []
    for detection in free:
      near = max(_inside(detection.box, group.box), 0.0) > 0.3 or any(
        _overlaps([box], [detection.box])[0, 0] > _OVERLAP for box in boxes
      )
      (own if near else others).append(detection)
    group.frames += 1
    # Someone else may walk into them.
    for person in list(self._people):
      if person.known and any(
        _inside(person.box, d.box) > _INSIDE and d.area > 1.5 * person.area
        for d in own
      ):
        if any(
          _overlaps([person.box], [d.box])[0, 0] > 0.6
          and d.area < 1.5 * person.area
          for d in own
        ):
          continue
        self._people.remove(person)
        group.people.append(person)
    # Who was seen beside them keeps his box.
    for detection in list(own):
      for person in self._people:
        if _overlaps([person.box], [detection.box])[0, 0] > 0.5:
          own.remove(detection)
          others.append(detection)
          break
    if not own:
      group.missing += 1
      if group.missing > self._gap:
        self._end(group, "lost while together with another")
      return others
    group.missing = 0
    group.box = _hull([d.box for d in own])
    whole = [
      d
      for d in own
      if any(
        d.box[3] > 0.7 * p.size[1] and d.area > _PART * p.area
        for p in group.people
      )
    ]
    if len(whole) >= len(group.people):
      self._groups.remove(group)
      return others + self._part(group, frame, whole)
    if group.frames > self._together:
      self._end(group, "together with another for too long")
      return others + own
    return others

  def _part(
    self, group: _Group, frame: int, found: list[Detection]
  ) -> list[Detection]:
    """People step apart: says who is who; returns the boxes that are left."""
    from scipy.optimize import linear_sum_assignment

    people = group.people
    cost = np.array([[_differ(p, d) for d in found] for p in people])
    rows, columns = linear_sum_assignment(cost)
    clear = len(found) == len(people)
    for i, a in zip(rows, columns, strict=True):
      for k, b in zip(rows, columns, strict=True):
        if i < k:
          wrong = cost[i, b] + cost[k, a] - cost[i, a] - cost[k, b]
          clear &= bool(wrong > 2 * _CLEARLY)
    if not clear:
      for person in people:
        others = [f"track {p.id}" if p.id else "another" for p in people]
        others.remove(f"track {person.id}" if person.id else "another")
        self._finish(
          person, f"met {' and '.join(others)}, and could not be told apart"
        )
      return found
    for i, a in zip(rows, columns, strict=True):
      person, detection = people[i], found[a]
      centre, size = _centre(detection.box)
      person.centre, person.size = centre, size
      # Who meets may turn back; the velocity is learned anew.
      person.velocity = np.zeros(2)
      self._see(person, detection, frame)
      self._people.append(person)
    return []

  def _finish(self, person: Person, reason: str) -> None:
    person.ended = reason
    if person.known and not person.id:
      reason = reason.partition(" ")[0] if reason.startswith("met") else reason
      self.short[reason] = self.short.get(reason, 0) + 1

  def _end(self, group: _Group, reason: str) -> None:
    for person in group.people:
      self._finish(person, reason)
    self._groups.remove(group)

  def _reason(self, person: Person) -> str:
    return _goes(person.found[-1].box, self._width, self._height)

  def _drop(self) -> None:
    """Ends tracks of people who are no longer there."""
    kept = []
    for person in self._people:
      if not person.ended and person.missing > (
        self._gap if person.known else 1
      ):
        self._finish(person, self._reason(person))
      if not person.ended:
        kept.append(person)
    self._people = kept


class Given:
  """Tracks of boxes whose ids are known; see `Tracker`, which is alike.

  Attributes:
    tracks: in the order of their ids' first frames.
    seen: the boxes of the last frame.
    short: nobody.
  """

  def __init__(self, width: int, height: int):
    """Begins with an empty picture.

    Args:
      width: of the picture.
      height: of the picture.
    """
    self.tracks: list[Person] = []
    self.seen: list[Detection] = []
    self.short: dict[str, int] = {}
    self._width, self._height = width, height
    self._by_id: dict[int, Person] = {}
    self._now = -1

  @property
  def present(self) -> list[Detection]:
    """All boxes of the last frame."""
    return self.seen

  def update(self, frame: int, detections: Sequence[Detection]) -> None:
    """Goes on by one frame; see `Tracker.update`."""
    self.seen, self._now = list(detections), frame
    for detection in detections:
      assert detection.id is not None
      person = self._by_id.get(detection.id)
      if person is None:
        person = Person.of(detection, frame)
        person.id = detection.id
        self._by_id[person.id] = person
        self.tracks.append(person)
      else:
        person.frames.append(frame)
        person.found.append(detection)

  def finish(self) -> list[Person]:
    """Ends all tracks, and returns them."""
    for person in self.tracks:
      last = person.frames[-1] == self._now
      box = person.found[-1].box
      person.ended = LAST if last else _goes(box, self._width, self._height)
    return self.tracks

  def take_ended(self) -> list[Person]:
    """Returns all tracks at the end, and forgets them."""
    ended = [person for person in self.tracks if person.ended]
    self.tracks = [person for person in self.tracks if not person.ended]
    return ended


def _goes(box: np.ndarray, width: int, height: int) -> str:
  """Why someone is gone who was last seen in a box."""
  border = _BORDER * width
  inside = box[0] > border and box[0] + box[2] < width - border
  inside &= box[1] > border and box[1] + box[3] < height - border
  return LOST if inside else LEFT


def _centre(box: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
  """Centre and size of a box, float [2] each."""
  size = np.asarray(box[2:], np.float64)
  return np.asarray(box[:2], np.float64) + size / 2, size


def _intersection(a: np.ndarray, b: np.ndarray) -> float:
  width = min(a[0] + a[2], b[0] + b[2]) - max(a[0], b[0])
  height = min(a[1] + a[3], b[1] + b[3]) - max(a[1], b[1])
  return max(0.0, width) * max(0.0, height)


def _inside(a: np.ndarray, b: np.ndarray) -> float:
  """The share of box a that box b covers."""
  return float(_intersection(a, b) / max(a[2] * a[3], 1e-9))


def _overlaps(a: Sequence[np.ndarray], b: Sequence[np.ndarray]) -> np.ndarray:
  """Intersection over union of boxes, [n, m]."""
  found = np.zeros((len(a), len(b)))
  for i, first in enumerate(a):
    for j, second in enumerate(b):
      both = _intersection(first, second)
      union = first[2] * first[3] + second[2] * second[3] - both
      found[i, j] = both / max(union, 1e-9)
  return found


def _grown(box: np.ndarray) -> np.ndarray:
  """A box with a margin."""
  margin = 0.15 * box[2:]
  return np.concatenate([box[:2] - margin, box[2:] + 2 * margin])


def _joined(parts: Sequence[Detection]) -> Detection:
  """One person of several parts."""
  box = _hull([part.box for part in parts])
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


def _hull(boxes: Sequence[np.ndarray]) -> np.ndarray:
  """The smallest box around boxes."""
  low = np.min([box[:2] for box in boxes], axis=0)
  high = np.max([box[:2] + box[2:] for box in boxes], axis=0)
  return np.concatenate([low, high - low])


def _differ(person: Person, detection: Detection) -> float:
  """How different someone looks, 0 to 1; 0 if that is not known."""
  if person.look is None or detection.look is None:
    return 0.0
  return looks.distance(person.look, detection.look)
