"""Arrays of a sequence each, and the choice among several."""

import pickle

import numpy as np
import pytest

from data_pipelines.poses import arrays
from gaitkd_jax import errors
from tests.helpers import pose_trees
from tests.helpers import stick_figure

WALK = stick_figure.key_points(12).astype(float)
SHAPES = stick_figure.silhouettes(WALK)


def _choose(folder, kind="poses", wanted=""):
  place = arrays.POSES if kind == "poses" else arrays.SILHOUETTES
  return arrays.choose(folder, arrays.SUFFIXES, kind, wanted, place).name


def test_sustech1ks_publisher_decides_among_sixteen(tmp_path):
  pose_trees.write_sustech1k(tmp_path / "0000/00-nm/000", WALK, SHAPES)
  (found,) = arrays.SUSTECH1K.find(tmp_path)
  poses = arrays.SUSTECH1K.read(found, "")
  np.testing.assert_array_equal(poses.key_points, WALK)
  assert poses.numbers == ()
  assert _choose(found.path) == "03-000-Camera-Pose.pkl"
  assert _choose(found.path, "silhouettes") == "06-000-Camera-Sils_aligned.pkl"
  # The user's word comes first.
  synchronised = arrays.SUSTECH1K.read(found, "11").key_points
  np.testing.assert_array_equal(synchronised, WALK[::3])
  assert _choose(found.path, wanted="sync-000-Camera-Pose").startswith("11")


def test_one_file_or_the_one_named_as_the_folder(tmp_path):
  folder = tmp_path / "090"
  folder.mkdir()
  (folder / "a.pkl").write_bytes(pickle.dumps(WALK))
  (folder / "mapping.txt").touch()
  assert _choose(folder) == "a.pkl"
  (folder / "b.npy").touch()
  with pytest.raises(errors.UserError, match=r"2 files .*\(a.pkl, b.npy\)"):
    _choose(folder)
  (folder / "090.npz").touch()
  assert _choose(folder) == "090.npz"
  assert _choose(folder, wanted="1") == "a.pkl"
  for wanted, count in (("9", 0), (".", 3), ("c", 0)):
    with pytest.raises(errors.UserError, match=f"fits {count} of 3 files"):
      _choose(folder, wanted=wanted)
  with pytest.raises(errors.UserError, match="0 files of key points where"):
    _choose(tmp_path / "no")


def test_the_choice_is_parsed():
  assert arrays.parse_choice("") == {}
  assert arrays.parse_choice("poses=3,silhouettes=a=b") == {
    "poses": "3",
    "silhouettes": "a=b",
  }
  for text in ("poses", "poses=", "heatmaps=1", "poses=1,poses=2", "poses=1,"):
    with pytest.raises(errors.UserError, match="--pickles .* give poses="):
      arrays.parse_choice(text)
