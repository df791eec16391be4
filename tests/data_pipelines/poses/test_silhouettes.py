"""Silhouettes of the frames that the poses have."""

import pathlib
import pickle

import cv2
import numpy as np
import pytest

from data_pipelines.poses import sequence
from data_pipelines.poses import silhouettes
from gaitkd_jax import errors
from tests.helpers import pose_trees
from tests.helpers import stick_figure
from tests.helpers import trees

WALK = stick_figure.key_points(12).astype(float)
SHAPES = stick_figure.silhouettes(WALK)
PATH = pathlib.Path("poses")


def _poses(count, numbers=()):
  return sequence.Poses(np.ones((count, 17, 3)), "poses", tuple(numbers))


def _pngs(numbers):
  names = [pathlib.Path(f"sils/{number:03d}.png") for number in numbers]
  return silhouettes.Silhouettes(None, tuple(names), len(names))


def _pickle(count):
  return silhouettes.Silhouettes(pathlib.Path("sils/x.pkl"), (), count)


@pytest.mark.parametrize(
  ("ours", "theirs", "poses", "shapes"),
  [
    ([5, 6, 8], [5, 6, 8], (0, 1, 2), (0, 1, 2)),
    ([5, 6, 8, 9], [4, 6, 7, 8], (1, 2), (1, 3)),
    ([5, 6, 7], [6], (1,), (0,)),
    # The same count does not make them the same frames.
    ([1, 2, 4], [1, 3, 4], (0, 2), (0, 2)),
    # The same frames, counted from 0 and from 1.
    ([0, 1, 2, 4], [1, 2, 3, 5], (0, 1, 2, 3), (0, 1, 2, 3)),
  ],
)
def test_frames_are_paired_by_number(ours, theirs, poses, shapes):
  found = silhouettes.pair(_poses(len(ours), ours), _pngs(theirs))
  assert (found.poses, found.silhouettes) == (poses, shapes)


@pytest.mark.parametrize(
  ("poses", "shapes"),
  [
    (_poses(3), _pickle(3)),
    (_poses(3, (4, 5, 6)), _pickle(3)),
    (_poses(3), _pngs([7, 9, 11])),
  ],
)
def test_frames_without_numbers_are_paired_in_order(poses, shapes):
  found = silhouettes.pair(poses, shapes)
  assert found.poses == found.silhouettes == (0, 1, 2)


@pytest.mark.parametrize(
  ("poses", "shapes", "words"),
  [
    (_poses(3), _pickle(4), "poses: 3 frames of key points, but 4 in sils/x"),
    (_poses(3, (1, 2, 3)), _pickle(4), "or images, whose names number"),
    (_poses(3), _pngs([1, 2]), "3 frames of key points, but 2 in sils;"),
    (_poses(2, (1, 2)), _pngs([3]), "frames 1 to 2 of key points, but 3 to 3"),
  ],
)
def test_other_frames_are_refused(poses, shapes, words):
  with pytest.raises(errors.UserError, match=words):
    silhouettes.pair(poses, shapes)


def _find(root, wanted="", published=""):
  key = sequence.PoseSequence("00001", "01", "090", PATH, silhouettes=published)
  return silhouettes.find(root, key, wanted)


def test_silhouettes_lie_in_opengaits_or_the_publishers_tree(tmp_path):
  published = "Silhouette_090-01/00001"
  pose_trees.write_pngs(tmp_path / published, WALK, 21, "{:04d}.png")
  cv2.imwrite(str(tmp_path / published / "00001_gei.png"), SHAPES[0])
  found = _find(tmp_path, published=published)
  assert found.numbers == tuple(range(21, 33)) and found.count == 12
  np.testing.assert_array_equal(silhouettes.read_images(found.images), SHAPES)
  with pytest.raises(errors.UserError, match="00001/01/090: 0 files of sil"):
    _find(tmp_path)
  # A pickle was made of the PNG files, and is read.
  own = tmp_path / "00001/01/090"
  pose_trees.write_pngs(own, WALK)
  (own / "090.pkl").write_bytes(pickle.dumps(SHAPES[:5]))
  found = _find(tmp_path, published=published)
  assert found.pickle == own / "090.pkl" and found.count == 5
  assert found.numbers == ()


def test_several_pickles_are_chosen_from(tmp_path):
  own = tmp_path / "00001/01/090"
  own.mkdir(parents=True)
  for name in ("aligned-sils.pkl", "rgbs.pkl"):
    (own / name).write_bytes(pickle.dumps(SHAPES))
  with pytest.raises(errors.UserError, match="say which with --pickles=sil"):
    _find(tmp_path)
  assert _find(tmp_path, "aligned-sils").pickle.name == "aligned-sils.pkl"


def test_raw_frames_are_pretreated(tmp_path):
  key = ("001", "nm-01", "090")
  raw = trees.images(*key, 3)
  raw[1] = 0
  trees.write_raw(tmp_path / "raw", raw)
  found = silhouettes.read_images(sequence.files(tmp_path / "raw", ".png"))
  expected = trees.normalised("casiab", *key, 3)
  expected[1] = 0
  np.testing.assert_array_equal(found, expected)
  assert cv2.imwrite(str(tmp_path / "narrow.png"), SHAPES[0][:, 10:54])
  (narrow,) = silhouettes.read_images([tmp_path / "narrow.png"])
  np.testing.assert_array_equal(narrow[:, 10:54], SHAPES[0][:, 10:54])
  assert not narrow[:, :10].any() and not narrow[:, 54:].any()


def test_what_shows_no_silhouettes_is_refused_by_name(tmp_path):
  photo = np.random.default_rng(0).integers(60, 200, (4, 64, 64), np.uint8)
  own = tmp_path / "00001/01/090"
  trees.write_raw(own, photo)
  found = _find(tmp_path)
  with pytest.raises(errors.UserError, match="00001/01/090: "):
    silhouettes.read_images(found.images)
  (own / "x.pkl").write_bytes(pickle.dumps(photo))
  with pytest.raises(errors.UserError, match="090/x.pkl: "):
    _find(tmp_path)
