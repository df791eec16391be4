"""From a video to the tracks of the people in it, one frame at a time.

A thread decodes frames while the main one looks at them. Nothing is kept of a
frame but the silhouettes of 64 x 44 pixels and the boxes; the background is
known from 45 frames of a minute around the present.
"""

from collections import deque
from collections.abc import Callable
from collections.abc import Iterator
import dataclasses
import os
import time
from typing import Any

import numpy as np
import tqdm

from gaitkd_jax.errors import UserError
from gaitkd_jax.identify import ahead
from gaitkd_jax.identify import background as background_lib
from gaitkd_jax.identify import boxes as boxes_lib
from gaitkd_jax.identify import given as given_lib
from gaitkd_jax.identify import people
from gaitkd_jax.identify import quality
from gaitkd_jax.identify import segmenter as segmenter_lib
from gaitkd_jax.identify import silhouettes
from gaitkd_jax.identify import tracks as tracks_lib
from gaitkd_jax.identify import video as video_lib
from gaitkd_jax.identify import walking
from gaitkd_jax.identify.track import HEIGHT
from gaitkd_jax.identify.track import WIDTH
from gaitkd_jax.identify.track import Detection
from gaitkd_jax.identify.track import Track

# Samples of the background: so many, over so many seconds at most, half of them
# ahead; it is found anew every so many seconds.
_SAMPLES, _WINDOW, _RENEWED = 45, 60.0, 10.0
STAGES = ("decode", "background", "people", "track", "silhouettes", "quality")


@dataclasses.dataclass
class Extraction:
  """What was found in a video.

  Attributes:
    tracks: by id, those that were rejected too.
    short: how many people were followed for less than 15 frames, by the reason
      why they were no longer; most are parts of people.
    seconds: of each stage. Decoding runs beside the others: its seconds are
      those that they waited for it.
    wall: seconds of all.
    frames: of the video.
    fps: frames a second of the video.
    width: of the video in pixels.
    height: of the video in pixels.
    scale: by what its pictures were scaled down.
    warnings: what was odd, each in one line.
  """

  tracks: list[Track]
  short: dict[str, int]
  seconds: dict[str, float]
  wall: float
  frames: int
  fps: float
  width: int
  height: int
  scale: int
  warnings: list[str]

  def lines(self) -> list[str]:
    """A report: speed, what was found, what was left out and why."""
    speed = self.frames / max(self.wall, 1e-9)
    parts = ", ".join(f"{k} {v:.1f}" for k, v in self.seconds.items())
    lines = [
      f"{self.frames} frames of {self.width} x {self.height} in "
      f"{self.wall:.1f} s, {speed:.1f} a second (seconds by stage: {parts})"
    ]
    for track in self.tracks:
      left_out = "; ".join(f"{n} {why}" for why, n in track.counted().items())
      lines.append(
        f"track {track.id}: frames {track.first_frame} to {track.last_frame}, "
        f"{track.frames_used} of {len(track)} used"
        + (f" ({left_out})" if left_out else "")
        + f"; {track.ended}"
        + (f"; rejected: {track.rejected}" if track.rejected else "")
      )
    if self.short:
      why = ", ".join(f"{n} {reason}" for reason, n in self.short.items())
      lines.append(
        f"left out: {sum(self.short.values())} people or parts of people, "
        f"followed for less than {quality.LEAST_GOOD} frames ({why})"
      )
    return lines


class _Clock:
  """Adds up the seconds of stages."""

  def __init__(self) -> None:
    self.seconds = dict.fromkeys(STAGES, 0.0)
    self._at = time.perf_counter()

  def lap(self, stage: str) -> None:
    """What went by since the last lap belongs to a stage."""
    now = time.perf_counter()
    self.seconds[stage] += now - self._at
    self._at = now


def silhouettes_of(
  video: str | os.PathLike[str], **options: Any
) -> list[Track]:
  """The tracks of the people in a video; see `extract`."""
  return extract(video, **options).tracks


def extract(
  video: str | os.PathLike[str] | video_lib.Video,
  boxes: str | os.PathLike[str] | None = None,
  segmenter: "str | os.PathLike[str] | segmenter_lib.Segmenter | None" = None,
  fps: float | None = None,
  progress: bool = True,
  on_track: Callable[[Track], None] | None = None,
) -> Extraction:
  """Finds the people in a video, follows them, and cuts their silhouettes.

  Args:
    video: a file, or a folder of its frames.
    boxes: a CSV file of the user's own tracker, see `boxes.Boxes`; None: people
      are found before a background that stands still, and followed.
    segmenter: an ONNX file that cuts people out of their boxes; None: the
      background does.
    fps: frames a second, where the video says nothing or something wrong.
    progress: whether to show a bar.
    on_track: is called with every track as soon as it has ended.

  Returns:
    The tracks, and how it went.

  Raises:
    UserError: something cannot be read, or does not fit together.
  """
  start = time.perf_counter()
  if not isinstance(video, video_lib.Video):
    video = video_lib.Video(video, fps)
  given = None if boxes is None else boxes_lib.Boxes(boxes)
  if given is not None:
    given.check(video.width, video.height, video.count)
  if segmenter is not None and not isinstance(
    segmenter, segmenter_lib.Segmenter
  ):
    segmenter = segmenter_lib.Segmenter(segmenter)
  work = _Work(video, given, segmenter, on_track)
  count = work.run(progress)
  if given is not None and not video.count and max(given.by_frame) >= count:
    given.check(video.width, video.height, count)
  return Extraction(
    tracks=sorted(work.tracks, key=lambda track: track.id),
    short=work.short,
    seconds=work.clock.seconds,
    wall=time.perf_counter() - start,
    frames=count,
    fps=video.fps,
    width=video.width,
    height=video.height,
    scale=video.scale,
    warnings=[
      *video.warnings,
      *(given.warnings if given else []),
      *work.warnings,
    ],
  )


class _Work:
  """The stages of one video, and what they remember."""

  def __init__(
    self,
    video: video_lib.Video,
    boxes: boxes_lib.Boxes | None,
    segmenter: segmenter_lib.Segmenter | None,
    on_track: Callable[[Track], None] | None = None,
  ):
    self.video, self._boxes, self._segmenter = video, boxes, segmenter
    self._on_track = on_track
    self._every = 1 if segmenter is None else segmenter.every
    self.clock = _Clock()
    self.tracks: list[Track] = []
    self.warnings: list[str] = []
    height, width = video.shape
    self._follower = (
      tracks_lib.Tracker(video.fps, width, height)
      if boxes is None
      else given_lib.Given(width, height)
    )
    # Boxes and a segmenter together need no background: the camera may move.
    needed = boxes is None or segmenter is None
    self._backgrounds = _Backgrounds(video) if needed else None
    self._times: dict[int, float] = {}

  @property
  def short(self) -> dict[str, int]:
    """See `Extraction.short`."""
    return dict(sorted(self._follower.short.items()))

  def run(self, progress: bool) -> int:
    """Goes through all frames; returns how many there are."""
    count = 0
    with (
      ahead.Ahead(iter(self.video)) as frames,
      tqdm.tqdm(
        total=self.video.count or None,
        desc="video",
        unit="frame",
        disable=None if progress else True,
      ) as bar,
    ):
      for frame in frames:
        self.clock.lap("decode")
        self._look(frame)
        count += 1
        bar.update()
    self._follower.finish()
    self._collect()
    if self._backgrounds is not None:
      self.warnings += self._backgrounds.warnings()
    return count

  def _look(self, frame: video_lib.Frame) -> None:
    background = None
    if self._backgrounds is not None:
      background = self._backgrounds.at(frame.time)
      self.clock.lap("background")
    found = self._people(frame, background)
    self.clock.lap("people")
    self._follower.update(frame.number, found)
    self.clock.lap("track")
    present = self._follower.present
    for one in self._follower.seen:
      one.time = frame.time
      others = [other.box for other in present if other is not one]
      one.covered = quality.covered(one.box, others)
      mask = one.mask
      if frame.number % self._every:
        mask, one.mask, one.skipped = None, None, True
      elif self._segmenter is not None:
        mask = self._segmenter(frame.picture, one.box)
      if mask is not None:
        one.silhouette = silhouettes.cut(mask)
        one.area, one.mask = int(np.count_nonzero(mask)), None
    self.clock.lap("silhouettes")
    self._collect()

  def _people(
    self,
    frame: video_lib.Frame,
    background: background_lib.Background | None,
  ) -> list[Detection]:
    if self._boxes is None:
      assert background is not None
      found, share = background.people(frame.picture)
      self._backgrounds.saw(share)
      return found
    found = self._boxes.detections(frame.number, self.video.scale)
    if found and background is not None and self._segmenter is None:
      mask = background.mask(frame.picture)
      self._backgrounds.saw(np.count_nonzero(mask) / mask.size)
      for one in found:
        one.mask = background_lib.within(mask, one.box)
    return found

  def _collect(self) -> None:
    """Makes tracks of those who are gone, and judges them."""
    for person in self._follower.take_ended():
      track = self._judged(person)
      self.tracks.append(track)
      self.clock.lap("quality")
      if self._on_track is not None:
        self._on_track(track)

  def _judged(self, person: people.Person) -> Track:
    height, width = self.video.shape
    found = person.found
    empty = np.zeros((HEIGHT, WIDTH), np.uint8)
    cut = [empty if f.silhouette is None else f.silhouette for f in found]
    frames = np.array(person.frames, np.int64)
    times = np.array([f.time for f in found])
    boxes = np.stack([f.box for f in found])
    # What is between is no part of the running median of areas.
    looked_at = np.array([not f.skipped for f in found])
    rows = np.flatnonzero(looked_at)
    judged = quality.judge(
      boxes[rows],
      np.array([found[i].area for i in rows]),
      np.array([found[i].covered for i in rows]),
      np.array([found[i].silhouette is not None for i in rows]),
      width,
      height,
    )
    reasons = [quality.BETWEEN] * len(found)
    for row, reason in zip(rows, judged, strict=True):
      reasons[row] = reason
    good = np.array([not reason for reason in reasons])
    stack = np.stack(cut)
    rejected = quality.judge_track(frames, good, quality.ROW * self._every)
    return Track(
      id=person.id,
      frames=frames,
      times=times,
      boxes=(boxes * self.video.scale).astype(np.float32),
      silhouettes=stack,
      good=good,
      reasons=reasons,
      ended=person.ended,
      rejected=rejected
      or walking.judge(boxes[good], times[good], stack[good], width),
    )


class _Backgrounds:
  """The background around the present, of samples read ahead."""

  def __init__(self, video: video_lib.Video):
    length = min(video.seconds or _WINDOW, _WINDOW)
    self._step = max(length / _SAMPLES, 1 / video.fps)
    self._samples: deque[np.ndarray] = deque(maxlen=_SAMPLES)
    self._times: deque[float] = deque(maxlen=_SAMPLES)
    self._ahead: Iterator[video_lib.Frame] | None = video.sample(self._step)
    self._read = 0.0
    self._renewed = -np.inf
    self._background: background_lib.Background | None = None
    self._first: list[np.ndarray] = []
    self._shares: list[float] = []

  def at(self, time: float) -> background_lib.Background:
    """The background at a time, in seconds; times ascend."""
    if self._background is None or time >= self._renewed + _RENEWED:
      if self._fill(time + _WINDOW / 2 if self._background else _WINDOW):
        self._background = background_lib.Background(list(self._samples))
      self._renewed = time
    return self._background

  def saw(self, share: float) -> None:
    """Notes the share of a picture that is foreground."""
    self._shares.append(share)

  def warnings(self) -> list[str]:
    """Whether the camera moves."""
    share = float(np.median(self._shares)) if self._shares else 0.0
    return background_lib.warnings(self._first, share)

  def _fill(self, until: float) -> bool:
    """Reads samples up to a time; returns whether there are new ones."""
    new = False
    while self._ahead is not None and self._read <= until:
      frame = next(self._ahead, None)
      if frame is None:
        self._ahead = None
        break
      self._samples.append(frame.picture)
      if len(self._first) < _SAMPLES // 2:
        self._first.append(frame.picture)
      self._read, new = frame.time, True
    if not self._samples:
      raise UserError("the video holds no frame that can be read")
    return new
