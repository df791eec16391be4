"""Whether somebody who is followed walks at all.

Somebody who exercises on the spot, or waits, is no walk that could be compared.
Who walks crosses the picture, or comes nearer or goes away, or takes steps
without getting on (a treadmill): who does none of these for two seconds does
not walk. Each rule leaves a wide margin, since it is worse to lose a walk.
"""

import numpy as np

LEAST = 2.0  # seconds; less says nothing
# Across the picture, in heights of the person: people walk some 0.7 of their
# height in a second.
TRAVEL = 0.8
# Towards the camera or away from it a person's height grows or shrinks by 0.7 *
# (height in the picture) / (focal length) in a second. The focal length is
# about the picture's width; four times that is allowed for.
_SPEED, _LENS = 0.7, 4.0
# Legs spread and close so many times a second, which is this share of all that
# their spread does: 0.4 and more of people who cross the picture.
_STEPS, STEPPING = (1.2, 3.2), 0.25
_LEGS = 44  # rows of a silhouette above them
_RATE, _SIZE = 25.0, 1024  # samples a second, and of a spectrum


def judge(
  boxes: np.ndarray,
  times: np.ndarray,
  silhouettes: np.ndarray,
  width: int,
) -> str:
  """Judges the good frames of one track.

  Args:
    boxes: float [s, 4], left, top, width and height in pixels.
    times: float [s], seconds, ascending.
    silhouettes: uint8 [s, 64, 44].
    width: of the picture.

  Returns:
    Why nobody walks there; "" if somebody does, or if that cannot be said.
  """
  seconds = float(times[-1] - times[0]) if len(times) else 0.0
  # Steps are not seen in fewer frames than two a step.
  if seconds < LEAST or len(times) < 2 * _STEPS[1] * seconds:
    return ""
  height = float(np.median(boxes[:, 3]))
  centre = boxes[:, 0] + boxes[:, 2] / 2
  low, high = np.percentile(centre, (2, 98))
  travel = float(high - low) / height
  if travel >= TRAVEL:
    return ""
  if abs(_growth(boxes[:, 3], times)) >= _SPEED * height / width / _LENS:
    return ""
  if _stepping(times, silhouettes) >= STEPPING:
    return ""
  return (
    f"does not walk: for {seconds:.1f} seconds it moves by {travel:.2f} of its "
    "height, comes neither nearer nor goes away, and takes no steps"
  )


def _growth(heights: np.ndarray, times: np.ndarray) -> float:
  """By what share somebody grows in a second; not misled by a jump."""
  third = max(1, len(heights) // 3)
  first, last = np.median(heights[:third]), np.median(heights[-third:])
  passed = np.median(times[-third:]) - np.median(times[:third])
  return float(np.log(last / first) / max(passed, 1e-9))


def _stepping(times: np.ndarray, silhouettes: np.ndarray) -> float:
  """The share of the legs' movement that has the rhythm of steps, 0 to 1."""
  legs = (silhouettes[:, _LEGS:] > 127).sum(axis=1).astype(float)
  columns = np.arange(legs.shape[1])
  total = np.maximum(legs.sum(axis=1), 1)
  middle = (legs * columns).sum(axis=1) / total
  spread = (legs * (columns - middle[:, None]) ** 2).sum(axis=1) / total
  # Evenly spaced, without a slow change.
  even = np.arange(times[0], times[-1], 1 / _RATE)
  wave = np.interp(even, times, np.sqrt(spread))
  wave -= np.polyval(np.polyfit(even - even[0], wave, 2), even - even[0])
  size = max(_SIZE, len(wave))
  power = np.abs(np.fft.rfft(wave * np.hanning(len(wave)), size)) ** 2
  rates = np.fft.rfftfreq(size, 1 / _RATE)
  steps = power[(rates > _STEPS[0]) & (rates < _STEPS[1])].sum()
  return float(steps / max(power[rates > 0.3].sum(), 1e-9))
