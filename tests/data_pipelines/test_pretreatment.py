"""The pre-treatment gives the reference's bits."""

import numpy as np

from data_pipelines import ccpg
from data_pipelines import pretreatment
from tests.helpers import paths

_PARITY = paths.PARITY / "normalise.npz"


def test_equals_the_reference_to_the_bit():
  with np.load(_PARITY) as vectors:
    raw, expected = vectors["raw"], vectors["normalised"]
  assert len(raw) == 14
  assert len(expected) == 12  # One frame is empty, one is too small.
  actual = pretreatment.pretreat(raw)
  assert actual.dtype == np.uint8
  np.testing.assert_array_equal(actual, expected)


def test_the_mass_must_exceed_the_threshold():
  frame = np.zeros((240, 320), np.uint8)
  frame[100:110, 150:160] = 100  # A pixel sum of exactly 10,000.
  assert pretreatment.pretreat_frame(frame) is None
  frame[100, 150] += 1
  assert pretreatment.pretreat_frame(frame).shape == (64, 64)


def test_a_person_at_either_border_is_centred():
  for columns in (slice(0, 40), slice(280, 320)):
    frame = np.zeros((240, 320), np.uint8)
    frame[60:188, columns] = 255
    result = pretreatment.pretreat_frame(frame)
    # 40 columns at half size are 20, around the centre column.
    width = np.flatnonzero(result.any(axis=0))
    assert 20 <= len(width) <= 22
    assert abs(width.mean() - 32) <= 1


def test_mass_in_the_first_column_is_dropped():
  frame = np.zeros((200, 160), np.uint8)
  frame[:, 0] = 255
  assert pretreatment.pretreat_frame(frame) is None


def test_a_sliver_is_dropped():
  assert pretreatment.pretreat_frame(np.full((200, 2), 255, np.uint8)) is None


def test_nothing_usable_gives_no_frame():
  result = pretreatment.pretreat(np.zeros((3, 240, 320), np.uint8))
  assert result.shape == (0, 64, 64)
  assert result.dtype == np.uint8


def test_ccpg_averages_areas_and_keeps_faint_frames():
  rng = np.random.default_rng(0)
  frame = np.zeros((256, 198), np.uint8)
  frame[32:224, 60:138] = rng.integers(1, 256, (192, 78))
  pretreat = ccpg.SOURCE.pretreat
  # From 192 rows to 64: every pixel is the mean of a square of 3 x 3.
  means = frame[32:224].reshape(64, 3, 66, 3).mean(axis=(1, 3))
  person = means[:, 20:46]
  result = pretreat(frame)
  columns = np.flatnonzero(result.any(axis=0))
  assert abs(result[:, columns] - person).max() <= 0.51
  cubic = pretreatment.pretreat_frame(frame)
  assert abs(cubic[:, columns] - person).max() > 50
  faint = np.zeros((64, 64), np.uint8)
  faint[:, 30:34] = 1
  assert pretreatment.pretreat_frame(faint) is None
  assert pretreat(faint).sum() == 256
  assert pretreat(np.zeros((64, 64), np.uint8)) is None


def test_what_is_normalised_is_scaled_and_not_moved():
  frame = np.zeros((128, 128), np.uint8)
  frame[10:120, 20:50] = 255  # neither of full height nor centred
  scaled = pretreatment.scale_frame(frame)
  expected = np.zeros((64, 64), np.uint8)
  expected[5:60, 10:25] = 255
  np.testing.assert_array_equal(scaled, expected)
  grey = np.random.default_rng(0).integers(0, 256, (128, 128)).astype(np.uint8)
  mean = grey.reshape(64, 2, 64, 2).mean(axis=(1, 3))
  assert np.abs(pretreatment.scale_frame(grey) - mean).max() <= 0.5
  assert pretreatment.scale_frame(np.zeros((128, 128), np.uint8)) is None
  raw = np.pad(frame, ((0, 0), (0, 60)))
  np.testing.assert_array_equal(
    pretreatment.scale_frame(raw), pretreatment.pretreat_frame(raw)
  )
