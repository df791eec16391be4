"""Damaged PNG files are found and named."""

import struct
import zlib

import cv2
import numpy as np
import pytest

from data_pipelines import frames
from gaitkd_jax.errors import UserError

_FRAME = np.random.default_rng(0).integers(0, 256, (64, 64)).astype(np.uint8)


def _chunk(kind, data):
  return (
    struct.pack(">I", len(data))
    + kind
    + data
    + struct.pack(">I", zlib.crc32(kind + data))
  )


def _png(width, height, data):
  header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
  return (
    b"\x89PNG\r\n\x1a\n"
    + _chunk(b"IHDR", header)
    + _chunk(b"IDAT", data)
    + _chunk(b"IEND", b"")
  )


def _damaged_pngs():
  good = cv2.imencode(".png", _FRAME)[1].tobytes()
  yield b"", "is empty"
  yield b"GIF89a" + good, "not a PNG"
  for length in (8, 20, 50, len(good) // 2, len(good) - 12, len(good) - 1):
    yield good[:length], "cut short"
  flipped = bytearray(good)
  flipped[len(good) // 2] ^= 1
  yield bytes(flipped), "is damaged"
  yield _png(64, 64, b"no zlib stream"), "is damaged"
  yield _png(64, 64, zlib.compress(bytes(99))), "is damaged"
  yield _png(99999, 99999, zlib.compress(bytes(99))), "too large"


def test_damaged_pngs_are_named(tmp_path, capfd):
  path = tmp_path / "001.png"
  path.write_bytes(_png(64, 64, zlib.compress(bytes(65 * 64))))
  assert frames.read_png(path).shape == (64, 64)
  for data, text in _damaged_pngs():
    path.write_bytes(data)
    with pytest.raises(UserError, match="001.png") as caught:
      frames.read_png(path)
    assert text in str(caught.value)
    if b"no zlib" in data:
      break  # What only OpenCV finds, it also prints.
    assert capfd.readouterr().err == ""


def test_pngs_that_only_opencv_can_judge(tmp_path):
  path = tmp_path / "001.png"
  for data, text in _damaged_pngs():
    path.write_bytes(data)
    with pytest.raises(UserError, match=text):
      frames.read_png(path)
