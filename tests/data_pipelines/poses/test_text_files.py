"""Gait3D's and GREW's text files."""

import numpy as np
import pytest

from data_pipelines.poses import text_files
from gaitkd_jax import errors
from tests.helpers import pose_trees
from tests.helpers import stick_figure

WALK = stick_figure.key_points(12)


def test_gait3d_is_read_in_the_order_of_its_frames(tmp_path):
  folder = tmp_path / "0000/camid0_videoid2/seq0"
  pose_trees.write_gait3d(folder, WALK, first=9_995)  # to 10,006
  (found,) = text_files.GAIT3D.find(tmp_path)
  assert str(found.folder) == "0000/camid0_videoid2/seq0"
  poses = text_files.GAIT3D.read(found, "")
  np.testing.assert_array_equal(poses.key_points, WALK)
  assert poses.numbers == tuple(range(9_995, 10_007))


def test_a_line_as_the_publisher_writes_it(tmp_path):
  path = tmp_path / "human_crop_f17279.txt"
  head = "311,438,89.201164,62.87694,0.57074964,89.201164,54.322254,0.47146344"
  path.write_text(f"{head},{','.join(['1.5'] * 45)}\n")
  frame = text_files.read_frame(path)
  assert frame.shape == (17, 3)
  np.testing.assert_array_equal(
    frame[:2],
    [[89.201164, 62.87694, 0.57074964], [89.201164, 54.322254, 0.47146344]],
  )
  np.testing.assert_array_equal(frame[2:], 1.5)


def test_grew_has_opengaits_names(tmp_path):
  name = "{:05d}_2d_pose.txt"
  places = {
    "train/00001/4XPn5Z28": ("00001train", "00", "4XPn5Z28"),
    "test/gallery/00001/79XJefi8": ("00001", "01", "79XJefi8"),
    "test/gallery/00001/t16VLaQf": ("00001", "02", "t16VLaQf"),
    "test/probe/01DdvEHX": ("probe", "03", "01DdvEHX"),
  }
  for place in places:
    pose_trees.write_gait3d(tmp_path / place, WALK, 8, name)
    (tmp_path / place / "00008_3d_pose.txt").write_text("not these")
    (tmp_path / place / "00008.png").touch()
  found = text_files.GREW.find(tmp_path)
  assert {
    each.silhouettes: (each.subject, each.condition, each.view)
    for each in found
  } == places
  for each in found:
    poses = text_files.GREW.read(each, "")
    np.testing.assert_array_equal(poses.key_points, WALK)
    assert poses.numbers == tuple(range(8, 20))


@pytest.mark.parametrize(
  ("text", "words"),
  [
    ("", "f1.txt: 1 values where 53 numbers"),
    (",".join(["1"] * 51), "51 values where 53"),
    (",".join(["1"] * 52 + ["x"]), "53 values where 53 numbers between commas"),
    (" ".join(["1"] * 53), "1 values"),
  ],
)
def test_other_text_is_refused_in_one_line(text, words, tmp_path):
  (tmp_path / "0/0/0").mkdir(parents=True)
  (tmp_path / "0/0/0/f1.txt").write_text(text)
  (found,) = text_files.GAIT3D.find(tmp_path)
  with pytest.raises(errors.UserError) as caught:
    text_files.GAIT3D.read(found, "")
  assert words in str(caught.value) and "\n" not in str(caught.value)


def test_a_folder_without_frames_is_refused(tmp_path):
  (tmp_path / "0/0/0").mkdir(parents=True)
  (found,) = text_files.GAIT3D.find(tmp_path)
  with pytest.raises(errors.UserError, match=r"0/0/0: holds no \*.txt"):
    text_files.GAIT3D.read(found, "")
