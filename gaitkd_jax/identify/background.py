"""People before a background that does not move.

The background is the median of frames that are sampled over a minute around
the present, so it is known from the first frame on, and people who cross leave
no trace in it. OpenCV's MOG2 and KNN, trained on the same frames of a recorded
walk, took the flare of a low sun for people; the median, after the light is
evened out, did not.
"""

from collections.abc import Sequence

import numpy as np

from gaitkd_jax.identify import light
from gaitkd_jax.identify import looks
from gaitkd_jax.identify import shadows
from gaitkd_jax.identify.track import Detection

# A pixel is foreground where one colour differs by more than the noise of that
# pixel, and by at least the first number; noise counts up to the second.
_LEAST, _MOST = 15.0, 60.0
# Times the median of the deviation: 2.5 standard deviations. What is compared
# with that is a mean of 9 pixels, which varies by a third of that.
_NOISE = 2.5 * 1.4826
# A person's outline, in shares of the greatest difference two pixels around.
_EDGE = 0.5
# People are so many pixels high or more, and that share of their box is white.
_SMALLEST = 24
_LARGEST = 0.5  # of the picture; more is another light
_FILLED = 0.15
# Parts of one person are so close, in shares of the picture's height.
_CLOSE = 0.015
_SPECK = 0.1  # a part that is less than this share of the largest is no one's
# A hole is filled if it is that small, or if that much of it differs a little.
_SMALL_HOLE, _DIM_HOLE = 0.012, 0.3
_BLOCK = 64  # rows of the samples that are looked at together
# The camera moves if pictures are shifted by more than this share of the width,
# or if more than this share of the picture is foreground.
_SHIFTED, _FOREGROUND = 0.01, 0.4
_SURE = 0.05  # of a shift, which is 0 to 1


class Background:
  """What a camera sees without people.

  Attributes:
    picture: uint8 [h, w, 3].
    limit: uint8 [h, w, 3], the difference at which a pixel is foreground.
  """

  def __init__(self, samples: Sequence[np.ndarray]):
    """Looks at samples.

    Args:
      samples: uint8 [h, w, 3] each, of several seconds or more; one at least.
    """
    import cv2

    # Fewer of them tell enough of the light, and of the noise.
    self.picture = _over_time(samples[::3], _median)
    # Another light in some of them would look like noise everywhere.
    samples = [light.even(self.picture, sample) for sample in samples]
    self.picture = _over_time(samples, _median)
    noise = _over_time(samples[::3], _deviation)
    limit = _NOISE * cv2.blur(noise.astype(np.float32), (3, 3))
    self.limit = np.clip(limit, _LEAST, _MOST).astype(np.uint8)
    self._half = self.limit // 2

  def foreground(self, picture: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Finds what is not the background.

    Args:
      picture: uint8 [h, w, 3].

    Returns:
      Two masks, uint8 [h, w], 0 or 255: what certainly differs, cleaned of
      specks, without shadows; and what differs by half as much or more, near to
      the former.
    """
    import cv2

    expected = light.expect(self.picture, picture)
    # A mean of 3 x 3 pixels has a third of the noise.
    difference = cv2.blur(cv2.absdiff(picture, expected), (3, 3))
    strong = _any(cv2.compare(difference, self.limit, cv2.CMP_GT))
    strong = cv2.medianBlur(strong, 5)
    dim = np.zeros_like(strong)
    for near in _regions(strong):
      most = difference[near].max(axis=2)
      half = cv2.compare(difference[near], self._half[near], cv2.CMP_GT)
      shadow = shadows.find(picture[near], expected[near], strong[near])
      dim[near] = _any(half) & ~shadow
      # The outline lies where the difference is half of that inside.
      inside = cv2.dilate(most, np.ones((5, 5), np.uint8))
      edge = cv2.compare(most, cv2.multiply(inside, _EDGE), cv2.CMP_GT)
      strong[near] &= ~shadow & edge
    return strong, dim

  def people(self, picture: np.ndarray) -> tuple[list[Detection], float]:
    """Finds people.

    Args:
      picture: uint8 [h, w, 3].

    Returns:
      Them, from left to right; two who overlap in the picture are one. And the
      share of the picture that is foreground, 0 to 1.
    """
    mask = self.mask(picture)
    return _people(mask, picture), np.count_nonzero(mask) / mask.size

  def mask(self, picture: np.ndarray) -> np.ndarray:
    """What `people` looks at: uint8 [h, w], 0 or 255."""
    return clean(*self.foreground(picture))


def clean(strong: np.ndarray, dim: np.ndarray) -> np.ndarray:
  """Closes gaps, fills holes and drops specks.

  Args:
    strong: uint8 [h, w], 0 or 255, what differs from the background.
    dim: the same for what differs a little; a hole is background only if most
      of it does not.

  Returns:
    uint8 [h, w], 0 or 255.
  """
  import cv2

  height = strong.shape[0]
  size = max(3, height // 55 | 1)
  kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (size, size))
  mask = cv2.morphologyEx(strong, cv2.MORPH_CLOSE, kernel)
  contours, tree = cv2.findContours(mask, cv2.RETR_CCOMP, cv2.CHAIN_APPROX_NONE)
  if tree is None:
    return mask
  least = (_SMALLEST * height / 480) ** 2 / 16
  areas = [cv2.contourArea(contour) for contour in contours]
  for i, (contour, (_, _, _, parent)) in enumerate(
    zip(contours, tree[0], strict=True)
  ):
    if parent < 0:
      if areas[i] < least:
        cv2.drawContours(mask, contours, i, 0, -1)
      continue
    x, y, width, rows = cv2.boundingRect(contour)
    inside = (slice(y, y + rows), slice(x, x + width))
    hole = np.zeros((rows, width), np.uint8)
    cv2.drawContours(hole, [contour - (x, y)], 0, 255, -1)
    unclear = cv2.mean(dim[inside], hole)[0] / 255
    if areas[i] < _SMALL_HOLE * areas[parent] or unclear > _DIM_HOLE:
      mask[inside] |= hole
  return mask


def _people(mask: np.ndarray, picture: np.ndarray) -> list[Detection]:
  import cv2

  count, labels, stats, _ = cv2.connectedComponentsWithStats(mask)
  height = mask.shape[0]
  groups = _groups(stats[1:count, :4].astype(np.int64), _CLOSE * height)
  found = []
  for group in groups:
    part = stats[1:count][group]
    left, top = part[:, 0].min(), part[:, 1].min()
    right = (part[:, 0] + part[:, 2]).max()
    bottom = (part[:, 1] + part[:, 3]).max()
    if bottom - top < _SMALLEST:
      continue
    inside = (slice(top, bottom), slice(left, right))
    own = np.isin(labels[inside], np.array(group) + 1)
    own = own.astype(np.uint8) * 255
    area = int(np.count_nonzero(own))
    if area < _FILLED * own.size or own.size > _LARGEST * mask.size:
      continue
    box = np.array([left, top, right - left, bottom - top], np.float64)
    found.append(Detection(box, own, area, looks.look(picture[inside], own)))
  return sorted(found, key=lambda person: tuple(person.box))


def _groups(boxes: np.ndarray, close: float) -> list[list[int]]:
  """Puts together parts that lie above one another, int [n, 4] boxes."""
  group = list(range(len(boxes)))
  left, top, width, height = boxes.T if len(boxes) else np.zeros((4, 0))
  for i in range(len(boxes)):
    for j in range(i):
      gap_x = max(left[i], left[j]) - min(
        left[i] + width[i], left[j] + width[j]
      )
      gap_y = max(top[i], top[j]) - min(top[i] + height[i], top[j] + height[j])
      # Side by side are two people; one above the other is one.
      if -gap_x > 0.5 * min(width[i], width[j]) and gap_y < close * 2:
        old, new = group[i], group[j]
        group = [new if g == old else g for g in group]
  return [
    [i for i, g in enumerate(group) if g == wanted]
    for wanted in sorted(set(group))
  ]


def within(mask: np.ndarray, box: np.ndarray) -> np.ndarray:
  """The person in a box.

  Args:
    mask: uint8 [h, w], 0 or 255, of all people.
    box: float [4], left, top, width and height.

  Returns:
    uint8 [h', w'], 0 or 255: the box alone, without small parts of others.
  """
  import cv2

  left, top = np.floor(box[:2]).astype(int)
  right, bottom = np.ceil(box[:2] + box[2:]).astype(int)
  inside = mask[max(0, top) : bottom, max(0, left) : right]
  count, labels, stats, _ = cv2.connectedComponentsWithStats(inside)
  if count < 3:
    return inside.copy()
  kept = stats[:, 4] > _SPECK * stats[1:, 4].max()
  kept[0] = False
  return kept[labels].astype(np.uint8) * 255


def warnings(samples: Sequence[np.ndarray], mask_share: float) -> list[str]:
  """Says whether the camera seems to move, in one line if it does.

  Args:
    samples: uint8 [h, w, 3] each, in the order of time.
    mask_share: median share of the picture that is foreground, 0 to 1.
  """
  import cv2

  width = 256
  small = []
  for sample in samples:
    height = max(16, round(width * sample.shape[0] / sample.shape[1]))
    grey = cv2.cvtColor(sample, cv2.COLOR_BGR2GRAY)
    grey = cv2.resize(grey, (width, height), interpolation=cv2.INTER_AREA)
    small.append(cv2.GaussianBlur(grey.astype(np.float32), (0, 0), 2))
  shifts = []
  if len(small) > 1:
    window = cv2.createHanningWindow(small[0].shape[::-1], cv2.CV_32F)
    for sample in small[1:]:
      (x, y), sure = cv2.phaseCorrelate(small[0], sample, window)
      shifts.append(np.hypot(x, y) if sure > _SURE else 0.0)
  shift = float(np.median(shifts)) / width if shifts else 0.0
  if shift <= _SHIFTED and mask_share <= _FOREGROUND:
    return []
  why = (
    f"half of the pictures are shifted by {shift:.0%} of the width or more"
    if shift > _SHIFTED
    else f"{mask_share:.0%} of the picture differs from its background"
  )
  return [
    f"the camera seems to move ({why}); people are found before a background "
    "that stands still: use a tripod, or give --boxes and --segmenter"
  ]


def _any(mask: np.ndarray) -> np.ndarray:
  """Where one of three channels is set, uint8 [h, w, 3] to [h, w]."""
  import cv2

  first, second, third = cv2.split(mask)
  return first | second | third


def _regions(mask: np.ndarray) -> list[tuple[slice, slice]]:
  """Rectangles around what is white, with a border of 16 pixels or more."""
  import cv2

  height, width = mask.shape
  cell = 16
  rows, columns = -(-height // cell), -(-width // cell)
  small = np.pad(mask, ((0, rows * cell - height), (0, columns * cell - width)))
  small = small.reshape(rows, cell, columns, cell).any(axis=(1, 3))
  small = cv2.dilate(small.astype(np.uint8), np.ones((3, 3), np.uint8))
  _, _, stats, _ = cv2.connectedComponentsWithStats(small)
  found = []
  for x, y, columns, rows, _ in stats[1:].tolist():
    found.append(
      (
        slice(max(0, y * cell), min(height, (y + rows) * cell)),
        slice(max(0, x * cell), min(width, (x + columns) * cell)),
      )
    )
  return found


def _over_time(samples: Sequence[np.ndarray], function) -> np.ndarray:
  """Applies a function to a few rows of all samples at a time.

  Args:
    samples: uint8 [h, w, 3] each.
    function: from uint8 [n, rows, w, 3] to [rows, w, 3].

  Returns:
    uint8 [h, w, 3]; copies of all samples are never in memory.
  """
  result = np.empty_like(samples[0])
  for top in range(0, len(result), _BLOCK):
    rows = slice(top, top + _BLOCK)
    result[rows] = function(np.stack([sample[rows] for sample in samples]))
  return result


def _median(values: np.ndarray) -> np.ndarray:
  """The upper median over the first axis, uint8 [n, ...]."""
  middle = len(values) // 2
  return np.partition(values, middle, axis=0)[middle]


def _deviation(values: np.ndarray) -> np.ndarray:
  """The median distance from the median, uint8 [n, ...]."""
  import cv2

  middle = _median(values)
  return _median(np.stack([cv2.absdiff(value, middle) for value in values]))
