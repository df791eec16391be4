"""The light of a picture, compared with that of its background."""

import numpy as np

# The light is evened out on a grid of so many rows. Cells that differ by more
# hold a person, not another light.
_ROWS, _PERSON = 32, 40
# Another light multiplies colours by a factor in this range. It is drawn to 1
# by so much variance of colours (levels squared).
_FACTORS, _PRIOR = (0.3, 3.0), 25.0
_BRIGHTEST = 245


def compare(
  background: np.ndarray, picture: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
  """How much brighter a picture is, where nobody is.

  Args:
    background: uint8 [h, w, 3], without people.
    picture: uint8 [h, w, 3].

  Returns:
    float32 [3], the factor of the whole picture's colours, and what has to be
    added to them then, float32 [rows, columns, 3], a coarse grid: clouds,
    lamps, the flare of the sun, and a camera's own correction.
  """
  import cv2

  height, width = picture.shape[:2]
  cell = max(4, height // _ROWS)
  grid = (max(1, width // cell), max(1, height // cell))
  now, then = (
    cv2.resize(p, grid, interpolation=cv2.INTER_AREA).astype(np.float32)
    for p in (picture, background)
  )
  factor, offset = _line(then.reshape(-1, 3), now.reshape(-1, 3))
  change = now - np.minimum(factor * then + offset, 255)
  change[np.abs(change).max(axis=2) > _PERSON] = 0
  near = np.clip(change + 128, 0, 255).astype(np.uint8)
  # A median over half the picture's height forgets what is smaller.
  near = cv2.medianBlur(near, max(3, grid[1] // 2 | 1))
  near = cv2.GaussianBlur(near.astype(np.float32) - 128, (0, 0), 2)
  return factor, near.reshape(grid[1], grid[0], 3) + offset


def even(background: np.ndarray, picture: np.ndarray) -> np.ndarray:
  """A picture in the light of the background, uint8 [h, w, 3]."""
  import cv2

  factor, near = compare(background, picture)
  if np.abs(factor - 1).max() < 0.02 and np.abs(near).max() < 2:
    return picture
  size = picture.shape[1::-1]
  added = cv2.resize(near, size, interpolation=cv2.INTER_LINEAR)
  evened = (picture - added) / factor
  return np.clip(evened, 0, 255, out=evened).astype(np.uint8)


def expect(background: np.ndarray, picture: np.ndarray) -> np.ndarray:
  """The background in the light of a picture, uint8 [h, w, 3]."""
  import cv2

  factor, near = compare(background, picture)
  table = np.arange(256)[:, None] * factor
  table = np.clip(np.rint(table), 0, 255).astype(np.uint8)
  brighter = cv2.LUT(background, table.reshape(1, 256, 3))
  added = cv2.resize(
    np.rint(near).astype(np.int16),
    picture.shape[1::-1],
    interpolation=cv2.INTER_LINEAR,
  )
  return cv2.add(brighter, added, dtype=cv2.CV_8U)


def _line(x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
  """Fits y = a x + b to most of the points, float32 [n, 3], by channel.

  Returns:
    a and b, float32 [3].
  """
  # What is over-exposed says nothing, and what a person hides is far off.
  usable = (x < _BRIGHTEST) & (y < _BRIGHTEST)
  a, b = np.ones(3, np.float32), np.zeros(3, np.float32)
  for _ in range(4):
    error = np.abs(y - a * x - b)
    middle = np.median(error, axis=0)
    weights = usable / np.maximum(error, 1 + middle)
    total = weights.sum(axis=0) + 1e-9
    mean_x, mean_y = (weights * x).sum(0) / total, (weights * y).sum(0) / total
    spread = (weights * (x - mean_x) ** 2).sum(axis=0)
    both = (weights * (x - mean_x) * (y - mean_y)).sum(axis=0)
    # A place of one colour does not tell a factor from an offset.
    a = (both + total * _PRIOR) / (spread + total * _PRIOR)
    a = np.clip(a, *_FACTORS).astype(np.float32)
    b = (mean_y - a * mean_x).astype(np.float32)
  return a, b
