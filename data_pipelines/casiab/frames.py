"""Reads the frames of one sequence, from PNG files or from a pickle."""

import os
import struct
import zlib

import cv2
import numpy as np

from data_pipelines import pickles
from data_pipelines import pretreatment
from data_pipelines.casiab import tree
from gaitkd_jax.errors import UserError

_SIGNATURE = b"\x89PNG\r\n\x1a\n"
# CASIA-B's frames are 320 x 240. Far larger ones are an attack on memory.
_MOST_PIXELS = 4096 * 4096
# Sizes that pre-treated frames have; see `pickles.as_silhouettes`.
_NORMALISED = ((64, 64), (64, 44))


class EmptySequenceError(Exception):
  """A sequence without any usable frame; the text says why."""


def _damage(data: bytes) -> str:
  """Says what is wrong with a PNG file, or nothing.

  OpenCV returns half a frame for some damaged files, and prints several lines
  for others, so the chunks and their checksums are looked at first.
  """
  if not data.startswith(_SIGNATURE):
    return "is not a PNG file" if data else "is empty"
  view = memoryview(data)
  at = len(_SIGNATURE)
  while True:
    if len(data) < at + 12:
      return "is cut short"
    length, kind = struct.unpack_from(">I4s", data, at)
    end = at + 12 + length
    if len(data) < end:
      return "is cut short"
    (checksum,) = struct.unpack_from(">I", data, end - 4)
    if zlib.crc32(view[at + 4 : end - 4]) != checksum:
      return "is damaged"
    if at == len(_SIGNATURE):
      if kind != b"IHDR" or length != 13:
        return "is damaged"
      width, height = struct.unpack_from(">II", data, at + 8)
      if width * height > _MOST_PIXELS:
        return f"is {width} x {height} pixels, too large for a silhouette"
    if kind == b"IEND":
      return ""
    at = end


def read_png(path: str | os.PathLike[str]) -> np.ndarray:
  """Reads one frame as grey values.

  Args:
    path: a PNG file of any colour type.

  Returns:
    uint8 [h, w].

  Raises:
    UserError: the file cannot be read or is damaged.
  """
  try:
    with open(path, "rb") as file:
      data = file.read()
  except OSError as error:
    raise UserError(
      f"{path}: cannot be read ({error.strerror}); mend or delete it."
    ) from error
  damage = _damage(data)
  if not damage:
    frame = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_GRAYSCALE)
    if frame is not None:
      return frame
    damage = "is damaged"
  raise UserError(
    f"{path}: {damage}; copy the file again, or delete it to do without this "
    "frame."
  )


def _read_pngs(paths: list[str]) -> np.ndarray:
  """Pre-treats raw frames; takes normalised ones as they are.

  Pre-treatment is not idempotent: a second time, it would shift half of the
  frames by a column or more, away from those in OpenGait's pickles.
  """
  kept = [np.zeros((0, 64, 64), np.uint8)]
  for path in paths:
    frames = read_png(path)[None]
    if frames.shape[1:] in _NORMALISED:
      kept.append(pickles.as_silhouettes(frames, path))
    else:
      kept.append(pretreatment.pretreat(frames))
  return np.concatenate(kept)


def read_sequence(folder: tree.SequenceFolder) -> np.ndarray:
  """Reads one sequence.

  A pickle is taken rather than PNG files beside it, since it was made from
  them. Black frames hold no person and are dropped from either.

  Args:
    folder: the sequence's folder, with PNG files (raw ones are pre-treated,
      those of 64 x 64 or 64 x 44 pixels are taken as they are) or with a
      pickle: the only one, or the one named `<view>.pkl`.

  Returns:
    uint8 [s, 64, 64], s > 0.

  Raises:
    EmptySequenceError: no usable frame.
    UserError: a file is damaged or refused, or several pickles are there.
  """
  try:
    files = tree.sequence_files(folder.path)
  except OSError as error:
    raise UserError(
      f"{folder.path}: cannot be read ({error.strerror}); mend or delete it."
    ) from error
  if not files:
    raise EmptySequenceError("no PNG file and no pickle")
  found = {
    file.name: file.path for file in files if file.name.lower().endswith(".pkl")
  }
  own = f"{folder.view}.pkl"
  if len(found) > 1 and own not in found:
    raise UserError(
      f"{folder.path}: holds {len(found)} pickles ({', '.join(found)}); keep "
      f"one, or name it {own}."
    )
  if found:
    path = found[own] if own in found else next(iter(found.values()))
    frames = pickles.read_silhouettes(path)
    count = len(frames)
  else:
    frames = _read_pngs([file.path for file in files])
    count = len(files)
  frames = frames[frames.any(axis=(1, 2))]
  if not len(frames):
    raise EmptySequenceError(f"none of {count} frames is usable")
  return frames
