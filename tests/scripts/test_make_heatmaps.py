"""The program that makes heat maps of a tree of key points."""

import os
import pickle

import numpy as np
import pytest

from data_pipelines import heatmaps
from data_pipelines import pickles
from tests.helpers import command
from tests.helpers import pose_trees
from tests.helpers import stick_figure

PROGRAM = ("scripts/make_heatmaps.py",)
WALK = stick_figure.key_points(12)
MAPS = heatmaps.make_heatmaps(WALK)


def _tree(root):
  """Writes six sequences, of which three are good, and their silhouettes."""
  walks = {
    "001/nm-01/090": WALK,
    "001/nm-01/180": WALK[:9],
    "001/nm-02/090": WALK[:, :, :2],
    "002/nm-01/090": WALK[::-1],
    "003/nm-01/090": WALK[:8],
  }
  for name, walk in walks.items():
    for tree, values in (
      ("poses", walk),
      ("silhouettes", stick_figure.silhouettes(walk)),
    ):
      folder = root / tree / name
      folder.mkdir(parents=True)
      if name == "003/nm-01/090" and tree == "silhouettes":
        values = values[1:]
      (folder / f"{folder.name}.pkl").write_bytes(pickle.dumps(values))
  empty = root / "poses" / "004/nm-01/090"
  empty.mkdir(parents=True)
  return root / "poses", root / "silhouettes", root / "out"


def _files(root):
  return sorted(
    str(path.relative_to(root)) for path in root.rglob("*") if not path.is_dir()
  )


@pytest.mark.parametrize("copy", [False, True])
def test_the_script_writes_opengaits_layout(copy, tmp_path):
  poses, silhouettes, out = _tree(tmp_path)
  args = [f"--input={poses}", f"--output={out}", "--processes=2"]
  args += [f"--silhouettes={silhouettes}"] + ["--copy"] * copy
  done = command.run(*args, program=PROGRAM)
  assert done.returncode == 0, done.stderr
  good = ["001/nm-01/090", "001/nm-01/180", "002/nm-01/090"]
  names = ["0_heatmap.pkl", "1_sil.pkl"]
  assert _files(out) == [f"{name}/{file}" for name in good for file in names]
  maps = pickles.load_array(out / good[0] / names[0])
  np.testing.assert_array_equal(maps, MAPS)
  np.testing.assert_array_equal(
    pickles.read_silhouettes(out / good[0] / names[1]),
    stick_figure.silhouettes(WALK),
  )
  assert (out / good[0] / names[1]).is_symlink() != copy
  assert "3 sequences written" in done.stdout and "3 left out" in done.stdout
  left_out = done.stderr.splitlines()
  assert len(left_out) == 3 and "12 x 17 x 2" in left_out[0]
  assert "8 frames of key points, but 7 in" in left_out[1]
  assert "0 files of key points where one is expected" in left_out[2]
  # What is there is not made again.
  before = os.stat(out / good[0] / names[0]).st_mtime_ns
  (out / good[1] / names[0]).unlink()
  again = command.run(*args, program=PROGRAM)
  assert "1 sequences written" in again.stdout and "2 were" in again.stdout
  assert os.stat(out / good[0] / names[0]).st_mtime_ns == before
  assert _files(out) == [f"{name}/{file}" for name in good for file in names]


def test_frames_without_a_partner_are_counted(tmp_path):
  place = "0000/camid0_videoid2/seq0"
  pose_trees.write_gait3d(tmp_path / "poses" / place, WALK, 100)
  pose_trees.write_pngs(
    tmp_path / "sils" / place, WALK[:9], 103, "human_crop_f{}.png"
  )
  said = command.output(
    f"--input={tmp_path}/poses",
    f"--silhouettes={tmp_path}/sils",
    f"--output={tmp_path}/out",
    program=PROGRAM,
  ).splitlines()
  assert len(said) == 3
  assert said[0] == (
    "format gait3d (<id>/<camera and video>/<sequence>/*.txt): 1 sequences"
  )
  assert said[1].startswith("1 sequences have frames without a partner")
  assert said[1].endswith("3 of poses, 0 of silhouettes")
  maps = pickles.load_array(tmp_path / "out" / place / "0_heatmap.pkl")
  np.testing.assert_array_equal(maps, MAPS[3:])


def test_the_format_and_the_pickles_can_be_told(tmp_path):
  root, place = tmp_path / "poses", "0000/00-nm/000"
  shapes = stick_figure.silhouettes(WALK)
  pose_trees.write_sustech1k(root / place, WALK, shapes)
  said = command.output(
    f"--input={root}",
    f"--output={tmp_path}/out",
    f"--silhouettes={root}",
    "--format=arrays",
    "--pickles=poses=11,silhouettes=14",
    program=PROGRAM,
  )
  assert said.startswith("format arrays (")
  maps = pickles.load_array(tmp_path / "out" / place / "0_heatmap.pkl")
  np.testing.assert_array_equal(maps, heatmaps.make_heatmaps(WALK[::3]))
  for args, words in (
    (["--format=gaitgraph"], "holds no GaitGraph's casia-b_pose_coco.csv"),
    (["--format=openpose", "--pickles=poses=1"], "openpose has no pickles"),
    (["--pickles=heatmaps=1"], "give poses=<index"),
  ):
    common = (f"--input={root}", f"--output={tmp_path}/new")
    assert words in command.mistake(*common, *args, program=PROGRAM)
  assert not (tmp_path / "new").exists()


def test_the_script_refuses_in_one_line(tmp_path):
  poses, _, out = _tree(tmp_path)
  (tmp_path / "empty").mkdir()
  (tmp_path / "x.csv").touch()
  for args, words in (
    ([f"--input={tmp_path}/x.csv", f"--output={out}"], "the first line is not"),
    ([f"--input={tmp_path}", f"--output={tmp_path}_out"], "arrays; give that"),
    ([f"--input={tmp_path}/none", f"--output={out}"], "none is not a folder"),
    ([f"--input={tmp_path}/empty", f"--output={out}"], "holds no <id>"),
    ([f"--input={poses}", f"--output={poses}/x"], "is in --input"),
    ([f"--input={poses}", f"--output={out}", "--processes=0"], "--processes"),
    ([f"--input={poses}", "--output=gs://a/b"], "has to be on the disk"),
    (
      [f"--input={poses}", f"--output={out}", f"--silhouettes={poses}/no"],
      "no is not a folder",
    ),
  ):
    assert words in command.mistake(*args, program=PROGRAM)
  assert not out.exists()
