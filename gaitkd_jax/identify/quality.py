"""Which frames of a track show a silhouette that a network may judge by."""

import numpy as np

# Rules for a frame. Sizes are in pixels of the picture in which the person was
# looked for, which is scaled down where it is large (`video.LONGEST`).
LEAST_HEIGHT = 64  # a silhouette is as high, and would be blown up
ASPECT = (0.2, 0.9)  # width / height
BORDER = 1  # pixels; who is nearer is cut off
OVERLAP = 0.05  # share of the box that another one may cover
AREA = 0.3  # by which the area may differ from the running median
RUN = 25  # frames of that median
# A rule for a track: so many good frames among so many in a row. OpenGait drops
# sequences of 15 frames or fewer.
LEAST_GOOD, ROW = 15, 40

NO_SILHOUETTE = "no silhouette in the box"
BETWEEN = "between the frames that the segmenter is shown"


def judge(
  boxes: np.ndarray,
  areas: np.ndarray,
  covered: np.ndarray,
  whole: np.ndarray,
  width: int,
  height: int,
) -> list[str]:
  """Judges the frames of one track.

  Args:
    boxes: float [s, 4], left, top, width and height in pixels.
    areas: int [s], white pixels of the person.
    covered: float [s], the share of the box that others' boxes cover, 0 to 1.
    whole: bool [s], whether there is a silhouette.
    width: of the picture.
    height: of the picture.

  Returns:
    Why each frame may not be used, "" if it may: the first rule that it breaks.
    What is in brackets are the frame's own numbers.
  """
  medians = running_median(areas, RUN)
  reasons = []
  for (left, top, columns, rows), area, median, share, found in zip(
    boxes, areas, medians, covered, whole, strict=True
  ):
    aspect = columns / max(rows, 1e-9)
    change = area / median - 1 if median else 0.0
    if not found:
      reason = NO_SILHOUETTE
    elif (
      min(left, top) < BORDER
      or left + columns > width - BORDER
      or top + rows > height - BORDER
    ):
      reason = "touches the border of the picture"
    elif rows < LEAST_HEIGHT:
      reason = f"less than {LEAST_HEIGHT} pixels high ({rows:.0f})"
    elif not ASPECT[0] <= aspect <= ASPECT[1]:
      reason = (
        f"width / height is not within {ASPECT[0]} to {ASPECT[1]} "
        f"({aspect:.2f})"
      )
    elif share > OVERLAP:
      reason = f"overlaps another person ({share:.0%} of the box)"
    elif abs(change) > AREA:
      reason = (
        f"the area differs by over {AREA:.0%} from that of the frames around "
        f"({change:+.0%})"
      )
    else:
      reason = ""
    reasons.append(reason)
  return reasons


def judge_track(frames: np.ndarray, good: np.ndarray, row: int = ROW) -> str:
  """Judges a track by its good frames.

  Args:
    frames: int [s], numbers of the video's frames, ascending.
    good: bool [s].
    row: among so many frames of the video 15 have to be good.

  Returns:
    Why the track may not be used; "" if it may.
  """
  numbers = frames[good]
  # How many there are from each one on, within a row.
  ends = np.searchsorted(numbers, numbers + row)
  most = int((ends - np.arange(len(numbers))).max(initial=0))
  if most >= LEAST_GOOD:
    return ""
  return (
    f"{most} good frames among {row} in a row at best; {LEAST_GOOD} are needed"
  )


def running_median(values: np.ndarray, size: int) -> np.ndarray:
  """Medians of the values around each, float [s]; fewer at both ends."""
  half = size // 2
  return np.array(
    [
      np.median(values[max(0, i - half) : i + half + 1])
      for i in range(len(values))
    ]
  )


def covered(box: np.ndarray, others: list[np.ndarray]) -> float:
  """The largest share of a box that one other box covers, 0 to 1."""
  most = 0.0
  for other in others:
    width = min(box[0] + box[2], other[0] + other[2]) - max(box[0], other[0])
    height = min(box[1] + box[3], other[1] + other[3]) - max(box[1], other[1])
    if width > 0 and height > 0:
      most = max(most, width * height / (box[2] * box[3]))
  return float(min(1.0, most))
