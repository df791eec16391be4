"""The program that makes heat maps of a tree of key points."""

import os
import pickle

import numpy as np
import pytest

from data_pipelines import heatmaps
from data_pipelines import pickles
from tests.helpers import command
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


def test_the_script_refuses_in_one_line(tmp_path):
  poses, _, out = _tree(tmp_path)
  (tmp_path / "empty").mkdir()
  for args, words in (
    ([f"--input={tmp_path}/none", f"--output={out}"], "none is not a folder"),
    ([f"--input={tmp_path}/empty", f"--output={out}"], "holds no <id>"),
    ([f"--input={poses}", f"--output={poses}/x"], "is in --input"),
    ([f"--input={poses}", f"--output={out}", "--processes=0"], "--processes"),
    (
      [f"--input={poses}", f"--output={out}", f"--silhouettes={poses}/no"],
      "no is not a folder",
    ),
  ):
    assert words in command.mistake(*args, program=PROGRAM)
  assert not out.exists()
