"""Following one person through frames of several."""

import numpy as np
import pytest

from data_pipelines.poses import follow
from gaitkd_jax import errors
from tests.helpers import stick_figure

WALK = stick_figure.key_points(40).astype(float)  # 150 pixels high
# Somebody smaller who walks against the walker, and crosses its way.
OTHER = stick_figure.key_points(40, 1.0, 110.0, (250.0, -4.0)).astype(float)


def _both(swap=()):
  return [
    np.stack([b, a] if i in swap else [a, b])
    for i, (a, b) in enumerate(zip(WALK, OTHER, strict=True))
  ]


def test_the_walker_is_the_largest_person_in_whatever_order():
  swap = np.random.default_rng(2).permutation(40)[:20]
  np.testing.assert_array_equal(follow.one_person(_both(swap)), WALK)


def test_the_walker_is_the_most_confident_of_equals():
  faint = WALK + [60.0, 0, -0.5]
  frames = [np.stack(pair) for pair in zip(faint, WALK, strict=True)]
  np.testing.assert_array_equal(follow.one_person(frames), WALK)


def test_a_frame_without_the_walker_shows_no_person():
  frames = _both()
  for i in (0, 7, 8):
    frames[i] = OTHER[i : i + 1] + [400.0, 0, 0]  # only the other is there
  frames[20] = np.zeros((0, 17, 3))
  found = follow.one_person(frames)
  gone = [0, 7, 8, 20]
  assert not found[gone].any()
  kept = np.setdiff1d(np.arange(40), gone)
  np.testing.assert_array_equal(found[kept], WALK[kept])


@pytest.mark.parametrize(("gap", "found_again"), [(25, True), (26, False)])
def test_after_a_long_gap_nobody_knows_who_is_who(gap, found_again):
  still = np.repeat(WALK[:1], 40, 0)
  frames = [np.stack([a, a + [300.0, 0, -0.5]]) for a in still]
  for i in range(5, 5 + gap):
    frames[i] = np.zeros((0, 17, 3))
  # The walker is the clearest at the beginning.
  frames[0][0, :, 2] = 1.0
  found = follow.one_person(frames)
  np.testing.assert_array_equal(found[1:5], still[1:5])
  assert found[5 + gap :].any() == found_again


def test_short_gaps_do_not_add_up():
  frames = [np.stack([a, a + [300.0, 0, -0.5]]) for a in np.repeat(WALK, 2, 0)]
  frames[1::2] = [np.zeros((0, 17, 3))] * 40
  found = follow.one_person(frames)
  np.testing.assert_array_equal(found[::2], WALK)
  assert not found[1::2].any()


@pytest.mark.parametrize(("jump", "same"), [(0.45, True), (0.55, False)])
def test_a_jump_is_measured_in_heights_of_the_body(jump, same):
  height = np.ptp(WALK[0, :, 1])
  frames = [np.repeat(WALK[:1], 2, 0) for _ in range(3)]
  frames[1] = frames[1] + [jump * height, 0, -0.1]
  found = follow.one_person(frames)
  assert found[1].any() == same and found[[0, 2]].all((1, 2)).all()


def test_missing_joints_do_not_count():
  a, b = WALK[0].copy(), WALK[0].copy()
  b += [10.0, 0, 0]
  a[3], b[5], b[6, :2] = 0, np.nan, 0
  height = np.ptp(WALK[0, :, 1])
  np.testing.assert_allclose(follow.distance(a, b), 10 / height)
  assert follow.distance(a, a) == 0
  assert follow.distance(a, a * 0) == np.inf


def test_one_person_a_frame_is_taken_as_it_is():
  far = WALK.copy()
  far[20] += [1e4, 0, 0]
  frames = [*far[:, None], np.zeros((0, 17, 3))]
  found = follow.one_person(frames)
  np.testing.assert_array_equal(found[:-1], far)
  assert not found[-1].any()
  assert follow.one_person([]).shape == (0, 17, 3)


def test_frames_that_are_left_out_are_missing_not_shifted():
  frames = {number: [WALK[number]] for number in (10, 2, 6, 16)}
  found = follow.fill(frames, "poses.json")
  # Every second frame of a video.
  assert found.numbers == tuple(range(2, 17, 2))
  for number, person in zip(found.numbers, found.key_points, strict=True):
    expected = WALK[number] if number in frames else 0
    np.testing.assert_array_equal(person, expected * np.ones((17, 3)))
  assert follow.fill({5: [WALK[0]]}, "poses.json").numbers == (5,)


def test_numbers_far_apart_are_refused():
  frames = {0: [WALK[0]], 1: [WALK[1]], 10**400: [WALK[2]]}
  with pytest.raises(errors.UserError, match="only 3 are there"):
    follow.fill(frames, "poses.json")
  with pytest.raises(errors.UserError, match="holds no frame"):
    follow.fill({}, "poses.json")
