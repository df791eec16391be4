"""Pre-treatment of raw silhouettes: cut, scale and centre every frame.

The result equals that of OpenGait's `datasets/pretreatment.py` bit for bit, so
networks trained on its data work on these. OpenCV does the scaling, because no
other library's bicubic filter rounds as OpenCV's does.
"""

import cv2
import numpy as np

FRAME_SIZE = 64
# A sum of 10,000 is 39 white pixels; less is noise of the segmentation.
_LEAST_MASS = 10_000


def pretreat_frame(
  frame: np.ndarray,
  size: int = FRAME_SIZE,
  interpolation: int = cv2.INTER_CUBIC,
  least_mass: int = _LEAST_MASS,
) -> np.ndarray | None:
  """Cuts one raw silhouette to the person, scales and centres it.

  Args:
    frame: uint8 [h, w], 0 (background) to 255.
    size: height and width of the result in pixels.
    interpolation: OpenCV's filter that scales.
    least_mass: frames whose pixels sum up to this or less are dropped.

  Returns:
    uint8 [size, size], or None where the reference drops the frame: its pixels
    sum up to `least_mass` or less, or more than half of that sum is in the
    first column.
  """
  if frame.sum() <= least_mass:
    return None
  rows = np.flatnonzero(frame.any(axis=1))
  frame = frame[rows[0] : rows[-1] + 1]
  width = int(size * frame.shape[1] / frame.shape[0])
  if width == 0:
    return None  # A sliver; the reference stops with an error of OpenCV.
  frame = cv2.resize(frame, (width, size), interpolation=interpolation)
  mass = frame.sum(axis=0).cumsum()
  centre = int((mass > mass[-1] / 2).argmax())
  if centre == 0:
    return None
  half = size // 2
  left, right = centre - half, centre + half
  if left <= 0 or right >= width:
    frame = np.pad(frame, ((0, 0), (half, half)))
    left, right = left + half, right + half
  return frame[:, left:right]


def pretreat(frames: np.ndarray, size: int = FRAME_SIZE) -> np.ndarray:
  """Pre-treats a raw sequence; see `pretreat_frame`.

  Args:
    frames: uint8 [s, h, w].
    size: height and width of the result in pixels.

  Returns:
    uint8 [s', size, size], s' <= s: the frames that are not dropped, in order.
  """
  kept = [pretreat_frame(frame, size) for frame in frames]
  kept = [frame for frame in kept if frame is not None]
  return np.stack(kept) if kept else np.zeros((0, size, size), np.uint8)


def pretreat_area_frame(frame: np.ndarray) -> np.ndarray | None:
  """Pre-treats a raw silhouette as OpenGait's script for CCPG does.

  That script scales by averaging over areas, and drops black frames only.

  Args:
    frame: uint8 [h, w].

  Returns:
    uint8 [64, 64], or None; see `pretreat_frame`.
  """
  return pretreat_frame(frame, FRAME_SIZE, cv2.INTER_AREA, 0)


def scale_frame(frame: np.ndarray) -> np.ndarray | None:
  """Scales a silhouette that its publisher has normalised.

  OpenGait's script for CASIA-E does so. Cutting and centring a second time
  would shift the person.

  Args:
    frame: uint8 [h, w], 0 (background) to 255; one that is no square is not
      normalised, so `pretreat_frame` gets it.

  Returns:
    uint8 [64, 64], or None if nothing is white.
  """
  if frame.shape[0] != frame.shape[1]:
    return pretreat_frame(frame)
  # From 128 x 128 this is the mean of 2 x 2 pixels.
  frame = cv2.resize(frame, (FRAME_SIZE, FRAME_SIZE))
  return frame if frame.any() else None
