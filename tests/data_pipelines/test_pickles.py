"""Silhouettes and heat maps out of arrays of several forms."""

import pickle

import cv2
import numpy as np
import pytest

from data_pipelines import pickles
from gaitkd_jax.errors import UserError
from tests.helpers import mistakes


def silhouettes(frames=3, width=64, seed=0):
  values = np.random.default_rng(seed).integers(0, 256, (frames, 64, width))
  return values.astype(np.uint8)


def test_widens_44_columns(tmp_path):
  values = silhouettes(width=44)
  path = tmp_path / "090.pkl"
  path.write_bytes(pickle.dumps(values))
  result = pickles.read_silhouettes(path)
  np.testing.assert_array_equal(result[:, :, 10:54], values)
  assert result.shape == (3, 64, 64)
  assert not result[:, :, :10].any() and not result[:, :, 54:].any()


@pytest.mark.parametrize(
  "dtype", ["?", "u1", "<f4", ">f4", "f8", "<f2", "<i8", ">u2"]
)
def test_converts_masks(tmp_path, dtype):
  mask = silhouettes() > 127
  path = tmp_path / "090.pkl"
  path.write_bytes(pickle.dumps(mask.astype(dtype)))
  np.testing.assert_array_equal(
    pickles.read_silhouettes(path), np.where(mask, 255, 0)
  )


@pytest.mark.parametrize("dtype", [">f4", "f8", "<i8", ">u2"])
def test_converts_grey_values(tmp_path, dtype):
  path = tmp_path / "090.pkl"
  path.write_bytes(pickle.dumps(silhouettes().astype(dtype)))
  np.testing.assert_array_equal(pickles.read_silhouettes(path), silhouettes())


def test_refuses_what_is_no_file(tmp_path):
  for path in (tmp_path, tmp_path / "none.pkl"):
    message = mistakes.message(pickles.read_silhouettes, path)
    assert message.startswith(f"{path}: cannot be read")


@pytest.mark.parametrize("width", [88, 128])
def test_larger_silhouettes_are_halved(width):
  values = np.zeros((2, 128, width), np.uint8)
  values[0, 4:6, 22:24] = [[255, 254], [1, 0]]  # 510 / 4 = 127.5
  values[1, 0, 22] = 255
  found, notes = pickles.mend_silhouettes(values, "090.pkl")
  assert notes == (f"halved from 128 x {width}",)
  left = 11 + (10 if width == 88 else 0)
  assert found.shape == (2, 64, 64) and found.dtype == np.uint8
  assert found[0, 2, left] == 128 and found[1, 0, left] == 64
  assert np.count_nonzero(found) == 2
  # As OpenCV does it.
  values = np.random.default_rng(0).integers(0, 256, (1, 128, width))
  values = values.astype(np.uint8)
  expected = cv2.resize(
    values[0], (width // 2, 64), interpolation=cv2.INTER_AREA
  )
  found = pickles.mend_silhouettes(values, "090.pkl")[0][0]
  side = (64 - width // 2) // 2
  np.testing.assert_array_equal(found[:, side : 64 - side], expected)


def test_odd_sizes_are_refused():
  with pytest.raises(UserError, match="090.pkl: the array is 2 x 100 x 70; "):
    pickles.mend_silhouettes(np.zeros((2, 100, 70), np.uint8), "090.pkl")


@pytest.mark.parametrize("width", [44, 64])
def test_heat_maps_come_as_they_are(tmp_path, width):
  values = np.stack([silhouettes(3, width, seed) for seed in (1, 2)], axis=1)
  # The largest confidence of a sequence may be 1 of 255: no mask.
  for stored in (values, values // 255, values[:0]):
    (tmp_path / "heatmap.pkl").write_bytes(pickle.dumps(stored))
    found = pickles.read_heatmaps(tmp_path / "heatmap.pkl")
    side = (64 - width) // 2
    assert found.shape == (len(stored), 2, 64, 64) and found.dtype == np.uint8
    np.testing.assert_array_equal(found[..., side : side + width], stored)
    assert not found[..., :side].any()


def test_heat_maps_from_0_to_1_are_scaled():
  values = np.zeros((1, 2, 64, 64), np.float32)
  values[0, 1, 3, 4:6] = 0.5, 1.0
  found = pickles.as_heatmaps(values, "heatmap.pkl")
  assert found[0, 1, 3, 4:6].tolist() == [128, 255]
  np.testing.assert_array_equal(
    pickles.as_heatmaps(values * 255, "heatmap.pkl")[0, 1, 3, 4:6], [128, 255]
  )


@pytest.mark.parametrize(
  "values, text",
  [
    (np.zeros((3, 64, 64), np.uint8), "3 x 64 x 64"),
    (np.zeros((3, 3, 64, 64), np.uint8), "3 x 3 x 64 x 64"),
    (np.zeros((3, 2, 128, 128), np.uint8), "3 x 2 x 128 x 128"),
    (np.full((3, 2, 64, 64), -1.0), "-1.0"),
    (np.full((3, 2, 64, 64), np.nan), "nan"),
  ],
)
def test_other_arrays_are_no_heat_maps(values, text):
  with pytest.raises(UserError, match="^a/heatmap.pkl: .*" + text) as caught:
    pickles.as_heatmaps(values, "a/heatmap.pkl")
  assert "\n" not in str(caught.value)
