"""Faults that a segmenter leaves in silhouettes.

The number and size of all faults of a sequence follow one number, its quality:
0 is perfect, 1 is usual, 2.5 is the worst. There are faults of the outline,
holes, and blobs near the feet. There is no speckle elsewhere, because a
segmenter keeps the largest blob only.
"""

import dataclasses

import numpy as np

Array = np.ndarray

_GRID = (9, 7)  # knots of the smooth field of thresholds


@dataclasses.dataclass(frozen=True)
class Jitter:
  """Faults of the size normalisation.

  Attributes:
    stretch: float [s], vertical scale about the middle row.
    shift: float [s], vertical shift in pixels.
    offset: int [s], columns by which the window misses the centre.
  """

  stretch: Array
  shift: Array
  offset: Array


def sample_quality(rng: np.random.Generator, level: float) -> float:
  """Draws how bad a sequence is; 0 where `level` is 0."""
  return level * min(rng.gamma(2.0, 0.5), 2.5)


def sample_jitter(
  rng: np.random.Generator, quality: float, frames: int
) -> Jitter:
  """Draws the faults of the normalisation of one sequence."""
  hit = rng.random(frames) < 0.35 * min(quality, 1.5)
  stretch = 1.0 + 0.02 * rng.standard_normal(frames) * hit
  shift = 0.6 * rng.standard_normal(frames) * hit
  offset = np.rint(0.5 * quality * rng.standard_normal(frames)).astype(int)
  return Jitter(stretch, shift, offset)


def _interpolation(knots: int, points: int) -> Array:
  """float32 [points, knots], linear interpolation over evenly spaced knots."""
  at = np.linspace(0.0, knots - 1.0, points)[:, None]
  return np.maximum(0.0, 1.0 - np.abs(at - np.arange(knots))).astype(np.float32)


def _thresholds(
  rng: np.random.Generator, quality: float, shape: tuple[int, int, int]
) -> Array:
  frames, height, width = shape
  knots = rng.standard_normal((frames, *_GRID), dtype=np.float32)
  down = _interpolation(_GRID[0], height)
  across = _interpolation(_GRID[1], width)
  field = (down @ knots) @ across.T
  field *= np.float32(0.16 * quality)
  return np.clip(field, -0.32, 0.32, out=field)


def _ellipse(shape: Array, x: float, y: float, rx: float, ry: float) -> Array:
  height, width = shape
  across = ((np.arange(width) + 0.5 - x) / rx) ** 2
  down = ((np.arange(height) + 0.5 - y) / ry) ** 2
  return down[:, None] + across < 1.0


def segment(rng: np.random.Generator, quality: float, distance: Array) -> Array:
  """Turns signed distances into silhouettes with faults.

  Args:
    rng: The sequence's generator of noise.
    quality: As `sample_quality` returns it.
    distance: float32 [s, h, w], pixels, positive inside.

  Returns:
    bool [s, h, w].
  """
  if quality == 0.0:
    return distance > 0.0
  frames, *size = distance.shape
  height, width = size
  # Coverage is clip(distance + 0.5), so a threshold of 0.5 + x cuts at x.
  mask = distance > _thresholds(rng, quality, distance.shape)

  def hole() -> Array:
    x = rng.normal(width / 2, 0.13 * width)
    y = rng.uniform(0.12 * height, 0.95 * height)
    rx, ry = rng.uniform(1.5, 5.0, 2)
    return ~_ellipse(size, x, y, rx, ry)

  for _ in range(rng.poisson(0.3 * quality)):
    mask[rng.random(frames) < 0.6] &= hole()
  for i in np.repeat(np.arange(frames), rng.poisson(0.15 * quality, frames)):
    mask[i] &= hole()
  for i in np.repeat(np.arange(frames), rng.poisson(0.06 * quality, frames)):
    x = width / 2 + rng.uniform(-0.4, 0.4) * width
    y = rng.uniform(0.93, 1.0) * height
    mask[i] |= _ellipse(size, x, y, rng.uniform(2, 7), rng.uniform(0.7, 2))
  return mask
