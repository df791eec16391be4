"""Heat maps: imputing, centring, drawing, and files of key points."""

import pickle

import numpy as np
import pytest

from data_pipelines import heatmaps
from gaitkd_jax import errors
from tests.helpers import stick_figure

WALK = stick_figure.key_points(12)
MAPS = heatmaps.make_heatmaps(WALK)
COCO = (
  "nose leye reye lear rear lshoulder rshoulder lelbow relbow lwrist rwrist"
  " lhip rhip lknee rknee lankle rankle"
)
OPENPOSE = (
  "nose neck rshoulder relbow rwrist lshoulder lelbow lwrist rhip rknee rankle"
  " lhip lknee lankle reye leye rear lear"
)


def _centroid(frame):
  y, x = np.mgrid[: frame.shape[0], : frame.shape[1]]
  mass = frame.astype(float)
  return np.array([(x * mass).sum(), (y * mass).sum()]) / mass.sum()


def _damage(walk, frames, joints):
  """Returns the walk without some joints of some frames."""
  walk = walk.copy()
  walk[np.ix_(frames, joints)] = 0
  return walk


def _straight_line():
  """Returns [1, 17, 3]: all joints on one vertical line, hips in its middle."""
  body = np.zeros((1, 17, 3))
  body[..., 0], body[..., 1] = 200, 300
  body[0, 0, 1], body[0, 15:, 1] = 200, 400
  body[0, [0, 11, 12, 15], 2] = 1.0, 0.5, 0.5, 0.25
  return body


def test_shape_and_an_upright_centred_body():
  assert MAPS.shape == (12, 2, 64, 64) and MAPS.dtype == np.uint8
  # The confidence is 0.9 everywhere.
  peaks = MAPS.max((2, 3))
  assert peaks.min() >= 215 and peaks.max() <= 230
  for limbs, joints in MAPS:
    for plane in (limbs, joints):
      rows, columns = (np.flatnonzero(plane.any(1 - axis)) for axis in range(2))
      assert len(rows) == 64 and np.diff(columns).max() == 1
      x, y = _centroid(plane)
      assert 27 < x < 37 and 27 < y < 37
    # 85 of 128 rows, and 10 more at each end, are bright.
    bright = np.flatnonzero((limbs > 100).any(1))
    assert 51 <= bright[-1] + 1 - bright[0] <= 55
  # The head is narrower than the stride.
  widths = (MAPS[:, 0] > 100).sum(2)
  assert widths[:, 45:50].max() > 1.5 * widths[:, 12:16].max()


def test_the_body_is_normalised():
  body = heatmaps.normalise(WALK)
  np.testing.assert_allclose(body[:, [11, 12], :2].mean(1), 64)
  extent = body[..., 1].max(1) - body[..., 1].min(1)
  np.testing.assert_allclose(extent, 85)
  # Neither size nor place in the picture matters.
  other = stick_figure.key_points(12, size=75.0, side=(200.0, -1.0))
  np.testing.assert_allclose(
    heatmaps.normalise(other)[..., :2], body[..., :2], atol=2.0
  )


def test_joints_peak_where_they_are_as_high_as_their_confidence():
  (limbs, joints), *_ = heatmaps.make_heatmaps(_straight_line())
  # 85 px from 21.5 to 106.5 on the canvas, which reaches 24 px further.
  scale = 64 / 128
  for y, confidence in ((21.5, 1.0), (64, 0.5), (106.5, 0.25)):
    row = round(y * scale - 0.25)
    height = joints[row, 31:33].mean() / 255
    np.testing.assert_allclose(height, confidence, rtol=0.04)
  assert abs(_centroid(joints)[0] - 31.75) < 0.05
  # Gaussians of sigma 8 become 4 wide.
  ratio = joints[32, 36] / joints[32, 32]
  np.testing.assert_allclose(ratio, np.exp((0.25**2 - 4.25**2) / 32), atol=0.02)
  # The joints between have no confidence, so only the hips are a limb's ends.
  assert limbs.max() < 0.51 * 255
  np.testing.assert_array_equal(limbs[32] > 0, joints[32] > 0)
  assert limbs[11].max() < 10


def test_a_limb_is_as_high_as_its_weaker_end_and_evenly():
  canvas = np.zeros((128, 128), np.float32)
  heatmaps.draw_limb(
    canvas, np.array([40.0, 30, 0.8]), np.array([40.0, 90, 0.6])
  )
  np.testing.assert_allclose(canvas[30:91, 40], 0.6, rtol=1e-6)
  np.testing.assert_allclose(canvas[30:91, 48], 0.6 * np.exp(-0.5), rtol=1e-5)
  np.testing.assert_allclose(canvas[98, 40], 0.6 * np.exp(-0.5), rtol=1e-5)
  assert canvas[6, 40] > 0 and canvas[5].max() == 0
  # What is higher stays.
  before = canvas.copy()
  heatmaps.draw_limb(canvas, np.array([44.0, 60, 0.1]), np.array([44, 60, 1.0]))
  np.testing.assert_array_equal(canvas[:, 40], before[:, 40])
  # Outside, nothing is drawn, and nothing fails.
  heatmaps.draw_limb(canvas, np.array([-90.0, 9e5, 1]), np.array([-90, 9e5, 1]))
  assert canvas.max() <= 0.6001


def test_no_confidence_draws_nothing():
  walk = WALK.copy()
  walk[..., 2] = 0
  assert not heatmaps.make_heatmaps(walk).any()
  # A leg less is a darker lower half, in both planes.
  walk = WALK.copy()
  walk[:, [13, 15], 2] = 0
  fewer = heatmaps.make_heatmaps(walk)
  assert (fewer.sum((2, 3)) < MAPS.sum((2, 3))).all()


def test_18_key_points_are_brought_to_17():
  extra = np.concatenate([WALK, np.full((12, 1, 3), 7.0)], 1)
  names = [*COCO.split(), "neck"]
  eighteen = extra[:, [names.index(name) for name in OPENPOSE.split()]]
  np.testing.assert_array_equal(heatmaps.as_coco17(eighteen), WALK)


def test_opengaits_pickles_of_grew_have_53_columns():
  rows = np.concatenate([np.full((12, 2), 311.0), WALK.reshape(12, 51)], 1)
  np.testing.assert_array_equal(heatmaps.as_coco17(rows), WALK)


def test_imputation_is_scikit_learns():
  rng = np.random.default_rng(5)
  points = rng.integers(1, 300, (8, 17, 2)).astype(float)
  missing = rng.random((8, 17)) < 0.3
  missing[0], missing[6] = False, True
  result = heatmaps.impute(points, missing)
  np.testing.assert_array_equal(result[~missing], points[~missing])
  # KNNImputer(missing_values=0, n_neighbors=4, weights="distance") of 1.7.
  for joint, place in (
    (2, [152.427816, 161.245656]),
    (3, [76.808383, 106.861646]),
    (7, [90.258428, 193.470355]),
    (16, [193.099621, 146.161999]),
  ):
    assert missing[1, joint]
    np.testing.assert_allclose(result[1, joint], place, atol=1e-6)
  np.testing.assert_allclose(result[6, :2], [[168.0, 162.5], [144.2, 149.6]])
  np.testing.assert_allclose(result.sum(), 40574.694311587, rtol=1e-12)


def test_an_equal_frame_gives_its_joint():
  points = np.concatenate([WALK[..., :2], WALK[3:4, :, :2]])
  missing = np.zeros((13, 17), bool)
  missing[12, 9] = True
  np.testing.assert_array_equal(heatmaps.impute(points, missing)[12], points[3])


@pytest.mark.parametrize("joints", [[9], [0, 11], [11, 12], [15, 16]])
def test_missing_joints_are_imputed_for_the_place_of_the_others(joints):
  frames = [2, 7]
  broken = _damage(WALK, frames, joints)
  body, whole = heatmaps.normalise(broken), heatmaps.normalise(WALK)
  kept = np.setdiff1d(np.arange(17), joints)
  np.testing.assert_allclose(body[:, kept, :2], whole[:, kept, :2], atol=6.0)
  assert (body[np.ix_(frames, joints)][..., 2] == 0).all()
  # Without the other frames, a body without feet would be stretched.
  moved = heatmaps.make_heatmaps(broken)
  untouched = np.setdiff1d(np.arange(12), frames)
  np.testing.assert_array_equal(moved[untouched], MAPS[untouched])
  assert moved[frames].any((1, 2, 3)).all()
  # Not a number is as good as nothing.
  broken[np.ix_(frames, joints)] = np.nan, 1e9, np.inf
  np.testing.assert_array_equal(
    heatmaps.make_heatmaps(broken)[untouched], MAPS[untouched]
  )


def test_a_frame_without_any_joint_is_black_and_counted():
  broken = _damage(WALK, [0, 5], range(17))
  maps = heatmaps.make_heatmaps(broken)
  assert maps.shape == MAPS.shape
  assert not maps[[0, 5]].any()
  others = np.setdiff1d(np.arange(12), [0, 5])
  np.testing.assert_array_equal(maps[others], MAPS[others])


def test_a_joint_that_all_frames_miss_is_left_out():
  broken = _damage(WALK, range(12), [10, 12])
  body = heatmaps.normalise(broken)
  assert np.isfinite(body).all() and (body[:, [10, 12], 2] == 0).all()
  np.testing.assert_allclose(body[:, 11, :2], 64)
  assert heatmaps.make_heatmaps(broken).any()
  with pytest.raises(errors.UserError, match="no frame has a hip"):
    heatmaps.normalise(_damage(WALK, range(12), [11, 12]))
  with pytest.raises(errors.UserError, match="no frame has a hip"):
    heatmaps.normalise(WALK * 0)


def test_heat_maps_and_silhouettes_of_a_walk_fit():
  walk = stick_figure.key_points(25)
  maps, shapes = heatmaps.make_heatmaps(walk), stick_figure.silhouettes(walk)
  inside = maps[:, 0][shapes > 127].mean()
  outside = maps[:, 0][shapes <= 127].mean()
  assert inside > 5 * outside
  # They swing in time: the width of the lower half.
  widths = [
    (planes[:, 40:56] > 100).any(1).sum(1) for planes in (maps[:, 0], shapes)
  ]
  assert np.corrcoef(widths)[0, 1] > 0.8


@pytest.mark.parametrize("suffix", ["pkl", "npy", "npz", "named.npz"])
def test_key_points_are_read_from(suffix, tmp_path):
  path = tmp_path / f"x.{suffix}"
  if suffix == "pkl":
    path.write_bytes(pickle.dumps(WALK))
  elif suffix == "npy":
    np.save(path, WALK)
  elif suffix == "npz":
    np.savez(path, WALK)
  else:
    np.savez(path, keypoints=WALK, other=np.zeros(3))
  result = heatmaps.read_key_points(path)
  assert result.dtype == np.float64
  np.testing.assert_array_equal(result, WALK)


@pytest.mark.parametrize(
  ("name", "content", "words"),
  [
    ("x.npz", b"", "x.npz: cannot be read"),
    ("x.npz", b"PK\x03\x04" + bytes(60), "x.npz: cannot be read"),
    ("x.npy", b"", "x.npy: cannot be read"),
    ("x.npy", b"\x93NUMPY\x01\x00v\x00{", "x.npy: cannot be read"),
    ("x.npy", np.array([{}], object), "x.npy: cannot be read"),
    ("x.pkl", b"", "x.pkl: the file is empty"),
    ("x.pkl", pickle.dumps(WALK)[:-50], "x.pkl: not a whole pickle"),
    ("x.npy", np.zeros((3, 17)), "the array is 3 x 17; key points are frames"),
    ("x.npy", np.zeros((3, 25, 3)), "3 x 25 x 3"),
    ("x.npy", np.zeros((0, 17, 3)), "holds no frame"),
    ("x.npy", np.zeros((3, 17, 3), "U1"), "type <U1"),
    ("missing.npy", None, "missing.npy: cannot be read"),
  ],
)
def test_damaged_key_points_are_refused_in_one_line(
  name, content, words, tmp_path
):
  path = tmp_path / name
  if isinstance(content, np.ndarray):
    np.save(path, content)
  elif content is not None:
    path.write_bytes(content)
  with pytest.raises(errors.UserError) as caught:
    heatmaps.read_key_points(path)
  assert words in str(caught.value) and "\n" not in str(caught.value)


def test_a_cut_npz_is_refused(tmp_path):
  np.savez_compressed(tmp_path / "x.npz", WALK)
  data = bytearray((tmp_path / "x.npz").read_bytes())
  for broken in (data[:-40], data[:100] + bytes(60) + data[160:]):
    (tmp_path / "x.npz").write_bytes(broken)
    with pytest.raises(errors.UserError, match="cannot be read"):
      heatmaps.read_key_points(tmp_path / "x.npz")
  np.savez(tmp_path / "x.npz", a=WALK, b=WALK)
  with pytest.raises(errors.UserError, match="holds 2 arrays"):
    heatmaps.read_key_points(tmp_path / "x.npz")


@pytest.mark.parametrize(
  "change",
  [
    lambda p: p * [1 / 320, 1 / 240, 1],
    lambda p: (p - [160, 120, 0]) * [1 / 160, 1 / 120, 1],
  ],
)
def test_other_coordinates_are_not_drawn(change):
  rng = np.random.default_rng(0)
  points = np.dstack(
    [rng.uniform(10, 310, (2, 17)), rng.uniform(10, 230, (2, 17))]
  )
  points = np.concatenate([points, np.full((2, 17, 1), 0.9)], axis=-1)
  assert heatmaps.normalise(points).shape == (2, 17, 3)
  with pytest.raises(errors.UserError, match="are no pixels"):
    heatmaps.normalise(change(points))
