"""Frames from image files: damaged ones, alpha, 16 bits, JPEG."""

import struct
import zlib

import cv2
import numpy as np
import pytest

from data_pipelines import images
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
  assert images.read(path).shape == (64, 64)
  for data, text in _damaged_pngs():
    path.write_bytes(data)
    with pytest.raises(UserError, match="001.png") as caught:
      images.read(path)
    assert text in str(caught.value)
    if b"no zlib" in data:
      break  # What only OpenCV finds, it also prints.
    assert capfd.readouterr().err == ""


def test_pngs_that_only_opencv_can_judge(tmp_path):
  path = tmp_path / "001.png"
  for data, text in _damaged_pngs():
    path.write_bytes(data)
    with pytest.raises(UserError, match=text):
      images.read(path)


def _mask():
  mask = np.zeros((120, 90), np.uint8)
  mask[10:110, 30:60] = 255
  return mask


def _written(path, values):
  assert cv2.imwrite(str(path), values)
  return images.read(path)


@pytest.mark.parametrize("inside", [0, 60, 255])
def test_the_silhouette_lies_in_the_alpha_channel(tmp_path, inside):
  rgba = np.full((120, 90, 4), inside, np.uint8)
  rgba[..., 3] = _mask()
  found = _written(tmp_path / "1.png", rgba)
  np.testing.assert_array_equal(found, _mask())


def test_an_alpha_channel_that_says_nothing_is_left_out(tmp_path):
  rng = np.random.default_rng(0)
  colours = rng.integers(0, 256, (40, 30, 3)).astype(np.uint8)
  cv2.imwrite(str(tmp_path / "rgb.png"), colours)
  expected = cv2.imread(str(tmp_path / "rgb.png"), cv2.IMREAD_GRAYSCALE)
  opaque = np.dstack([colours, np.full((40, 30), 255, np.uint8)])
  found = _written(tmp_path / "rgba.png", opaque)
  np.testing.assert_array_equal(found, expected)
  np.testing.assert_array_equal(images.read(tmp_path / "rgb.png"), expected)


def test_transparent_colours_of_a_palette(tmp_path):
  header = struct.pack(">IIBBBBB", 2, 1, 8, 3, 0, 0, 0)
  data = (
    b"\x89PNG\r\n\x1a\n"
    + _chunk(b"IHDR", header)
    + _chunk(b"PLTE", bytes(6))
    + _chunk(b"tRNS", bytes([0, 255]))
    + _chunk(b"IDAT", zlib.compress(bytes([0, 0, 1])))
    + _chunk(b"IEND", b"")
  )
  (tmp_path / "1.png").write_bytes(data)
  np.testing.assert_array_equal(images.read(tmp_path / "1.png"), [[0, 255]])


@pytest.mark.parametrize("highest", [1, 255, 65535])
def test_sixteen_bits(tmp_path, highest):
  mask = (_mask() > 0).astype(np.uint16) * highest
  found = _written(tmp_path / "1.png", mask)
  assert found.dtype == np.uint8
  assert found.max() == min(highest, 255)
  np.testing.assert_array_equal(found > 0, mask > 0)


def test_half_a_jpeg_is_refused(tmp_path):
  path = tmp_path / "1.JPG"
  data = cv2.imencode(".jpg", _mask())[1].tobytes()
  path.write_bytes(data)
  assert (images.read(path) > 127).sum() == (_mask() > 127).sum()
  other = tmp_path / "1.png"
  other.write_bytes(data)
  with pytest.raises(UserError, match="1.png: .* a JPEG file: name it .jpg"):
    images.read(other)
  for content in (data[: len(data) // 2], b"", data[2:]):
    path.write_bytes(content)
    with pytest.raises(UserError, match="1.JPG: is damaged or no JPEG"):
      images.read(path)
