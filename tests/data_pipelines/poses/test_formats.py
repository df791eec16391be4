"""Which format an input is of."""

import pickle

import pytest

from data_pipelines.poses import formats
from gaitkd_jax import errors
from tests.helpers import pose_trees
from tests.helpers import stick_figure

WALK = stick_figure.key_points(3)
FRAMES = {i: [person] for i, person in enumerate(WALK)}
PLACE = "0001/nm-01/090"


def _arrays(root):
  (root / PLACE).mkdir(parents=True)
  (root / PLACE / "090.pkl").write_bytes(pickle.dumps(WALK))
  # CASIA-B-Pose has such a file, too.
  (root / PLACE / "mapping.txt").touch()


WRITE = {
  "arrays": _arrays,
  "sustech1k": lambda root: pose_trees.write_sustech1k(
    root / PLACE, WALK, stick_figure.silhouettes(WALK)
  ),
  "gait3d": lambda root: pose_trees.write_gait3d(
    root / "0000/camid0_videoid2/seq0", WALK
  ),
  "grew": lambda root: pose_trees.write_gait3d(
    root / "train/00001/4XPn5Z28", WALK, 1, "{:05d}_2d_pose.txt"
  ),
  "oumvlp": lambda root: pose_trees.write_openpose(
    root / "00001/000_00", FRAMES
  ),
  "openpose": lambda root: pose_trees.write_openpose(root / PLACE, FRAMES),
  "coco": lambda root: pose_trees.write_alphapose(
    root / PLACE / "alphapose-results.json", FRAMES
  ),
  "gaitgraph": lambda root: pose_trees.write_gaitgraph(
    root / "casia-b_pose_coco.csv",
    [(f"./001-nm-01-090/{i:06d}.jpg", p) for i, p in enumerate(WALK)],
  ),
}


def test_every_format_is_written_here():
  assert set(WRITE) == set(formats.FORMATS)


@pytest.mark.parametrize("name", WRITE)
def test_a_tree_is_of_its_format(name, tmp_path):
  WRITE[name](tmp_path)
  # An empty sequence before says nothing.
  (tmp_path / "0000/a/b").mkdir(parents=True, exist_ok=True)
  assert formats.detect(tmp_path).name == name


@pytest.mark.parametrize("name", ["gait3d", "oumvlp", "arrays"])
def test_the_folder_that_is_meant_is_named(name, tmp_path):
  WRITE[name](tmp_path / "below")
  (tmp_path / "ID_list.csv").write_text("train,test\n")
  with pytest.raises(errors.UserError, match=f"below, .* {name}; give that"):
    formats.detect(tmp_path)


def test_what_holds_no_poses_is_refused(tmp_path):
  (tmp_path / "0000/a/b").mkdir(parents=True)
  (tmp_path / "0000/a/b/0.png").touch()
  with pytest.raises(errors.UserError, match="holds no <id>/<condition>"):
    formats.detect(tmp_path)
