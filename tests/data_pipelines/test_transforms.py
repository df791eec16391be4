"""Augmentation against OpenCV's, and cuts against OpenGait's."""

import cv2
import numpy as np
import pytest
import tensorflow as tf

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


def _draws(rotate=0.0, insets=None, flip=False, shifts=None):
  """Returns the draws of one clip that is warped as told."""
  flipped, warped = np.array([flip]), np.array([True])
  matrices = transforms._compose(
    flipped,
    np.array([rotate]),
    np.array([insets or [0] * 4]),
    np.array([insets is not None]),
    np.zeros((1, 2, 3, 2), int) if shifts is None else np.array([shifts]),
    np.array([shifts is not None]),
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


def _cv2_affine(frame, shifts):
  source, target = (
    np.float32([[a, b], [64 - c, d], [e, 64 - f]])
    for (a, b), (c, d), (e, f) in shifts
  )
  matrix = cv2.getAffineTransform(source, target)
  return cv2.warpAffine(frame, matrix, (64, 64))


def _blobs(frames=4):
  """Returns uint8 [s, 64, 64]: one round blob a frame, well inside."""
  y, x = np.mgrid[:64, :64]
  centres = _generator(1).uniform(24, 40, (frames, 2))
  blobs = [
    255 * np.exp(-((x - cx) ** 2 + (y - cy) ** 2) / 18) for cx, cy in centres
  ]
  return np.round(blobs).astype(np.uint8)


def _centroid(frame):
  y, x = np.mgrid[: frame.shape[0], : frame.shape[1]]
  mass = frame.astype(float)
  return np.array([(x * mass).sum(), (y * mass).sum()]) / mass.sum()


def _assert_close(clip, draws, opencv):
  """Compares with OpenCV's result of each frame.

  OpenCV rounds places to 1/32 pixel; where the border is mixed in, that and
  the cut between two warps make a larger difference.
  """
  warped = _apply(clip, draws).astype(int)
  white = np.full((1, 64, 64), 255, np.uint8)
  clear = opencv(white[0]) == 255
  difference = np.abs(warped - np.array([opencv(frame) for frame in clip]))
  assert difference.mean() < 0.5
  assert clear.mean() > 0.75
  assert difference[:, clear].max() <= 3
  # The border is where OpenCV has it, too.
  border = np.abs(_apply(white, draws)[0].astype(int) - opencv(white[0]))
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

  def opencv(frame):
    frame = _cv2_perspective(frame, insets)[:, 10:54]
    frame = frame[:, ::-1] if flip else frame
    return _cv2_rotate(np.ascontiguousarray(frame), angle)

  # Two interpolations blur more than one: smoother frames.
  clip = np.array([cv2.GaussianBlur(f, (0, 0), 3) for f in _clip()])
  _assert_close(clip, _draws(angle, insets, flip), opencv)


@pytest.mark.parametrize(
  "shifts",
  [
    np.zeros((2, 3, 2), int),
    [[[9, 0], [0, 9], [4, 4]], [[0, 9], [9, 0], [1, 7]]],
    [[[9, 9], [9, 9], [9, 9]], [[0, 0], [0, 0], [0, 0]]],
    [[[0, 0], [0, 0], [0, 0]], [[5, 2], [8, 8], [0, 9]]],
  ],
)
def test_affine_is_opencvs(shifts):
  _assert_close(
    _clip(),
    _draws(shifts=shifts),
    lambda frame: _cv2_affine(frame, shifts)[:, 10:54],
  )


def test_affine_comes_after_perspective_and_before_cut_and_rotation():
  shifts = [[[9, 2], [0, 6], [4, 4]], [[0, 5], [7, 0], [1, 7]]]
  insets, angle = [2, 9, 0, 8], 8.0
  clip = _blobs()
  draws = _draws(angle, insets, flip=True, shifts=shifts)
  for warped, frame in zip(_apply(clip, draws), clip, strict=True):
    expected = _cv2_affine(_cv2_perspective(frame, insets), shifts)[:, 53:9:-1]
    expected = _cv2_rotate(np.ascontiguousarray(expected), angle)
    moved = np.abs(_centroid(expected) - _centroid(frame[:, 10:54])).max()
    assert moved > 2
    np.testing.assert_allclose(_centroid(warped), _centroid(expected), atol=0.1)


def test_affine_moves_three_corners_independently_by_0_to_9():
  n = 20000
  draws = transforms.draw(transforms.Augment(affine=0.25), n, _generator())
  assert abs(draws.warped.mean() - 0.25) < 0.02
  draws = transforms.draw(transforms.Augment(affine=1.0), n, _generator())
  assert draws.warped.all()
  # The result's pixels are those of the cut frame.
  uncut = np.array([[1, 0, 10], [0, 1, 0], [0, 0, 1]])
  affine = draws.matrices[:, :3] @ np.linalg.inv(uncut)
  np.testing.assert_allclose(
    affine[:, 2], np.tile([0, 0, 1], (n, 1)), atol=1e-6
  )
  # The middle of the last two corners moves by half the sum of four numbers,
  # with the variance of one of them; it is near the middle of the frame.
  moved = (affine @ [32, 32, 1])[:, :2] - 32
  assert np.abs(moved.mean(0)).max() < 0.1
  np.testing.assert_allclose(moved.std(0), np.sqrt(99 / 12), rtol=0.03)
  assert 8 < np.abs(moved).max() < 12
  assert abs(np.corrcoef(moved.T)[0, 1]) < 0.02


def test_affine_leaves_the_draws_of_the_others():
  others = {"flip": 0.5, "rotate": 0.3, "perspective": 0.3, "erase": 0.5}
  a = transforms.draw(transforms.Augment(**others), 200, _generator())
  b = transforms.draw(
    transforms.Augment(**others, affine=0.5), 200, _generator()
  )
  np.testing.assert_array_equal(a.boxes, b.boxes)
  np.testing.assert_array_equal(a.flipped, b.flipped)
  same = (a.matrices == b.matrices).all((1, 2))
  assert 0.4 < same.mean() < 0.6
  assert b.warped.sum() > a.warped.sum() and b.warped[a.warped].all()


def test_draws_of_a_seed_stay_what_they_were():
  augment = transforms.Augment(0.5, 0.5, 0.5, 0.5)
  draws = transforms.draw(augment, 4, _generator(7))
  assert draws.flipped.tolist() == [False, False, False, True]
  assert draws.boxes.tolist() == [
    [19, 2, 31, 37],
    [0, 22, 18, 42],
    [0, 0, 0, 0],
    [0, 0, 0, 0],
  ]
  np.testing.assert_allclose(
    draws.matrices.sum((1, 2)),
    [22.0369263, 19.0839214, 18.8376369, 93.7255402],
    rtol=1e-6,
  )


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


def _every_kind(n=12):
  """Returns draws of n clips, with all kinds and none among them."""
  augment = transforms.Augment(0.5, 0.3, 0.3, 0.5, 0.3)
  draws = transforms.draw(augment, n, _generator(3))
  assert 0 < draws.warped.sum() < n and 0 < draws.flipped.sum() < n
  assert 0 < (draws.boxes[:, 2] > 0).sum() < n
  return draws


@pytest.mark.parametrize("channels", [1, 2, 3])
def test_channels_are_augmented_as_if_alone(channels):
  planes = [
    _generator(c).integers(0, 256, (3, 64, 64), np.uint8)
    for c in range(channels)
  ]
  draws = _every_kind()
  for i in range(12):
    together = _apply(np.stack(planes, -1), draws, i)
    alone = [_apply(plane, draws, i) for plane in planes]
    np.testing.assert_array_equal(together, np.stack(alone, -1))


def test_silhouette_and_heat_map_move_together():
  silhouettes = _blobs()
  # Not the same brightness, but the same place.
  heatmaps = np.round(silhouettes * 0.5).astype(np.uint8)
  draws = _every_kind()
  moves = []
  for i in range(12):
    result = _apply(np.stack([heatmaps, silhouettes], -1), draws, i)
    for frame, before in zip(result, silhouettes, strict=True):
      if frame[..., 0].sum() > 2000:  # Not all of it was erased.
        after = [_centroid(frame[..., c]) for c in range(2)]
        np.testing.assert_allclose(after[0], after[1], atol=0.25)
        moves.append(after[1] - _centroid(before[:, 10:54]))
  assert len(moves) > 24
  assert np.abs(moves).max() > 3


def test_one_draw_holds_for_all_channels_of_all_frames():
  clip = np.repeat(np.repeat(_clip(1), 5, axis=0)[..., None], 3, axis=-1)
  draws = _every_kind()
  for i in range(12):
    result = _apply(clip, draws, i)
    assert result.shape == (5, 64, 44, 3)
    assert (result == result[:1, :, :, :1]).all()


@pytest.mark.parametrize(
  ("width", "left"), [(64, 44), (128, 88), (44, 44), (88, 68), (192, 132)]
)
def test_the_cut_follows_the_width(width, left):
  frames = np.arange(2 * 3 * width).reshape(2, 3, width)
  side = (width - left) // 2
  expected = frames[..., side : width - side]
  np.testing.assert_array_equal(transforms.cut(frames), expected)
  stacked = np.stack([frames, -frames], -1)
  result = transforms.cut(stacked, axis=-2)
  np.testing.assert_array_equal(result[..., 0], expected)
  np.testing.assert_array_equal(result[..., 1], -expected)


def test_cutting_overrides_the_width():
  frames = np.arange(128)[None]
  assert transforms.cut(frames, cutting=0).shape == (1, 128)
  np.testing.assert_array_equal(
    transforms.cut(frames, cutting=3), frames[:, 3:125]
  )
  for cutting in (-1, 64):
    with pytest.raises(errors.UserError, match=f"cutting is {cutting} of 128"):
      transforms.cut(frames, cutting=cutting)


def test_labels_of_body_parts_stay_and_silhouettes_are_divided():
  labels = _generator().integers(0, 12, (5, 64, 64), np.uint8)
  silhouettes = labels // 6 * 255
  split = tf.data.Dataset.from_tensor_slices(np.stack([labels, silhouettes]))
  first, second = split.map(transforms.cut_parsing).as_numpy_iterator()
  assert first.dtype == second.dtype == np.float32
  np.testing.assert_array_equal(first, labels[..., 10:54])
  np.testing.assert_array_equal(second, silhouettes[..., 10:54] / 255)
  # What is cut away does not count.
  labels[:, :, 0] = 255
  np.testing.assert_array_equal(
    transforms.cut_parsing(labels), labels[..., 10:54]
  )
  whole = transforms.cut_parsing(labels, cutting=0)
  np.testing.assert_allclose(whole, labels / 255, rtol=1e-6)


@pytest.mark.parametrize("value", [-0.1, 1.1, float("nan")])
def test_bad_probabilities_are_refused(value):
  with pytest.raises(errors.UserError, match="augment.rotate"):
    transforms.Augment(rotate=value)
