"""Tracks of boxes whose ids the user's own tracker has given."""

from collections.abc import Sequence

from gaitkd_jax.identify import people
from gaitkd_jax.identify.people import Person
from gaitkd_jax.identify.track import Detection


class Given:
  """Tracks of boxes whose ids are known; see `tracks.Tracker`, which is alike.

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
    """Goes on by one frame; see `tracks.Tracker.update`."""
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
      person.ended = (
        people.LAST if last else people.where_to(box, self._width, self._height)
      )
    return self.tracks

  def take_ended(self) -> list[Person]:
    """Returns all tracks at the end, and forgets them."""
    ended = [person for person in self.tracks if person.ended]
    self.tracks = [person for person in self.tracks if not person.ended]
    return ended
