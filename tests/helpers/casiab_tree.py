"""Sequences of CASIA-B that are written one by one."""

import pathlib
import pickle

import cv2
import numpy as np

# Two of subjects that train, two of subjects that test.
KEYS = [
  ("001", "nm-01", "000"),
  ("001", "bg-02", "090"),
  ("075", "nm-05", "018"),
  ("124", "cl-01", "180"),
]
NAMES = ["-".join(key) for key in KEYS]


def silhouettes(seed, count=3, width=64):
  """Soft-edged figures, off centre, so that a second pass would move them."""
  rng = np.random.default_rng(seed)
  values = np.zeros((count, 64, width), np.uint8)
  for frame in values:
    left = rng.integers(12, 24)
    frame[:, left : left + 12] = rng.integers(1, 256, (64, 12))
  return values


def folder(root, key):
  """Makes the folder of a sequence."""
  path = pathlib.Path(root).joinpath(*key)
  path.mkdir(parents=True)
  return path


def write_pickle(root, key, values):
  """Writes a sequence as OpenGait's pickle; returns its path."""
  path = folder(root, key) / f"{key[-1]}.pkl"
  path.write_bytes(pickle.dumps(values))
  return path


def write_pngs(root, key, values):
  """Writes a sequence as PNG files; returns their folder."""
  path = folder(root, key)
  for i, frame in enumerate(values):
    name = path / f"{'-'.join(key)}-{i + 1:03d}.png"
    assert cv2.imwrite(str(name), frame)
  return path
