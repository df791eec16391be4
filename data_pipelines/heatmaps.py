"""Heat maps of limbs and joints, from the key points of a 2-D pose.

These are the maps that SkeletonGait and SkeletonGait++ read (Fan et al., AAAI
2024), made as OpenGait makes them: missing key points are imputed, the body is
centred on its hips and scaled to a fixed height, each joint and each limb
becomes a Gaussian as high as its confidence, and the square around the body is
scaled to 64 x 64.

Key points are pixels (x to the right, y downwards) and a confidence of 0 to 1.
A joint at (0, 0), or at a place that is not finite, is missing. Its place is
imputed, because the hips and the extent of the body must be known; it is drawn
with the confidence that the file gives it, which is usually 0.
"""

from __future__ import annotations

import os
import zipfile
import zlib

import cv2
import numpy as np

from data_pipelines import pickles
from gaitkd_jax.errors import UserError

SIZE = 64  # of the result, in pixels
CANVAS = 128  # on which the body is drawn
EXTENT = 85  # pixels from the highest to the lowest joint on the canvas
SIGMA = 8.0
# Where a Gaussian is cut off, at 1 % of its height.
_REACH = 3 * SIGMA
_LEAST_CONFIDENCE = 1e-4
_NEIGHBOURS = 4
_MOST_BYTES = 2**30
# No camera has so many; a larger coordinate is damaged.
_MOST_PIXELS = 1e6
_LEAST_EXTENT = 2  # normalised coordinates lie between -1 and 1

# COCO's key points are the nose, and left and right eye, ear, shoulder, elbow,
# wrist, hip, knee and ankle, in this order.
LEFT_HIP, RIGHT_HIP = 11, 12
# The limbs of COCO's skeleton.
LIMBS = (
  (15, 13),
  (13, 11),
  (16, 14),
  (14, 12),
  (11, 12),
  (5, 11),
  (6, 12),
  (5, 6),
  (5, 7),
  (6, 8),
  (7, 9),
  (8, 10),
  (1, 2),
  (0, 1),
  (0, 2),
  (1, 3),
  (2, 4),
  (3, 5),
  (4, 6),
)
# OpenPose's 18 key points include the neck, and begin with the right side.
FROM_18 = (0, 15, 14, 17, 16, 5, 2, 6, 3, 7, 4, 11, 8, 12, 9, 13, 10)


def read_key_points(path: str | os.PathLike[str]) -> np.ndarray:
  """Reads the key points of a sequence; runs nothing that is in the file.

  Args:
    path: a .pkl or .npy of one array, or a .npz with one array or with one
      named `keypoints`; see `as_coco17`.

  Returns:
    float64 [t, 17, 3].

  Raises:
    UserError: the file is damaged, or holds something else.
  """
  path = os.fspath(path)
  if path.lower().endswith((".npz", ".npy")):
    values = _read_numpy(path)
  else:
    values = pickles.load_array(path)
  return as_coco17(values, path)


def _read_numpy(path: str) -> np.ndarray:
  try:
    if path.lower().endswith(".npy"):
      return np.load(path, allow_pickle=False)
    with zipfile.ZipFile(path) as archive:
      if sum(item.file_size for item in archive.infolist()) > _MOST_BYTES:
        raise UserError(
          f"{path}: unpacks to over a gigabyte; split the sequence."
        )
    with np.load(path, allow_pickle=False) as arrays:
      names = arrays.files
      if len(names) != 1 and "keypoints" not in names:
        raise UserError(
          f"{path}: holds {len(names)} arrays; name the one of the key points"
          " `keypoints`."
        )
      return arrays["keypoints" if "keypoints" in names else names[0]]
  except UserError:
    raise
  except (
    EOFError,
    MemoryError,
    NotImplementedError,
    OSError,
    RuntimeError,
    SyntaxError,
    ValueError,
    zipfile.BadZipFile,
    zlib.error,
  ) as error:
    reason = " ".join(str(error).split()) or type(error).__name__
    raise UserError(
      f"{path}: cannot be read ({reason[:200]}); copy the file again."
    ) from None


def as_coco17(
  values: np.ndarray, path: str | os.PathLike[str] = "key points"
) -> np.ndarray:
  """Converts key points to COCO's 17.

  Args:
    values: numbers [t, 17, 3] (COCO) or [t, 18, 3] (OpenPose), each row (x, y,
      confidence); or [t, 53], two numbers before COCO's 17 x 3, as OpenGait's
      pickles of GREW.
    path: where they come from, for the error.

  Returns:
    float64 [t, 17, 3].

  Raises:
    UserError: they have another shape, no frame, or are not numbers.
  """
  shape = " x ".join(str(size) for size in values.shape)
  if values.ndim == 2 and values.shape[1] == 2 + 17 * 3:
    values = values[:, 2:].reshape(-1, 17, 3)
  if values.ndim != 3 or values.shape[1:] not in ((17, 3), (18, 3)):
    raise UserError(
      f"{path}: the array is {shape}; key points are frames x 17 (COCO) or 18"
      " (OpenPose) x 3 (x, y, confidence)."
    )
  if not len(values):
    raise UserError(f"{path}: holds no frame; delete the file.")
  if values.dtype.kind not in "fiu":
    raise UserError(
      f"{path}: the array is of type {values.dtype}; key points are numbers."
    )
  values = values.astype(np.float64)
  return values[:, FROM_18] if values.shape[1] == 18 else values


def impute(points: np.ndarray, missing: np.ndarray) -> np.ndarray:
  """Fills in missing joints from the most similar frames.

  As scikit-learn's KNNImputer does with 4 neighbours, weighted by 1 / distance.
  The distance of two frames is the root mean square over the joints that both
  have. Only frames that have the joint are neighbours. A frame that shares no
  joint with any of them gets the mean.

  Args:
    points: float [t, 17, 2].
    missing: bool [t, 17].

  Returns:
    float [t, 17, 2]; NaN where a joint is missing in all frames.
  """
  result = np.where(missing[..., None], np.nan, points)
  known = result.copy()
  for i in np.flatnonzero(missing.any(axis=1)):
    both = ~(missing | missing[i])
    squares = ((known - known[i]) ** 2).sum(-1, where=both[..., None])
    squares = squares.sum(-1, where=both)
    count = both.sum(-1)
    # Infinite where no joint is shared, so that the weight is 0.
    distances = np.full(len(known), np.inf)
    np.divide(squares, count, out=distances, where=count > 0)
    distances = np.sqrt(distances)
    for joint in np.flatnonzero(missing[i]):
      donors = np.flatnonzero(~missing[:, joint])
      if not len(donors):
        continue
      nearest = np.argsort(distances[donors], kind="stable")[:_NEIGHBOURS]
      near = donors[nearest]
      if np.isinf(distances[near]).all():
        near, weights = donors, np.ones(len(donors))
      elif (distances[near] == 0).any():
        weights = (distances[near] == 0).astype(np.float64)
      else:
        weights = 1 / distances[near]
      result[i, joint] = weights @ known[near, joint] / weights.sum()
  return result


def normalise(key_points: np.ndarray) -> np.ndarray:
  """Centres the body of every frame on the canvas and scales it.

  Args:
    key_points: float [t, 17, 3].

  Returns:
    float64 [t, 17, 3]: the middle of the hips is at (64, 64), and the highest
    joint is 85 pixels above the lowest. The confidence is 0 to 1. It is 0 where
    a place is not known, because the joint is missing in all frames, or because
    all joints of the frame are at one height.

  Raises:
    UserError: no frame has a hip, or the coordinates are no pixels.
  """
  key_points = np.asarray(key_points, np.float64)
  points, confidence = key_points[..., :2], key_points[..., 2]
  sane = np.abs(points) < _MOST_PIXELS  # False for NaN, too
  missing = (points == 0).all(-1) | ~sane.all(-1)
  if not missing.all() and np.abs(points[~missing]).max() <= _LEAST_EXTENT:
    raise UserError(
      f"all coordinates lie between -{_LEAST_EXTENT} and {_LEAST_EXTENT}, "
      "which are no pixels; multiply them by the picture's width and height"
    )
  points = impute(points, missing)
  hips = points[:, [LEFT_HIP, RIGHT_HIP]]
  known = np.isfinite(hips).all(-1)
  if not known.any():
    raise UserError("no frame has a hip, on which the body is centred")
  # The centre is one hip if the other is missing in all frames.
  centre = hips.mean(1, where=known[..., None], keepdims=True)
  y = points[..., 1]
  extent = np.nanmax(y, axis=1) - np.nanmin(y, axis=1)
  flat = extent <= 0
  scale = EXTENT / np.where(flat, 1, extent)
  points = (points - centre) * scale[:, None, None] + CANVAS // 2
  unknown = flat[:, None] | ~np.isfinite(points).all(-1)
  confidence = np.clip(np.nan_to_num(confidence), 0, 1)
  return np.concatenate(
    [np.nan_to_num(points), np.where(unknown, 0, confidence)[..., None]], -1
  )


def _span(low: float, high: float) -> slice:
  """The pixels that a Gaussian along a line between two places reaches."""
  start = min(max(int(low - _REACH), 0), CANVAS)
  return slice(start, min(max(int(high + _REACH) + 1, start), CANVAS))


def draw_limb(canvas: np.ndarray, start: np.ndarray, end: np.ndarray) -> None:
  """Draws a Gaussian along a line, wherever it is higher than the canvas.

  Args:
    canvas: float32 [128, 128], changed in place.
    start: (x, y, confidence).
    end: likewise; equal to `start` for a joint. The lower of the two
      confidences is the height of the Gaussian.
  """
  height = min(start[2], end[2])
  if height < _LEAST_CONFIDENCE:
    return
  columns, rows = (
    _span(min(start[axis], end[axis]), max(start[axis], end[axis]))
    for axis in range(2)
  )
  # Single precision, because the exponentials take most of the time.
  x = np.arange(columns.start, columns.stop, dtype=np.float32) - start[0]
  y = np.arange(rows.start, rows.stop, dtype=np.float32)[:, None] - start[1]
  x, y = x.astype(np.float32), y.astype(np.float32)
  dx, dy = (np.float32(end[axis] - start[axis]) for axis in range(2))
  length = dx * dx + dy * dy
  if length >= 1:
    along = np.clip((x * dx + y * dy) / length, 0, 1)
    x, y = x - along * dx, y - along * dy
  gaussian = np.exp((x * x + y * y) * np.float32(-0.5 / SIGMA**2))
  area = canvas[rows, columns]
  np.maximum(area, np.float32(height) * gaussian, out=area)


def _crop(maps: np.ndarray) -> np.ndarray:
  """Scales the square around a body to 64 x 64.

  Args:
    maps: uint8 [128, 128, 2].

  Returns:
    uint8 [64, 64, 2]; black if the maps are.
  """
  rows = np.flatnonzero(maps.any(axis=(1, 2)))
  if not len(rows):
    return np.zeros((SIZE, SIZE, maps.shape[2]), np.uint8)
  height = rows[-1] + 1 - rows[0]
  left = CANVAS // 2 - height // 2
  square = maps[rows[0] : rows[-1] + 1, left : left + height]
  return cv2.resize(square, (SIZE, SIZE), interpolation=cv2.INTER_AREA)


def make_heatmaps(key_points: np.ndarray) -> np.ndarray:
  """Draws the heat maps of a sequence.

  Args:
    key_points: float [t, 17, 3], see `as_coco17`.

  Returns:
    uint8 [t, 2, 64, 64], limbs and joints. There are as many frames as before;
    one without key points is black.

  Raises:
    UserError: no frame has a hip.
  """
  result = np.zeros((len(key_points), 2, SIZE, SIZE), np.uint8)
  for frame, body in zip(result, normalise(key_points), strict=True):
    limbs, joints = np.zeros((2, CANVAS, CANVAS), np.float32)
    for a, b in LIMBS:
      draw_limb(limbs, body[a], body[b])
    for joint in body:
      draw_limb(joints, joint, joint)
    maps = (np.stack([limbs, joints], -1) * 255).astype(np.uint8)
    frame[:] = np.moveaxis(_crop(maps), -1, 0)
  return result
