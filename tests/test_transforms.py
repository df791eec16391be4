import cv2
import numpy as np
import pytest

from data_pipelines import transforms
from gaitkd_jax import errors


def _generator(seed=0):
  return np.random.default_rng(seed)


def _clip(frames=3):
  """Returns uint8 [s, 64, 64]: smooth shapes, as interpolators agree on."""
  noise = _generator().random((frames, 64, 64)).astype(np.float32)
  smooth = [cv2.GaussianBlur(frame, (0, 0), 2.5) for frame in noise]
  smooth = np.array(smooth)
  smooth = (smooth - smooth.min()) / (smooth.max() - smooth.min())
  return np.round(smooth * 255).astype(np.uint8)


def _apply(clip, draws, i=0):
  return np.asarray(transforms.apply(clip, *(column[i] for column in draws)))


def _draws(rotate=0.0, insets=None, flip=False):
  """Returns the draws of one clip that is warped as told."""
  flipped, warped = np.array([flip]), np.array([True])
  matrices = transforms._compose(
    flipped,
    np.array([rotate]),
    np.array([insets or [0] * 4]),
    np.array([insets is not None]),
  )
  return transforms.Draws(flipped, warped, matrices, np.zeros((1, 4), np.int32))


def _cv2_perspective(frame, insets):
  a, b, c, d = insets
  source = np.float32([[a, 0], [63 - b, 0], [63 - c, 64], [d, 64]])
  target = np.float32([[0, 0], [64, 0], [64, 64], [0, 64]])
  return cv2.warpPerspective(
    frame, cv2.getPerspectiveTransform(source, target), (64, 64)
  )


def _cv2_rotate(frame, angle):
  matrix = cv2.getRotationMatrix2D((21.5, 31.5), angle, 1)
  return cv2.warpAffine(frame, matrix, (44, 64))


def _assert_close(clip, draws, theirs):
  """Compares with OpenCV's result of each frame.

  OpenCV rounds places to 1/32 pixel; where the border is mixed in, that and
  the cut between two warps make a larger difference.
  """
  ours = _apply(clip, draws).astype(int)
  white = np.full((1, 64, 64), 255, np.uint8)
  clear = theirs(white[0]) == 255
  difference = np.abs(ours - np.array([theirs(frame) for frame in clip]))
  assert difference.mean() < 0.5
  assert clear.mean() > 0.8
  assert difference[:, clear].max() <= 3
  # The border is where OpenCV has it, too.
  border = np.abs(_apply(white, draws)[0].astype(int) - theirs(white[0]))
  assert border.mean() < 1.0


@pytest.mark.parametrize("angle", [-10.0, -3.3, 0.4, 7.0])
def test_rotation_is_opencvs(angle):
  _assert_close(
    _clip(),
    _draws(rotate=angle),
    lambda frame: _cv2_rotate(frame[:, 10:54], angle),
  )


@pytest.mark.parametrize(
  "insets", [[0, 0, 0, 0], [9, 9, 9, 9], [0, 9, 3, 5], [7, 1, 0, 8]]
)
def test_perspective_is_opencvs(insets):
  _assert_close(
    _clip(),
    _draws(insets=insets),
    lambda frame: _cv2_perspective(frame, insets)[:, 10:54],
  )


@pytest.mark.parametrize("flip", [False, True])
def test_one_warp_is_opencvs_perspective_cut_flip_and_rotation(flip):
  insets, angle = [2, 6, 0, 8], 8.0

  def theirs(frame):
    frame = _cv2_perspective(frame, insets)[:, 10:54]
    frame = frame[:, ::-1] if flip else frame
    return _cv2_rotate(np.ascontiguousarray(frame), angle)

  # Two interpolations blur more than one: smoother frames.
  clip = np.array([cv2.GaussianBlur(f, (0, 0), 3) for f in _clip()])
  _assert_close(clip, _draws(angle, insets, flip), theirs)


def test_rotation_shows_nothing_of_what_the_cut_removed():
  clip = np.zeros((1, 64, 64), np.uint8)
  clip[:, :, :9] = clip[:, :, 55:] = 255
  assert _apply(clip, _draws(rotate=10.0)).max() == 0
  # Without the cut in between, the corners would show it.
  draws = _draws(rotate=10.0)
  draws.matrices[:, 3] = [0, 0, 20]
  assert _apply(clip, draws).max() == 255


@pytest.mark.parametrize("flip", [False, True])
def test_a_warp_by_nothing_is_the_plain_cut(flip):
  clip = _generator().integers(0, 256, (4, 64, 64), np.uint8)
  plain = clip[:, :, 10:54]
  expected = plain[:, :, ::-1] if flip else plain
  np.testing.assert_array_equal(_apply(clip, _draws(0.0, flip=flip)), expected)


def test_probability_zero_is_the_plain_cut():
  clip = _generator().integers(0, 256, (5, 64, 64), np.uint8)
  draws = transforms.draw(transforms.Augment(), 20, _generator())
  assert not draws.warped.any()
  # Nothing is interpolated: what the matrix holds has no effect.
  draws.matrices[:] = np.nan
  for i in range(20):
    np.testing.assert_array_equal(_apply(clip, draws, i), clip[:, :, 10:54])


def test_flipping_twice_gives_the_clip():
  clip = _generator().integers(0, 256, (5, 64, 64), np.uint8)
  draws = transforms.draw(transforms.Augment(flip=1.0), 1, _generator())
  once = _apply(clip, draws)
  np.testing.assert_array_equal(once, clip[:, :, 10:54][:, :, ::-1])
  back = np.pad(once, [(0, 0), (0, 0), (10, 10)])
  np.testing.assert_array_equal(_apply(back, draws), clip[:, :, 10:54])


def test_draws_follow_their_probabilities_and_ranges():
  n = 20000
  augment = transforms.Augment(flip=0.5, rotate=0.2, perspective=0.1, erase=0.3)
  draws = transforms.draw(augment, n, _generator())
  assert abs(draws.flipped.mean() - 0.5) < 0.02
  assert abs(draws.warped.mean() - (1 - 0.8 * 0.9)) < 0.02
  assert abs((draws.boxes[:, 2] > 0).mean() - 0.3) < 0.02
  rotation = transforms.draw(transforms.Augment(rotate=1.0), n, _generator())
  # U = cos x - sin y + ... gives the angle back.
  angles = np.rad2deg(np.arcsin(-rotation.matrices[:, 3, 1]))
  assert -10 <= angles.min() < -9.9 and 9.9 < angles.max() <= 10.01
  assert abs(angles.mean()) < 0.2
  np.testing.assert_allclose(angles.std(), 20 / np.sqrt(12), rtol=0.03)


def test_perspective_moves_corners_independently_by_0_to_9():
  augment = transforms.Augment(perspective=1.0)
  draws = transforms.draw(augment, 5000, _generator())
  corners = np.array([[-10, 0, 1], [54, 0, 1], [54, 64, 1], [-10, 64, 1]])
  places = draws.matrices[:, :3] @ corners.T  # [n, 3, corner]
  x, y = places[:, 0] / places[:, 2], places[:, 1] / places[:, 2]
  np.testing.assert_allclose(y, np.tile([0, 0, 64, 64], (5000, 1)), atol=1e-3)
  insets = np.stack([x[:, 0], 63 - x[:, 1], 63 - x[:, 2], x[:, 3]], 1)
  np.testing.assert_allclose(insets, insets.round(), atol=1e-3)
  rates = [
    np.bincount(i, minlength=10) / 5000 for i in insets.round().astype(int).T
  ]
  np.testing.assert_allclose(rates, np.full((4, 10), 0.1), atol=0.02)
  assert np.abs(np.corrcoef(insets.T) - np.eye(4)).max() < 0.06


def test_changing_one_probability_leaves_the_other_draws():
  a = transforms.draw(transforms.Augment(flip=0.5, erase=0.5), 50, _generator())
  b = transforms.draw(transforms.Augment(erase=0.5), 50, _generator())
  np.testing.assert_array_equal(a.boxes, b.boxes)
  assert a.flipped.any() and not b.flipped.any()


def test_erased_boxes_are_within_bounds():
  augment = transforms.Augment(erase=1.0)
  boxes = transforms.draw(augment, 20000, _generator()).boxes
  top, left, bottom, right = boxes.T
  assert top.min() == 0 and left.min() == 0
  assert bottom.max() == 64 and right.max() == 44
  height, width = bottom - top, right - left
  # Each box fits at the first try, which the drawing relies on.
  assert height.max() < 64 and width.max() < 44
  area, aspect = height * width / (64 * 44), height / width
  assert 0.045 < area.min() < 0.06 and 0.19 < area.max() < 0.21
  assert 0.27 < aspect.min() < 0.35 and 3 < aspect.max() < 3.8


def test_the_box_and_only_the_box_is_zero_in_all_frames():
  clip = np.full((6, 64, 64), 200, np.uint8)
  draws = transforms.draw(transforms.Augment(erase=1.0), 10, _generator())
  for i, (top, left, bottom, right) in enumerate(draws.boxes):
    expected = np.full((6, 64, 44), 200, np.uint8)
    expected[:, top:bottom, left:right] = 0
    np.testing.assert_array_equal(_apply(clip, draws, i), expected)


def test_one_draw_holds_for_all_frames():
  clip = np.repeat(_clip(1), 7, axis=0)
  augment = transforms.Augment(0.5, 1.0, 1.0, 0.5)
  draws = transforms.draw(augment, 8, _generator())
  results = [_apply(clip, draws, i) for i in range(8)]
  for result in results:
    np.testing.assert_array_equal(result, np.repeat(result[:1], 7, axis=0))
  assert not np.array_equal(results[0], results[1])


@pytest.mark.parametrize("value", [-0.1, 1.1, float("nan")])
def test_bad_probabilities_are_refused(value):
  with pytest.raises(errors.UserError, match="augment.rotate"):
    transforms.Augment(rotate=value)
