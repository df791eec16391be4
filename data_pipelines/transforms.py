"""Augmentation of clips: drawn in numpy, applied in TensorFlow.

One draw holds for all frames of a clip, and for all channels where silhouettes
and heat maps are stacked. In OpenGait's order: perspective, affine, cut of 64
columns to 44, flip, rotation, erasing. The geometric ones are composed, so that
a frame is interpolated once; a clip that drew no warp is only copied.

Differences from OpenGait: the rotation is about the frame's true centre (there
it is about row and column swapped, 10 pixels off); the box is erased from all
channels (there, of a clip with channels, whole rows of some channels are); one
interpolation takes the place of several, so that the affine warp can bring back
what the perspective had pushed out of the frame's sides.
"""

from __future__ import annotations

import dataclasses
from typing import NamedTuple

import numpy as np
import tensorflow as tf

from gaitkd_jax import errors

SIZE = 64  # height, and width before the cut
LEFT = 10  # columns that the cut removes on each side
WIDTH = SIZE - 2 * LEFT

MAX_ANGLE = 10.0  # degrees
MAX_INSET = 10  # pixels by which a corner moves, exclusive
MAX_SHIFT = 10  # the same of the affine warp, down and to the side
# Of the box: area as a part of the frame, and height / width.
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
    matrices: float32 [n, 4, 3]. Times a pixel (x, y, 1) of the result they
      give (X, Y, Z, U): it shows pixel (X / Z, Y / Z) of the uncut frame, by
      way of column U of the cut one. They contain the flip.
    boxes: int32 [n, 4], top, left, bottom, right of the erased pixels, the
      last two exclusive; zeros where nothing is erased.
  """

  flipped: np.ndarray
  warped: np.ndarray
  matrices: np.ndarray
  boxes: np.ndarray


def draw(augment: Augment, n: int, rng: np.random.Generator) -> Draws:
  """Draws the augmentation of n clips.

  The numbers are drawn whatever the probabilities are: changing one leaves
  the other augmentations as they were. So does a new augmentation, as long as
  its numbers are drawn last.
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
  # From the result back to the source, hence the last step first.
  to_cut = _flip(flipped) @ _rotation(angles)
  warps = _perspective(insets, tilted) @ _affine(shifts, shifted)
  to_uncut = warps @ _shift(LEFT) @ to_cut
  return np.concatenate([to_uncut, to_cut[:, :1]], 1).astype(np.float32)


def _shift(dx: float) -> np.ndarray:
  """Returns [3, 3]: x + dx."""
  return np.array([[1, 0, dx], [0, 1, 0], [0, 0, 1]], np.float64)


def _flip(flipped: np.ndarray) -> np.ndarray:
  """Returns [n, 3, 3]: mirrors x in the cut frame, or nothing."""
  mirror = np.array([[-1, 0, WIDTH - 1], [0, 1, 0], [0, 0, 1]], np.float64)
  return np.where(flipped[:, None, None], mirror, np.eye(3))


def _rotation(angles: np.ndarray) -> np.ndarray:
  """Returns [n, 3, 3]: a turned pixel to where it came from.

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
  """Returns [n, 3, 3]: a pixel of the tilted uncut frame to its source.

  The source is the quadrangle with corners (a, 0), (W - 1 - b, 0) above and
  (d, H), (W - 1 - c, H) below, stretched over the frame. Its horizontal sides
  stay horizontal, which gives the projection in closed form.

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
  """Returns [n, 3, 3]: a pixel of the affinely warped frame to its source.

  Three corners of the uncut frame, each moved inwards, go to the same three
  corners, moved inwards by other numbers.

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
  """Returns float [n, 4], boxes from uniform numbers [4, n].

  A box is at most 43 pixels high and wide, so it always fits and OpenGait's
  loop of 100 tries ends at the first.
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
  """Cuts columns from both sides, as many as OpenGait's transform does.

  Args:
    frames: [..., h, w], or [..., h, w, c] with `axis` -2; w is known to the
      graph.
    cutting: columns to cut from each side; by default 10 for each full 64 of
      w: 64 becomes 44, 128 becomes 88, 44 stays 44, and 88 becomes 68.
    axis: the axis w, -1 or -2.

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
    frames: [..., h, w] of one sequence, labels (0 to 11 in Gait3D-Parsing) or
      silhouettes of 0 to 255; see `cut` for it and the others.
    cutting: columns to cut from each side.
    axis: the axis w.

  Returns:
    float32, divided by 255 only if the largest of them is 255.
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
      frames, which all get the same.
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
  # One pixel of zeros all around is the border: what lies further out is
  # moved onto it.
  side = SIZE + 2
  x = tf.clip_by_value(x / z + 1, 0, side - 1)
  y = tf.clip_by_value(y / z + 1, 0, side - 1)
  x0 = tf.minimum(tf.floor(x), side - 2)
  y0 = tf.minimum(tf.floor(y), side - 2)
  right, below = x - x0, y - y0
  # What the cut had removed by the time of the rotation stays removed.
  inside = tf.clip_by_value(tf.minimum(column + 1, WIDTH - column), 0, 1)
  index = tf.cast(y0 * side + x0, tf.int32)

  # The frames as the minor axis: a place is one row to fetch, whatever s is.
  # Padded before and not after: transposing strides of 4096 bytes, which all
  # fall on one set of the cache, takes twice as long.
  channels = list(clip.shape[3:])
  edges = [[0, 0], [1, 1], [1, 1]] + [[0, 0]] * len(channels)
  rows = tf.pad(tf.cast(clip, tf.float32), edges)
  rows = tf.reshape(rows, [-1, side * side, *channels])
  # Frames and places change their order; channels stay behind the frames.
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
