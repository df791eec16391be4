"""Frames and tracks that are not good enough, each with its reason."""

import numpy as np
import pytest

from gaitkd_jax.identify import quality

GOOD = (100.0, 50.0, 60.0, 150.0)


def judge(boxes, areas=None, covered=None, whole=None):
  n = len(boxes)
  return quality.judge(
    np.array(boxes),
    np.full(n, 4000) if areas is None else np.array(areas),
    np.zeros(n) if covered is None else np.array(covered),
    np.ones(n, bool) if whole is None else np.array(whole),
    640,
    480,
  )


@pytest.mark.parametrize(
  "box, said",
  [
    (GOOD, ""),
    ((100, 50, 30, 64), ""),
    ((100, 50, 30, 63), "less than 64 pixels high (63)"),
    ((100, 50, 20, 150), "width / height"),
    ((100, 50, 140, 150), "width / height"),
    ((0, 50, 60, 150), "border"),
    ((580, 50, 60, 150), "border"),
    ((100, 0, 60, 150), "border"),
    ((100, 330, 60, 150), "border"),
    ((1, 1, 60, 150), ""),
  ],
)
def test_boxes(box, said):
  reasons = judge([GOOD] * 10 + [box] + [GOOD] * 10)
  assert said in reasons[10] and bool(said) == bool(reasons[10])
  assert not any(reasons[:10] + reasons[11:])


def test_overlap_area_and_missing_silhouettes():
  covered = np.zeros(30)
  covered[3], covered[4] = 0.04, 0.2
  areas = np.full(30, 4000)
  areas[10:14] = 5199, 5300, 2801, 2700
  whole = np.ones(30, bool)
  whole[20] = False
  reasons = judge([GOOD] * 30, areas, covered, whole)
  assert {i for i, reason in enumerate(reasons) if reason} == {4, 11, 13, 20}
  assert reasons[4] == "overlaps another person (20% of the box)"
  assert "(+32%)" in reasons[11]
  assert reasons[20] == quality.NO_SILHOUETTE


def test_a_person_who_comes_nearer_is_good():
  # The area grows by a half in 100 frames.
  areas = np.linspace(4000, 9000, 100)
  assert not any(judge([GOOD] * 100, areas))


@pytest.mark.parametrize(
  "good, fails",
  [
    (range(15), ""),
    (range(14), "14 good frames"),
    (range(0, 45, 3), "14 good frames"),  # the 15th is 42 frames later
    (range(0, 42, 2), ""),
    ([], "0 good frames"),
  ],
)
def test_a_track_needs_good_frames_in_a_row(good, fails):
  flags = np.zeros(100, bool)
  flags[list(good)] = True
  said = quality.judge_track(np.arange(100) + 7, flags)
  assert said.startswith(fails) and bool(said) == bool(fails)


def test_a_track_of_every_third_frame_has_a_longer_row():
  flags = np.zeros(120, bool)
  flags[::3] = True
  assert quality.judge_track(np.arange(120), flags).startswith("14 good frames")
  assert not quality.judge_track(np.arange(120), flags, 3 * quality.ROW)


def test_covered():
  boxes = [np.array([10.0, 0, 10, 10]), np.array([100.0, 0, 10, 10])]
  assert quality.covered(np.array([0.0, 0, 20, 10]), boxes) == 0.5
  assert quality.covered(np.array([0.0, 0, 20, 10]), []) == 0
