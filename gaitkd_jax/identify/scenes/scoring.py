"""Compares tracks that were found in a scene with the truth about it."""

from collections.abc import Iterable
from collections.abc import Mapping
from collections.abc import Sequence
import dataclasses
from typing import Protocol

import numpy as np

from gaitkd_jax.identify.scenes import rendering

Array = np.ndarray

# A box is that of a person it overlaps by at least so much (IoU).
_SAME = 0.3
# Fewer frames of another person are a brush in a crossing, not a swap.
_SWAP_FRAMES, _SWAP_SHARE = 5, 0.1
# A person counts who is wholly in the picture, and mostly visible, so long:
# sequences of 15 frames or fewer are of no use to networks.
_LEAST_FRAMES = 15
_HIDDEN = 0.3


class Track(Protocol):
  """What is known of a track: `s` frames of somebody.

  A track may also have `good`, bool [s], frames whose silhouettes count, and
  `masks`, s arrays [480, 640] that are not 0 where the person is.
  """

  id: int
  frames: Array  # int [s], numbers of the scene's frames
  boxes: Array  # float [s, 4], x, y, width and height in pixels
  silhouettes: Array  # uint8 [s, 64, 44]


@dataclasses.dataclass(frozen=True)
class TrueTrack:
  """A person's walk as a perfect tracker and segmenter would find it.

  Attributes:
    id: The person's number.
    frames: int64 [s], in which the person is wholly in the picture.
    boxes: float32 [s, 4], x, y, width and height in pixels.
    silhouettes: uint8 [s, 64, 44], of the whole person, hidden or not.
  """

  id: int
  frames: Array
  boxes: Array
  silhouettes: Array


def true_tracks(truths: Iterable[rendering.Truth]) -> tuple[TrueTrack, ...]:
  """Returns the walks of a scene's people without a fault.

  They are what found tracks are compared with, and "the same walkers' clean
  silhouettes" of a table of Rank-1.
  """
  found: dict[int, list[tuple[int, tuple[int, ...], Array]]] = {}
  for truth in truths:
    for seen in truth.people:
      silhouette = seen.silhouette()
      if silhouette is not None:
        row = (truth.frame, seen.box, silhouette)
        found.setdefault(seen.number, []).append(row)
  tracks = []
  for number, rows in sorted(found.items()):
    frames, boxes, silhouettes = zip(*rows, strict=True)
    tracks.append(
      TrueTrack(
        number,
        np.array(frames, np.int64),
        np.array(boxes, np.float32),
        np.stack(silhouettes),
      )
    )
  return tuple(tracks)


@dataclasses.dataclass(frozen=True)
class TrackScore:
  """How well one track follows one person.

  Attributes:
    id: The track's.
    owner: Number of the person whom it follows in most frames; None if it
      follows nobody in most of them.
    frames: How many frames it has.
    matched: By number of the person, in how many frames its box is theirs.
    swapped: Whether it goes from one person to another.
    box_iou: Mean over the frames of its owner.
    silhouette_iou: The same of 64 x 44 silhouettes, in frames that count: the
      owner is wholly in the picture and hidden by less than 30 %.
    mask_iou: The same of masks in the picture; NaN without masks.
  """

  id: int
  owner: int | None
  frames: int
  matched: Mapping[int, int]
  swapped: bool
  box_iou: float
  silhouette_iou: float
  mask_iou: float


@dataclasses.dataclass(frozen=True)
class Score:
  """How well the people of a scene were found.

  Attributes:
    people: Numbers of the people who count: wholly in the picture, and hidden
      by less than 30 %, in 15 frames or more.
    subjects: Who they are, by number.
    covered: By number, the share of those frames in which a track that is
      theirs has a box.
    tracks: One score for each track.
  """

  people: tuple[int, ...]
  subjects: Mapping[int, str]
  covered: Mapping[int, float]
  tracks: tuple[TrackScore, ...]

  @property
  def found(self) -> int:
    """People whom tracks follow in at least half of their frames."""
    return sum(self.covered[person] >= 0.5 for person in self.people)

  @property
  def broken(self) -> int:
    """People who have two tracks or more."""
    owners = [track.owner for track in self.tracks]
    return sum(owners.count(person) > 1 for person in self.people)

  @property
  def swapped(self) -> int:
    """Tracks that go from one person to another."""
    return sum(track.swapped for track in self.tracks)

  @property
  def false(self) -> int:
    """Tracks that follow nobody."""
    return sum(track.owner is None for track in self.tracks)

  def mean(self, name: str) -> float:
    """Mean of an IoU over the tracks that have one, by matched frames."""
    pairs = [
      (getattr(track, name), track.matched[track.owner])
      for track in self.tracks
      if track.owner is not None and np.isfinite(getattr(track, name))
    ]
    if not pairs:
      return float("nan")
    values, weights = zip(*pairs, strict=True)
    return float(np.average(values, weights=weights))

  def line(self, name: str) -> str:
    """One line of a table; see `HEADER`."""
    counts = [getattr(self, count) for count in _COUNTS]
    return _line(
      name, len(self.people), counts, [self.mean(iou) for iou in _IOUS]
    )


_COUNTS = ("found", "broken", "swapped", "false")
_IOUS = ("box_iou", "silhouette_iou", "mask_iou")
HEADER = (
  f"{'scene':16} people found broken swapped false box IoU silhouette     mask"
)


def _line(
  name: str, people: int, counts: Sequence[int], means: Sequence[float]
) -> str:
  found, broken, swapped, false = counts
  boxes, silhouettes, masks = means
  return (
    f"{name:16} {people:6} {found:5} {broken:6} {swapped:7} {false:5}"
    f" {boxes:7.3f} {silhouettes:10.3f} {masks:8.3f}"
  )


def total(scores: Sequence[Score]) -> str:
  """The last line of a table: sums, and means over the scenes that have any."""
  counts = [sum(getattr(score, name) for score in scores) for name in _COUNTS]
  means = []
  for name in _IOUS:
    values = [score.mean(name) for score in scores]
    means.append(_mean([value for value in values if np.isfinite(value)]))
  people = sum(len(score.people) for score in scores)
  return _line("all", people, counts, means)


def box_iou(a: Array, b: Array) -> Array:
  """Intersection over union of boxes [n, 4] with boxes [m, 4], [n, m]."""
  a, b = (np.asarray(v, float).reshape(-1, 4) for v in (a, b))
  low = np.maximum(a[:, None, :2], b[None, :, :2])
  high = np.minimum(
    a[:, None, :2] + a[:, None, 2:], b[None, :, :2] + b[None, :, 2:]
  )
  common = np.prod(np.clip(high - low, 0.0, None), -1)
  areas = [np.prod(v[:, 2:], -1) for v in (a, b)]
  return common / np.maximum(areas[0][:, None] + areas[1] - common, 1e-9)


def mask_iou(a: Array, b: Array) -> float:
  """Intersection over union of two masks, which are not 0 inside."""
  a, b = a != 0, b != 0
  union = np.count_nonzero(a | b)
  return np.count_nonzero(a & b) / union if union else 0.0


def silhouette_iou(a: Array, b: Array) -> float:
  """Intersection over union of grey silhouettes, uint8, white from 128 on.

  It is strict at 64 x 44: of a person 215 pixels high, an outline that is one
  pixel too wide leaves 0.88, and two pixels leave 0.83.
  """
  return mask_iou(a > 127, b > 127)


def _counts(seen: rendering.Seen) -> bool:
  return seen.whole and seen.hidden < _HIDDEN


def _match(
  truths: Sequence[rendering.Truth], tracks: Sequence[Track]
) -> list[dict[int, tuple[rendering.Seen, float]]]:
  """Assigns people to boxes.

  Returns:
    For each track, by index of its frame: the person, and the boxes' IoU.
  """
  from scipy import optimize

  by_frame: dict[int, list[tuple[int, int]]] = {}
  for i, track in enumerate(tracks):
    for j, frame in enumerate(track.frames):
      by_frame.setdefault(int(frame), []).append((i, j))
  out: list[dict[int, tuple[rendering.Seen, float]]] = [{} for _ in tracks]
  for truth in truths:
    places = by_frame.get(truth.frame)
    if not places or not truth.people:
      continue
    boxes = np.array([tracks[i].boxes[j] for i, j in places])
    iou = box_iou(boxes, np.array([seen.box for seen in truth.people]))
    for row, column in zip(*optimize.linear_sum_assignment(-iou), strict=True):
      if iou[row, column] >= _SAME:
        i, j = places[row]
        out[i][j] = truth.people[column], float(iou[row, column])
  return out


def _mean(values: list[float]) -> float:
  return float(np.mean(values)) if values else float("nan")


def _score_track(
  track: Track, matches: dict[int, tuple[rendering.Seen, float]]
) -> TrackScore:
  matched: dict[int, int] = {}
  for seen, _ in matches.values():
    matched[seen.number] = matched.get(seen.number, 0) + 1
  owner = max(matched, key=lambda number: matched[number], default=None)
  frames = len(track.frames)
  if owner is not None and 2 * sum(matched.values()) < frames:
    owner = None
  least = max(_SWAP_FRAMES, _SWAP_SHARE * frames)
  swapped = sum(count >= least for count in matched.values()) > 1
  good = getattr(track, "good", np.ones(frames, bool))
  masks = getattr(track, "masks", None)
  boxes, silhouettes, in_picture = [], [], []
  for j, (seen, iou) in matches.items():
    if seen.number != owner:
      continue
    boxes.append(iou)
    if not good[j] or not _counts(seen):
      continue
    true = seen.silhouette()
    if true is not None:
      silhouettes.append(silhouette_iou(track.silhouettes[j], true))
    if masks is not None:
      in_picture.append(mask_iou(np.asarray(masks[j]), seen.visible))
  return TrackScore(
    track.id,
    owner,
    frames,
    matched,
    swapped,
    _mean(boxes),
    _mean(silhouettes),
    _mean(in_picture),
  )


def score(truths: Sequence[rendering.Truth], tracks: Sequence[Track]) -> Score:
  """Scores the tracks of a scene.

  Args:
    truths: The truth about every frame.
    tracks: What was found.

  Returns:
    The people, and how well each track follows one of them.
  """
  frames: dict[int, set[int]] = {}
  subjects: dict[int, str] = {}
  for truth in truths:
    for seen in truth.people:
      subjects[seen.number] = seen.subject
      if _counts(seen):
        frames.setdefault(seen.number, set()).add(truth.frame)
  people = sorted(n for n, seen in frames.items() if len(seen) >= _LEAST_FRAMES)
  matches = _match(truths, tracks)
  scores = tuple(
    _score_track(track, found)
    for track, found in zip(tracks, matches, strict=True)
  )
  covered = {}
  for person in people:
    followed = {
      int(track.frames[j])
      for track, found, result in zip(tracks, matches, scores, strict=True)
      if result.owner == person
      for j, (seen, _) in found.items()
      if seen.number == person
    }
    covered[person] = len(followed & frames[person]) / len(frames[person])
  return Score(tuple(people), subjects, covered, scores)


@dataclasses.dataclass(frozen=True)
class Names:
  """How well people were named.

  Attributes:
    known: Tracks of people who are in the gallery.
    right: Of these, how many have their own name.
    wrong: Of these, how many have another's.
    strangers: Tracks of people who are not in the gallery, or of nobody.
    accepted: Of these, how many have a name.
  """

  known: int
  right: int
  wrong: int
  strangers: int
  accepted: int

  def __add__(self, other: "Names") -> "Names":
    pairs = zip(
      dataclasses.astuple(self), dataclasses.astuple(other), strict=True
    )
    return Names(*(a + b for a, b in pairs))


def score_names(
  result: Score,
  answers: Mapping[int, str | None],
  enrolled: Sequence[str],
) -> Names:
  """Scores the names that tracks were given.

  With the nearest of the gallery as answers, `right / known` is Rank-1; with
  None beyond the threshold, `accepted / strangers` are the false accepts.

  Args:
    result: The score of the tracks.
    answers: By the track's id: a subject, or None for nobody. Tracks that were
      not identified are left out.
    enrolled: Subjects who are in the gallery.
  """
  known = right = wrong = strangers = accepted = 0
  for track in result.tracks:
    if track.id not in answers:
      continue
    answer = answers[track.id]
    truth = None if track.owner is None else result.subjects[track.owner]
    if truth in enrolled:
      known += 1
      right += answer == truth
      wrong += answer is not None and answer != truth
    else:
      strangers += 1
      accepted += answer is not None
  return Names(known, right, wrong, strangers, accepted)
