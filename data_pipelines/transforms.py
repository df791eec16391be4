"""Augmentation of clips: drawn in numpy, applied in TensorFlow.

All frames of a clip are augmented in the same way, and so are all channels if
silhouettes and heat maps are stacked. The order is OpenGait's: perspective,
affine, cutting 64 columns to 44, flip, rotation, erasing. The geometric ones
are composed into one warp, so that a frame is interpolated once; a clip without
any of them is only copied.

Differences from OpenGait: the rotation is about the true centre of the frame
(OpenGait swaps row and column, and is 10 pixels off); the box is erased from
all channels (OpenGait erases whole rows of some channels); and since there is
one interpolation rather than several, the affine warp can bring back what the
perspective has moved out of the frame.
"""

from __future__ import annotations

import dataclasses
from typing import NamedTuple

import numpy as np
import tensorflow as tf

from gaitkd_jax import errors

SIZE = 64  # height, and width before columns are cut
LEFT = 10  # columns that are cut from each side
WIDTH = SIZE - 2 * LEFT

MAX_ANGLE = 10.0  # degrees
MAX_INSET = 10  # pixels by which perspective moves a corner, exclusive
MAX_SHIFT = 10  # the same for the affine warp, down and to the side
# The box that is erased: its part of the frame's area, and height / width.
ERASED_AREA = (0.05, 0.2)
ERASED_ASPECT = (0.3, 1 / 0.3)


@dataclasses.dataclass(frozen=True)
class Augment:
  """The probability of each augmentation.

  Raises:
    errors.UserError: a probability is outside 0 to 1.
  """

  flip: float = 0.0
  rotate: float = 0.0
  perspective: float = 0.0
  erase: float = 0.0
  affine: float = 0.0

  def __post_init__(self):
    for name, value in dataclasses.asdict(self).items():
      if not 0 <= value <= 1:
        raise errors.UserError(
          f"augment.{name} is {value}; give a probability from 0 to 1"
        )


class Draws(NamedTuple):
  """What was drawn for n clips.

  Attributes:
    flipped: bool [n].
    warped: bool [n], whether the clip has to be interpolated.
    matrices: float32 [n, 4, 3]. Multiplied by a pixel (x, y, 1) of the result
      they give (X, Y, Z, U): that pixel shows (X / Z, Y / Z) of the frame
      before columns are cut, and column U of the frame after that. The flip is
      included.
    boxes: int32 [n, 4], top, left, bottom, right of the erased pixels, the
      last two exclusive; zeros where nothing is erased.
  """

  flipped: np.ndarray
  warped: np.ndarray
  matrices: np.ndarray
  boxes: np.ndarray


def draw(augment: Augment, n: int, rng: np.random.Generator) -> Draws:
  """Draws the augmentation of n clips.

  All numbers are drawn, whatever the probabilities are, so that changing one
  probability leaves the other augmentations as they were. So does adding an
  augmentation, as long as its numbers are drawn last.
  """
  u_flip, u_rotate, u_perspective, u_erase = rng.random((4, n))
  flipped = u_flip < augment.flip
  rotated = u_rotate < augment.rotate
  tilted = u_perspective < augment.perspective
  angles = rng.uniform(-MAX_ANGLE, MAX_ANGLE, n) * rotated
  insets = rng.integers(0, MAX_INSET, (n, 4)) * tilted[:, None]
  boxes = _boxes(rng.random((4, n))) * (u_erase < augment.erase)[:, None]
  shifted = rng.random(n) < augment.affine
  shifts = rng.integers(0, MAX_SHIFT, (n, 2, 3, 2))

  return Draws(
    flipped=flipped,
    warped=rotated | tilted | shifted,
    matrices=_compose(flipped, angles, insets, tilted, shifts, shifted),
    boxes=boxes.astype(np.int32),
  )


def _compose(
  flipped: np.ndarray,
  angles: np.ndarray,
  insets: np.ndarray,
  tilted: np.ndarray,
  shifts: np.ndarray,
  shifted: np.ndarray,
) -> np.ndarray:
  """Returns float32 [n, 4, 3], the `Draws.matrices` of n clips."""
  # Matrices lead from the result back to the source, so the last step is first.
  to_cut = _flip(flipped) @ _rotation(angles)
  warps = _perspective(insets, tilted) @ _affine(shifts, shifted)
  to_uncut = warps @ _shift(LEFT) @ to_cut
  return np.concatenate([to_uncut, to_cut[:, :1]], 1).astype(np.float32)


def _shift(dx: float) -> np.ndarray:
  """Returns [3, 3]: x + dx."""
  return np.array([[1, 0, dx], [0, 1, 0], [0, 0, 1]], np.float64)


def _flip(flipped: np.ndarray) -> np.ndarray:
  """Returns [n, 3, 3]: mirrors x in the cut frame, or changes nothing."""
  mirror = np.array([[-1, 0, WIDTH - 1], [0, 1, 0], [0, 0, 1]], np.float64)
  return np.where(flipped[:, None, None], mirror, np.eye(3))


def _rotation(angles: np.ndarray) -> np.ndarray:
  """Returns [n, 3, 3]: from a pixel of the turned frame to its source.

  Args:
    angles: float [n], degrees, counter-clockwise as in OpenCV.
  """
  x, y = (WIDTH - 1) / 2, (SIZE - 1) / 2
  cos, sin = np.cos(np.deg2rad(angles)), np.sin(np.deg2rad(angles))
  zero, one = np.zeros_like(cos), np.ones_like(cos)
  return np.moveaxis(
    np.array(
      [
        [cos, -sin, x - cos * x + sin * y],
        [sin, cos, y - sin * x - cos * y],
        [zero, zero, one],
      ]
    ),
    -1,
    0,
  )


def _perspective(insets: np.ndarray, tilted: np.ndarray) -> np.ndarray:
  """Returns [n, 3, 3]: from a pixel of the tilted uncut frame to its source.

  The quadrangle with the upper corners (a, 0), (W - 1 - b, 0) and the lower
  corners (d, H), (W - 1 - c, H) is stretched over the frame. Its horizontal
  sides stay horizontal, so the projection has a closed form.

  Args:
    insets: int [n, 4], the pixels a, b, c, d.
    tilted: bool [n], whether the corners moved at all.
  """
  a, b, c, d = insets.T
  above, below = SIZE - 1 - b - a, SIZE - 1 - c - d
  ratio = above / below
  zero, one = np.zeros(len(insets)), np.ones(len(insets))
  projection = np.array(
    [
      [above / SIZE, (d * ratio - a) / SIZE, a],
      [zero, ratio, zero],
      [zero, (ratio - 1) / SIZE, one],
    ]
  )
  return np.where(
    tilted[:, None, None], np.moveaxis(projection, -1, 0), np.eye(3)
  )


def _affine(shifts: np.ndarray, shifted: np.ndarray) -> np.ndarray:
  """Returns [n, 3, 3]: from a pixel of the affinely warped frame to its source.

  Three corners of the uncut frame, each moved inwards, are mapped to the same
  three corners, moved inwards by other numbers of pixels.

  Args:
    shifts: int [n, 2, 3, 2], pixels by which (source, target) moves the upper
      left, upper right and lower left corner in (x, y).
    shifted: bool [n], whether the frame is warped at all.
  """
  corners = np.array([[0, 0], [SIZE, 0], [0, SIZE]])
  inwards = np.array([[1, 1], [-1, 1], [1, -1]])
  points = corners + inwards * shifts[shifted]
  points = np.insert(points.astype(np.float64), 2, 1, axis=-1)
  source, target = np.moveaxis(points.swapaxes(-1, -2), 1, 0)
  result = np.tile(np.eye(3), (len(shifted), 1, 1))
  result[shifted] = source @ np.linalg.inv(target)
  return result


def _boxes(u: np.ndarray) -> np.ndarray:
  """Returns boxes, float [n, 4], made of uniform random numbers [4, n].

  A box is at most 43 pixels high and wide, so it always fits: OpenGait tries up
  to 100 times, and the first try succeeds.
  """
  low, high = ERASED_AREA
  area = (low + (high - low) * u[0]) * SIZE * WIDTH
  low, high = ERASED_ASPECT
  aspect = low + (high - low) * u[1]
  height = np.round(np.sqrt(area * aspect))
  width = np.round(np.sqrt(area / aspect))
  top = np.floor(u[2] * (SIZE - height + 1))
  left = np.floor(u[3] * (WIDTH - width + 1))
  return np.stack([top, left, top + height, left + width], axis=1)


def cut(
  frames: tf.Tensor, cutting: int | None = None, axis: int = -1
) -> tf.Tensor:
  """Cuts columns from both sides, as OpenGait's transform does.

  Args:
    frames: [..., h, w], or [..., h, w, c] with `axis` -2; w must be static.
    cutting: columns to cut from each side; by default 10 for each whole 64 in
      w: 64 becomes 44, 128 becomes 88, 44 stays 44, and 88 becomes 68.
    axis: of the columns, -1 or -2.

  Returns:
    The frames with w - 2 * cutting columns.

  Raises:
    errors.UserError: nothing would be left, or cutting is negative.
  """
  width = frames.shape[axis]
  if cutting is None:
    cutting = width // SIZE * LEFT
  if not 0 <= 2 * cutting < width:
    raise errors.UserError(
      f"cutting is {cutting} of {width} columns; give a number from 0 to"
      f" {(width - 1) // 2}"
    )
  columns = slice(cutting, width - cutting)
  return frames[..., columns] if axis == -1 else frames[..., columns, :]


def cut_parsing(
  frames: tf.Tensor, cutting: int | None = None, axis: int = -1
) -> tf.Tensor:
  """Cuts maps of body parts, whose numbers are labels, not brightness.

  Args:
    frames: [..., h, w] of one sequence: labels (0 to 11 in Gait3D-Parsing), or
      silhouettes of 0 to 255.
    cutting: see `cut`.
    axis: see `cut`.

  Returns:
    float32; divided by 255 only if the largest number is 255.
  """
  frames = tf.cast(cut(frames, cutting, axis), tf.float32)
  return tf.where(tf.reduce_max(frames) == 255, frames / 255, frames)


def apply(
  clip: tf.Tensor,
  flipped: tf.Tensor,
  warped: tf.Tensor,
  matrix: tf.Tensor,
  box: tf.Tensor,
) -> tf.Tensor:
  """Augments one clip.

  Args:
    clip: uint8 [s, 64, 64], or [s, 64, 64, c]: several modalities of the same
      frames, which are augmented alike.
    flipped: bool scalar; this and the following are one row of `Draws`.
    warped: bool scalar.
    matrix: float32 [4, 3].
    box: int32 [4].

  Returns:
    uint8 [s, 64, 44] or [s, 64, 44, c].
  """

  def copy():
    result = cut(clip, axis=2 - len(clip.shape))
    return tf.cond(flipped, lambda: tf.reverse(result, [2]), lambda: result)

  result = tf.cond(warped, lambda: warp(clip, matrix), copy)
  return tf.cond(
    tf.reduce_any(box > 0), lambda: _erase(result, box), lambda: result
  )


_COLUMNS, _ROWS = np.meshgrid(np.arange(WIDTH), np.arange(SIZE))
_PIXELS = np.stack(
  [_COLUMNS.ravel(), _ROWS.ravel(), np.ones(SIZE * WIDTH)], axis=1
).astype(np.float32)


def warp(clip: tf.Tensor, matrix: tf.Tensor) -> tf.Tensor:
  """Interpolates every frame of a clip at the same places.

  Bilinear, zero outside the frame, rounded.

  Args:
    clip: uint8 [s, 64, 64] or [s, 64, 64, c].
    matrix: float32 [4, 3], see `Draws`.

  Returns:
    uint8 [s, 64, 44] or [s, 64, 44, c].
  """
  x, y, z, column = tf.unstack(
    tf.matmul(_PIXELS, matrix, transpose_b=True), axis=1
  )
  # The frame gets a border of zeros, one pixel wide, and places further out are
  # moved onto it.
  side = SIZE + 2
  x = tf.clip_by_value(x / z + 1, 0, side - 1)
  y = tf.clip_by_value(y / z + 1, 0, side - 1)
  x0 = tf.minimum(tf.floor(x), side - 2)
  y0 = tf.minimum(tf.floor(y), side - 2)
  right, below = x - x0, y - y0
  # Columns are cut before the rotation, so what was cut off does not come back.
  inside = tf.clip_by_value(tf.minimum(column + 1, WIDTH - column), 0, 1)
  index = tf.cast(y0 * side + x0, tf.int32)

  # The frames are the last axis, so that a place is one row to fetch, however
  # many frames there are. They are padded first: transposing afterwards, with
  # strides of 4096 bytes that share one set of the cache, takes twice as long.
  channels = list(clip.shape[3:])
  edges = [[0, 0], [1, 1], [1, 1]] + [[0, 0]] * len(channels)
  rows = tf.pad(tf.cast(clip, tf.float32), edges)
  rows = tf.reshape(rows, [-1, side * side, *channels])
  # Frames and places are swapped; channels stay behind the frames.
  order = [1, 0, 2][: 2 + len(channels)]
  rows = tf.reshape(tf.transpose(rows, order), [side * side, -1])
  total = 0.5
  for offset, weight in (
    (0, (1 - right) * (1 - below)),
    (1, right * (1 - below)),
    (side, (1 - right) * below),
    (side + 1, right * below),
  ):
    values = tf.gather(rows, index + offset)
    total += values * (weight * inside)[:, None]
  total = tf.reshape(total, [SIZE * WIDTH, -1, *channels])
  result = tf.cast(tf.transpose(total, order), tf.uint8)
  return tf.reshape(result, [-1, SIZE, WIDTH, *channels])


def _erase(clip: tf.Tensor, box: tf.Tensor) -> tf.Tensor:
  """Sets the box to zero in all frames and channels."""
  top, left, bottom, right = tf.unstack(box)
  row, column = tf.range(SIZE)[:, None], tf.range(WIDTH)[None, :]
  erased = (row >= top) & (row < bottom) & (column >= left) & (column < right)
  kept = tf.cast(~erased, tf.uint8)
  return clip * tf.reshape(kept, [SIZE, WIDTH] + [1] * len(clip.shape[3:]))
