"""What people wear, as far as it tells two of them apart."""

import numpy as np

# Parts of a person from the top: upper body and legs; the head is too small.
_PARTS = ((0.15, 0.5), (0.5, 0.95))
_BINS = 8
# Values of a colour in OpenCV's Lab; clothes differ little from grey.
_RANGES = ((0, 256), (96, 160), (96, 160))


def look(picture: np.ndarray, mask: np.ndarray) -> np.ndarray:
  """Histograms of a person's colours.

  Args:
    picture: uint8 [h, w, 3], cut to the person.
    mask: uint8 [h, w], not 0 where the person is.

  Returns:
    float32 [48]; those of one part and colour sum up to 1.
  """
  import cv2

  lab = cv2.cvtColor(picture, cv2.COLOR_BGR2LAB)
  height = len(mask)
  found = []
  for top, bottom in _PARTS:
    rows = slice(int(top * height), max(1, int(bottom * height)))
    for channel, limits in enumerate(_RANGES):
      values = lab[rows, :, channel].clip(limits[0], limits[1] - 1)
      counts = cv2.calcHist(
        [np.ascontiguousarray(values)],
        [0],
        np.ascontiguousarray(mask[rows]),
        [_BINS],
        list(limits),
      ).ravel()
      # A colour on the border of two bins falls into both.
      counts = np.convolve(counts, (0.25, 0.5, 0.25), "same")
      found.append(counts / max(1.0, counts.sum()))
  return np.concatenate(found).astype(np.float32)


def distance(a: np.ndarray, b: np.ndarray) -> float:
  """How different two people look, 0 (alike) to 1."""
  return float(np.abs(a - b).sum() / (2 * len(_PARTS) * len(_RANGES)))
