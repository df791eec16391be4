"""What is known of one person who walks through a video."""

from collections.abc import Mapping
import dataclasses
from typing import Any

import numpy as np

HEIGHT, WIDTH = 64, 44  # of a silhouette, as networks read it


@dataclasses.dataclass
class Track:
  """One person, from the first to the last frame in which it was followed.

  Frames in which it was not seen, or not told from another, are not among
  the `s` frames.

  Attributes:
    id: from 1, in the order in which tracks begin; or that of the user's boxes.
    frames: int64 [s], numbers of the video's frames, from 0, ascending.
    times: float64 [s], seconds since the video's beginning.
    boxes: float32 [s, 4], left, top, width and height in the video's pixels.
    silhouettes: uint8 [s, 64, 44], cut and centred; black where there is none.
    good: bool [s], whether a frame may be used.
    reasons: why not, for each of the s frames; "" where it is good.
    ended: why the track ends.
    rejected: why no frame of the track may be used; "" if they may.
  """

  id: int
  frames: np.ndarray
  times: np.ndarray
  boxes: np.ndarray
  silhouettes: np.ndarray
  good: np.ndarray
  reasons: list[str]
  ended: str = ""
  rejected: str = ""

  def __len__(self) -> int:
    return len(self.frames)

  @property
  def first_frame(self) -> int:
    """Number of the first frame."""
    return int(self.frames[0])

  @property
  def last_frame(self) -> int:
    """Number of the last frame."""
    return int(self.frames[-1])

  @property
  def frames_used(self) -> int:
    """How many frames a network is shown: 0 for a rejected track."""
    return 0 if self.rejected else int(np.count_nonzero(self.good))

  @property
  def used(self) -> np.ndarray:
    """The silhouettes that a network is shown, uint8 [frames_used, 64, 44]."""
    return self.silhouettes[self.good & (not self.rejected)]

  def counted(self) -> dict[str, int]:
    """How many frames were left out for each reason, the most frequent first.

    Numbers in a reason are not told apart.
    """
    counts: dict[str, int] = {}
    for reason in self.reasons:
      if reason:
        kind = reason.partition(" (")[0]
        counts[kind] = counts.get(kind, 0) + 1
    return dict(sorted(counts.items(), key=lambda item: (-item[1], item[0])))

  def to_json(self) -> dict[str, Any]:
    """Everything but the silhouettes, for a JSON file."""
    return {
      "id": self.id,
      "ended": self.ended,
      "rejected": self.rejected,
      "frames_used": self.frames_used,
      "frames": [
        {
          "frame": int(frame),
          "time": round(float(time), 4),
          "box": [round(float(value), 1) for value in box],
          "good": bool(good),
          "reason": reason,
        }
        for frame, time, box, good, reason in zip(
          self.frames,
          self.times,
          self.boxes,
          self.good,
          self.reasons,
          strict=True,
        )
      ],
    }

  @classmethod
  def from_json(
    cls, content: Mapping[str, Any], silhouettes: np.ndarray
  ) -> "Track":
    """The inverse of `to_json`.

    Args:
      content: what it returned.
      silhouettes: uint8 [s, 64, 44].

    Raises:
      KeyError, TypeError, ValueError: the content is another.
    """
    rows = content["frames"]
    if len(rows) != len(silhouettes):
      raise ValueError(f"{len(rows)} frames, {len(silhouettes)} silhouettes")
    boxes = np.array([row["box"] for row in rows], np.float32)
    return cls(
      id=int(content["id"]),
      frames=np.array([row["frame"] for row in rows], np.int64),
      times=np.array([row["time"] for row in rows], np.float64),
      boxes=boxes.reshape(len(rows), 4),
      silhouettes=silhouettes,
      good=np.array([bool(row["good"]) for row in rows], bool),
      reasons=[str(row["reason"]) for row in rows],
      ended=str(content["ended"]),
      rejected=str(content["rejected"]),
    )


@dataclasses.dataclass(eq=False)
class Detection:
  """A person in one frame, all in pixels of the picture as it was looked at.

  Attributes:
    box: float [4], left, top, width and height.
    mask: uint8 [h, w], 0 or 255: the person within the box, which is whole
      numbers then; None: it is yet to be found.
    area: white pixels of the mask; 0 without one.
    look: float [k], histograms of colours, see `looks.look`; None: unknown.
    id: of the user's boxes; None: not yet known.
    time: seconds since the video's beginning.
    covered: the share of the box that another one covers, 0 to 1.
    silhouette: uint8 [64, 44], cut and centred; None: there is none, or not
      yet.
    skipped: whether the segmenter is not shown this frame.
  """

  box: np.ndarray
  mask: np.ndarray | None = None
  area: int = 0
  look: np.ndarray | None = None
  id: int | None = None
  time: float = 0.0
  covered: float = 0.0
  silhouette: np.ndarray | None = None
  skipped: bool = False
