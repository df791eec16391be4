"""Shadows of people, which a background model takes for people."""

import numpy as np

# A shadow is darker by a factor in this range, and the texture of the ground
# goes on in it. Lit by the sky alone, it may be bluer by so much of the factor
# as the first number says, and of another colour by the second.
_SHADOW = (0.3, 0.95)
_BLUER, _TINT = 0.4, 0.12
_ALIKE = 0.45
# On a ground without texture, it is told by its colour at the feet alone: of a
# person's height, and how much the factors of colours may differ.
_FEET, _GREY = 0.22, 0.08
# There, a colour is that of the legs if it differs by less (in levels, at least
# and at most), and lies below them if they are no flatter than so (pixels to
# the side, a pixel down).
_CLOTH, _SLOPE = (5, 12), 0.4


def find(
  picture: np.ndarray,
  expected: np.ndarray,
  strong: np.ndarray,
) -> np.ndarray:
  """Finds where the ground is only darker.

  Args:
    picture: uint8 [h, w, 3].
    expected: the background in the same light.
    strong: uint8 [h, w], 0 or 255, people with their shadows.

  Returns:
    uint8 [h, w], 0 or 255.
  """
  import cv2

  now = cv2.blur(picture.astype(np.float32), (5, 5))
  then = cv2.blur(expected.astype(np.float32), (5, 5))
  blue, green, red = cv2.split(now / np.maximum(then, 8))
  darker = (np.minimum(green, red) > _SHADOW[0]) & (green < _SHADOW[1])
  grey = darker & (np.abs(green - red) < _GREY) & (abs(blue - green) < _GREY)
  darker &= np.abs(green - red) < _TINT
  darker &= (blue - red > -_TINT) & (blue - red < _BLUER)
  if not darker.any():
    return np.zeros(picture.shape[:2], np.uint8)
  alike = _correlation(
    cv2.cvtColor(picture, cv2.COLOR_BGR2GRAY).astype(np.float32),
    cv2.cvtColor(expected, cv2.COLOR_BGR2GRAY).astype(np.float32),
  )
  found = darker & (alike > _ALIKE) | grey & _feet(strong, now)
  # Single pixels of clothes resemble the ground by chance.
  return cv2.morphologyEx(
    found.astype(np.uint8) * 255, cv2.MORPH_OPEN, np.ones((5, 5), np.uint8)
  )


def _feet(mask: np.ndarray, picture: np.ndarray) -> np.ndarray:
  """Where the shadows of people begin: at their feet, beside their legs.

  Args:
    mask: uint8 [h, w], 0 or 255, people with their shadows.
    picture: float32 [h, w, 3], smoothed.

  Returns:
    bool [h, w].
  """
  import cv2

  mask = cv2.morphologyEx(mask, cv2.MORPH_CLOSE, np.ones((9, 5), np.uint8))
  _, _, stats, _ = cv2.connectedComponentsWithStats(mask)
  found = np.zeros(mask.shape, bool)
  for x, y, width, height, _ in stats[1:].tolist():
    columns = slice(x, x + width)
    knee, ankle = y + int(0.6 * height), y + int((1 - _FEET) * height)
    rows = slice(ankle, y + height)
    found[rows, columns] = True
    legs = picture[knee:ankle, columns][mask[knee:ankle, columns] > 0]
    across = np.flatnonzero(mask[max(y, ankle - 1), columns])
    if not len(legs) or not len(across):
      continue
    # What goes on below the legs as they do, in their colour, is legs.
    colour = np.median(legs, axis=0)
    spread = 2 * np.median(np.abs(legs - colour), axis=0)
    spread = np.clip(spread, *_CLOTH)
    alike = (np.abs(picture[rows, columns] - colour) < spread).all(axis=2)
    beside = np.abs(np.arange(width)[:, None] - across).min(axis=1)
    depth = np.arange(y + height - ankle)
    found[rows, columns] &= ~(alike & (beside <= _SLOPE * depth[:, None] + 2))
  return found


def _correlation(a: np.ndarray, b: np.ndarray) -> np.ndarray:
  """How alike the neighbourhoods of pixels are, -1 to 1.

  Args:
    a: float32 [h, w].
    b: float32 [h, w].

  Returns:
    float32 [h, w]; 0 where neither has any texture.
  """
  import cv2

  size = (11, 11)
  mean_a, mean_b = cv2.blur(a, size), cv2.blur(b, size)
  both = cv2.blur(a * b, size) - mean_a * mean_b
  own_a = cv2.blur(a * a, size) - mean_a**2
  own_b = cv2.blur(b * b, size) - mean_b**2
  flat = (own_a < 4) | (own_b < 4)
  norm = np.sqrt(np.maximum(own_a, 4) * np.maximum(own_b, 4))
  return np.where(flat, 0, both / norm).astype(np.float32)
