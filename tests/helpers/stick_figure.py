"""A walking stick figure: key points, and silhouettes of the same frames."""

import cv2
import numpy as np

from data_pipelines import heatmaps
from data_pipelines import pretreatment

HEIGHT, WIDTH = 240, 320


def key_points(frames, phase=0.0, size=150.0, side=(90.0, 4.0)):
  """Returns float32 [t, 17, 3]: a walk to the right, seen from the side.

  Args:
    frames: t.
    phase: of the gait at the first frame, in radians.
    size: of the body from the nose to the feet, in pixels.
    side: x at the first frame, and pixels a frame.
  """
  angle = phase + 2 * np.pi * np.arange(frames) / 25
  hip = np.stack(
    [side[0] + side[1] * np.arange(frames), np.full(frames, 120.0)], -1
  )
  joints = np.zeros((frames, 17, 2))

  def hang(start, length, swing):
    step = np.stack([np.sin(swing), np.cos(swing)], -1)
    return start + length * size * step

  neck = hang(hip, -0.33, -0.05 * np.ones(frames))
  for j, offset in enumerate(
    [(6, -14), (4, -17), (5, -17), (-3, -15), (0, -15)]
  ):
    joints[:, j] = neck + np.array(offset) * size / 150
  for left, sign in ((0, 1), (1, -1)):
    swing = sign * np.sin(angle)
    joints[:, 5 + left] = neck + [2 * sign, 0]
    joints[:, 7 + left] = hang(joints[:, 5 + left], 0.19, -0.5 * swing)
    joints[:, 9 + left] = hang(joints[:, 7 + left], 0.17, 0.3 - 0.5 * swing)
    joints[:, 11 + left] = hip + [2 * sign, 0]
    joints[:, 13 + left] = hang(joints[:, 11 + left], 0.26, 0.45 * swing)
    bend = 0.45 * swing - 0.3 * (1 + np.cos(angle) * sign)
    joints[:, 15 + left] = hang(joints[:, 13 + left], 0.26, bend)
  confidence = np.full((frames, 17, 1), 0.9)
  return np.concatenate([joints, confidence], -1).astype(np.float32)


def silhouettes(points, thick=13):
  """Returns uint8 [t, 64, 64]: bodies around the bones of `key_points`."""
  frames = []
  for body in np.rint(points[..., :2]).astype(int):
    frame = np.zeros((HEIGHT, WIDTH), np.uint8)
    for a, b in heatmaps.LIMBS:
      if max(a, b) > 4:
        cv2.line(frame, body[a].tolist(), body[b].tolist(), 255, thick)
    cv2.circle(frame, body[0].tolist(), thick, 255, -1)
    frames.append(frame)
  result = pretreatment.pretreat(np.array(frames))
  assert len(result) == len(points)
  return result
