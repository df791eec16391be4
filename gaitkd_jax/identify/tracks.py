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

from gaitkd_jax.identify import people
from gaitkd_jax.identify import quality
from gaitkd_jax.identify.people import Person
from gaitkd_jax.identify.track import Detection

# A box that is found is no one's whose box is foreseen with less overlap
# (intersection over union).
_OVERLAP = 0.2
# A box holds a person if it covers that share of the box foreseen.
_INSIDE = 0.5
# A person who was not seen for so many seconds is another one when back; so is
# one who looks that different.
_GAP = 0.6
_CHANGED = 0.6
# People who are together for so many seconds are not told apart afterwards.
_TOGETHER = 4.0
# To tell people apart, the wrong way must be that much worse than the right one
# (mean distance of looks, 0 to 1).
_CLEARLY = 0.12
# Someone is settled after so many seconds.
_SETTLED = 0.3
# A part of a person has less than this share of the person's area, or of the
# height.
_PART, _TALL = 0.45, 0.6
# It is that person's if so much of it is where that one is foreseen.
_OWN = 0.8
# A box is of a group if so much of it is in the group's last box, and no one's
# else with whose box foreseen it has more overlap than this.
_NEAR, _APART = 0.3, 0.5


@dataclasses.dataclass(eq=False)
class _Group:
  """People who are found as one box.

  Attributes:
    members: those whose tracks pause.
    box: float [4], the last one.
    frames: how long they are together.
    missing: frames since the box was last seen.
  """

  members: list[Person]
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
    self._settled = max(5, round(_SETTLED * fps))
    self._together = round(_TOGETHER * fps)
    self._width, self._height = width, height
    self._alone: list[Person] = []
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
    for person, detection in list(pairs.items()):
      if person.returns(detection.box, self._width):
        # Whom the frames at the border show, nobody knows.
        person.forget(person.outer)
        self._finish(person, "left the picture where another came in")
        free.append(detection)
      elif self._falls_apart(person, free):
        self._finish(person, "two people stepped out of it")
        free.append(detection)
      else:
        self._see(person, detection, frame)
    self._drop()
    self._alone += [Person.of(detection, frame) for detection in free]
    self.seen += free

  def finish(self) -> list[Person]:
    """Ends all tracks, and returns them."""
    for person in self._all():
      gone = person.missing > 1
      self._finish(person, self._gone(person) if gone else people.LAST)
    self._alone, self._groups = [], []
    return self.tracks

  def take_ended(self) -> list[Person]:
    """Returns tracks that have ended since the last call, and forgets them."""
    ended = [person for person in self.tracks if person.ended]
    self.tracks = [person for person in self.tracks if not person.ended]
    return ended

  def _all(self) -> list[Person]:
    return [*self._alone, *(p for g in self._groups for p in g.members)]

  def _join(self, found: list[Detection]) -> list[Detection]:
    """Puts together what fell into parts, where one person is foreseen."""
    claims: dict[Person, list[Detection]] = {}
    everyone = [(p, people.grown(p.box)) for p in self._all()]
    for one in found:
      owners = [p for p, b in everyone if people.inside(one.box, b) > _OWN]
      if len(owners) == 1 and owners[0].known:
        claims.setdefault(owners[0], []).append(one)
    for person, parts in claims.items():
      tall = [part for part in parts if part.box[3] > _TALL * person.size[1]]
      # Two who are as tall as one are two people.
      if len(parts) > 1 and len(tall) < 2:
        found = [one for one in found if one not in parts]
        found.append(people.joined(parts))
    return sorted(found, key=lambda one: tuple(one.box))

  def _assign(self, free: list[Detection]) -> dict[Person, Detection]:
    """Gives boxes to people; takes them from `free`."""
    from scipy.optimize import linear_sum_assignment

    if not free or not self._alone:
      return {}
    overlap = people.overlaps(
      [person.box for person in self._alone], [one.box for one in free]
    )
    pairs = {}
    for i, j in zip(*linear_sum_assignment(-overlap), strict=True):
      person, one = self._alone[i], free[j]
      # Behind a tree, people may change places.
      other = person.missing > 2 and people.differ(person, one) > _CHANGED
      if overlap[i, j] >= _OVERLAP and not other:
        pairs[person] = one
    free[:] = [one for one in free if one not in pairs.values()]
    return pairs

  def _meet(
    self, pairs: dict[Person, Detection], free: list[Detection]
  ) -> list[Detection]:
    """Makes groups of people who are in one box; returns the boxes left."""
    owners = {one: person for person, one in pairs.items()}
    waiting = [person for person in self._alone if person not in pairs]
    left = []
    for one in [*owners, *free]:
      owner = owners.get(one)
      inside = [
        person
        for person in waiting
        if person.known and people.inside(person.box, one.box) > _INSIDE
      ]
      inside += [owner] if owner else []
      # Who was hardly there is a part of a person, or steps out again later;
      # and someone far behind is hidden for a while.
      largest = max((person.area for person in inside), default=0.0)
      members = [
        person
        for person in inside
        if len(person.frames) >= self._settled
        and person.area >= _PART * largest
      ]
      if len(members) < 2 <= len(inside):
        first = max(inside, key=lambda person: (person in members, person.area))
        for person in inside:
          pairs.pop(person, None)
          if person is not first:
            self._finish(person, "hidden by another, or a part of another")
        pairs[first] = one
      elif len(members) > 1:
        for person in inside:
          pairs.pop(person, None)
          if person not in members:
            self._finish(person, "hidden by another, or a part of another")
        self._groups.append(_Group(members, one.box))
      elif owner is None:
        left.append(one)
      self._alone = [
        p
        for p in self._alone
        if not p.ended and (len(members) < 2 or p not in members)
      ]
      waiting = [p for p in self._alone if p not in pairs]
    return left

  def _falls_apart(self, person: Person, free: list[Detection]) -> bool:
    """Whether another person steps out of one who is followed.

    Two people may have come into the picture as one.
    """
    before = person.found[-1]
    return person.known and any(
      other.area > _PART * before.area > 0
      and other.box[3] > _TALL * before.box[3]
      and people.inside(other.box, before.box) > _INSIDE
      for other in free
    )

  def _follow(
    self, group: _Group, frame: int, free: list[Detection]
  ) -> list[Detection]:
    """Follows people who are together; returns the boxes left to others."""
    foreseen = [group.box, *(person.box for person in group.members)]
    own = []
    for one in free:
      near = people.inside(one.box, group.box) > _NEAR
      near |= people.overlaps([one.box], foreseen).max() > _OVERLAP
      others = [person.box for person in self._alone]
      if near and not (people.overlaps([one.box], others) > _APART).any():
        own.append(one)
    # Someone else may walk into them.
    for person in list(self._alone):
      seen = people.overlaps([person.box], [one.box for one in free]) > _APART
      joins = any(people.inside(person.box, d.box) > _INSIDE for d in own)
      if person.known and joins and not seen.any():
        self._alone.remove(person)
        group.members.append(person)
    left = [one for one in free if one not in own]
    group.frames += 1
    group.missing = 0 if own else group.missing + 1
    if not own:
      if group.missing > self._gap:
        self._end(group, "lost beside another person")
      return left
    group.box = people.hull([one.box for one in own])
    whole = [
      one
      for one in own
      if any(
        one.box[3] > _TALL * person.size[1] and one.area > _PART * person.area
        for person in group.members
      )
    ]
    if len(whole) >= len(group.members):
      self._groups.remove(group)
      return left + self._part(group, frame, whole)
    if group.frames > self._together:
      self._end(group, "together with another person for too long")
      return left + own
    return left

  def _part(
    self, group: _Group, frame: int, found: list[Detection]
  ) -> list[Detection]:
    """People step apart: says who is who; returns the boxes that are left."""
    from scipy.optimize import linear_sum_assignment

    members = group.members
    cost = np.array([[people.differ(p, one) for one in found] for p in members])
    pairs = list(zip(*linear_sum_assignment(cost), strict=True))
    clear = len(found) == len(members)
    for i, a in pairs:
      for k, b in pairs:
        wrong = cost[i, b] + cost[k, a] - cost[i, a] - cost[k, b]
        clear &= bool(i == k or wrong > 2 * _CLEARLY)
    if not clear:
      for person in members:
        names = [
          f"track {other.id}" if other.id else "another"
          for other in members
          if other is not person
        ]
        self._finish(
          person, f"met {' and '.join(names)}, and could not be told apart"
        )
      return found
    for i, a in pairs:
      person = members[i]
      person.centre, person.size = people.centre_of(found[a].box)
      # Who meets may turn back; the velocity is learned anew.
      person.velocity = np.zeros(2)
      self._see(person, found[a], frame)
      self._alone.append(person)
    return []

  def _see(self, person: Person, detection: Detection, frame: int) -> None:
    person.see(detection, frame)
    self.seen.append(detection)
    if not person.id and len(person.frames) >= quality.LEAST_GOOD:
      self._last += 1
      person.id = self._last
      self.tracks.append(person)

  def _finish(self, person: Person, reason: str) -> None:
    person.ended = reason
    if person.known and not person.id:
      kind = "met another" if reason.startswith("met") else reason
      self.short[kind] = self.short.get(kind, 0) + 1

  def _end(self, group: _Group, reason: str) -> None:
    for person in group.members:
      self._finish(person, reason)
    self._groups.remove(group)

  def _gone(self, person: Person) -> str:
    return people.where_to(person.found[-1].box, self._width, self._height)

  def _drop(self) -> None:
    """Ends tracks of people who are no longer there."""
    for person in self._alone:
      patience = self._gap if person.known else 1
      if not person.ended and person.missing > patience:
        self._finish(person, self._gone(person))
    self._alone = [person for person in self._alone if not person.ended]
