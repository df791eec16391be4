"""Reads the grey values of one PNG or JPEG file; half a file is refused."""

import contextlib
import os
import struct
import zlib

import cv2
import numpy as np

from gaitkd_jax.errors import UserError

SUFFIXES = (".png", ".jpg", ".jpeg")

_JPEG = b"\xff\xd8"
_SIGNATURE = b"\x89PNG\r\n\x1a\n"
# OU-MVLP's frames are 1280 x 980. A far larger one would only fill the memory.
_MOST_PIXELS = 4096 * 4096
_GREY_ALPHA, _RGBA = 4, 6  # colour types of a PNG file


def is_jpeg(path: str | os.PathLike[str]) -> bool:
  """Whether a file is named as JPEG files are."""
  return os.fspath(path).lower().endswith((".jpg", ".jpeg"))


def read(
  path: str | os.PathLike[str], content: bytes | OSError | None = None
) -> np.ndarray:
  """Reads one frame as grey values.

  Where a PNG file has an alpha channel that is not the same everywhere, the
  silhouette lies in it. Values of 16 bits become 8.

  Args:
    path: a PNG file of any colour type, or a JPEG file.
    content: what was read of it, or why nothing was; None: read it here.

  Returns:
    uint8 [h, w].

  Raises:
    UserError: the file cannot be read or is damaged.
  """
  try:
    if isinstance(content, OSError):
      raise content
    data = content
    if data is None:
      with open(path, "rb") as file:
        data = file.read()
  except OSError as error:
    raise UserError(
      f"{path}: cannot be read ({error.strerror}); repair or delete it."
    ) from error
  if is_jpeg(path):
    # OpenCV 4 returns half an image where the end lacks.
    whole = data.startswith(_JPEG)
    whole = whole and data.rstrip(b"\0").endswith(b"\xff\xd9")
    damage = "" if whole else "is damaged or no JPEG file"
    flags = cv2.IMREAD_GRAYSCALE
  else:
    damage, flags = _examine(data)
  if not damage:
    frame = _decode(data, flags)
    if flags == cv2.IMREAD_UNCHANGED and _opaque(frame):
      frame = _decode(data, cv2.IMREAD_GRAYSCALE)
    if frame is not None:
      return _grey(frame)
    damage = "is damaged"
  raise UserError(
    f"{path}: {damage}; copy the file again, or delete it to leave this frame "
    "out."
  )


def _examine(data: bytes) -> tuple[str, int]:
  """Looks through a PNG file.

  For some damaged files OpenCV returns half a frame, for others it prints
  several lines. So the chunks and their checksums are checked before.

  Returns:
    What is wrong with it, "" if nothing is; and OpenCV's flag with which it is
    to be read.
  """
  flags = cv2.IMREAD_GRAYSCALE
  if not data.startswith(_SIGNATURE):
    if data.startswith(_JPEG):
      return "is not a PNG file but a JPEG file: name it .jpg", flags
    return "is not a PNG file" if data else "is empty", flags
  view = memoryview(data)
  at = len(_SIGNATURE)
  while True:
    if len(data) < at + 12:
      return "is cut short", flags
    length, kind = struct.unpack_from(">I4s", data, at)
    end = at + 12 + length
    if len(data) < end:
      return "is cut short", flags
    (checksum,) = struct.unpack_from(">I", data, end - 4)
    if zlib.crc32(view[at + 4 : end - 4]) != checksum:
      return "is damaged", flags
    if at == len(_SIGNATURE):
      if kind != b"IHDR" or length != 13:
        return "is damaged", flags
      width, height, bits, colour = struct.unpack_from(">IIBB", data, at + 8)
      if width * height > _MOST_PIXELS:
        problem = f"is {width} x {height} pixels, too large for a silhouette"
        return problem, flags
      # Read as grey values, they would lose what matters.
      if bits == 16 or colour in (_GREY_ALPHA, _RGBA):
        flags = cv2.IMREAD_UNCHANGED
    if kind == b"tRNS":  # transparent colours of a palette
      flags = cv2.IMREAD_UNCHANGED
    if kind == b"IEND":
      return "", flags
    at = end


def _decode(data: bytes, flags: int) -> np.ndarray | None:
  with contextlib.suppress(cv2.error):
    return cv2.imdecode(np.frombuffer(data, np.uint8), flags)
  return None


def _opaque(frame: np.ndarray | None) -> bool:
  """Whether 8 bits have an alpha channel that says nothing."""
  if frame is None or frame.ndim != 3 or frame.shape[2] != 4:
    return False
  alpha = frame[:, :, 3]
  return frame.dtype == np.uint8 and alpha.min() == alpha.max()


def _grey(frame: np.ndarray) -> np.ndarray:
  """Turns what OpenCV read, [h, w] or [h, w, c], into grey values."""
  if frame.ndim == 3:
    alpha = frame[:, :, 3:]
    if alpha.size and alpha.min() != alpha.max():
      frame = alpha[:, :, 0]
    else:
      frame = cv2.cvtColor(frame[:, :, :3], cv2.COLOR_BGR2GRAY)
  if frame.dtype != np.uint8:
    # Some programs write values of 8 bits into 16.
    frame = frame if frame.max() <= 255 else frame >> 8
    frame = frame.astype(np.uint8)
  return frame
