"""Walkers as silhouettes and as small videos, which are made in no time."""

import dataclasses

import cv2
import numpy as np

from data_pipelines.walkers import sequence
from data_pipelines.walkers import spec


def clip(subject="080", condition="nm-01", frames=30):
  """A walk, uint8 `[s, 64, 44]`."""
  size = dataclasses.replace(spec.SIZES["full"], frames=frames)
  walk = sequence.render_sequence(size, subject, condition, "090")
  return np.ascontiguousarray(walk[:, :, 10:-10])


def write_folder(folder, silhouettes):
  """A folder of silhouettes."""
  folder.mkdir(parents=True, exist_ok=True)
  for i, frame in enumerate(silhouettes):
    cv2.imwrite(str(folder / f"{i:03d}.png"), frame)
  return folder


def write_video(path, *walks, pause=15, high=128):
  """A video of 320 x 240 in which people walk to the right, one by one.

  Args:
    path: of an .avi file.
    *walks: uint8 `[s, 64, 44]` each.
    pause: frames in which nobody is there, between all.
    high: pixels of a person.
  """
  rng = np.random.default_rng(7)
  wall = cv2.GaussianBlur(rng.uniform(20, 190, (240, 320, 3)), (0, 0), 3)
  path.parent.mkdir(parents=True, exist_ok=True)
  code = cv2.VideoWriter.fourcc(*"MJPG")
  writer = cv2.VideoWriter(str(path), code, 25.0, (320, 240))
  wide = high * 44 // 64

  def write(picture):
    noisy = picture + rng.normal(0, 2, picture.shape)
    writer.write(np.clip(noisy, 0, 255).astype(np.uint8))

  for walk in walks:
    for _ in range(pause):
      write(wall)
    for i, x in enumerate(range(-wide, 320, 6)):
      person = cv2.resize(walk[i % len(walk)], (wide, high))
      whole = np.zeros((240, 320 + 2 * wide), np.uint8)
      whole[80 : 80 + high, x + wide : x + 2 * wide] = person
      picture = wall.copy()
      picture[whole[:, wide:-wide] > 127] = (30, 20, 200)
      write(picture)
  for _ in range(pause):
    write(wall)
  writer.release()
  return path
