"""GaitGraph's table."""

import numpy as np
import pytest

from data_pipelines.poses import gaitgraph
from gaitkd_jax import errors
from tests.helpers import pose_trees
from tests.helpers import stick_figure

WALK = stick_figure.key_points(12).astype(float)
NAMES = ("001-bg-01-018", "001-nm-02-090", "075-cl-02-000")


def _rows(prefix="./", gone=()):
  walks = {name: WALK + [i * 10.0, 0, 0] for i, name in enumerate(NAMES)}
  return [
    (f"{prefix}{name}/{i + 1:06d}.jpg", person)
    for name, walk in walks.items()
    for i, person in enumerate(walk)
    if i not in gone
  ]


@pytest.mark.parametrize("prefix", ["./", "casia-b/", ""])
@pytest.mark.parametrize("shuffled", [False, True])
def test_every_sequence_is_read_alone(prefix, shuffled, tmp_path):
  path, rows = tmp_path / "casia-b_pose_coco.csv", _rows(prefix)
  if shuffled:
    rows = [rows[i] for i in np.random.default_rng(0).permutation(len(rows))]
  pose_trees.write_gaitgraph(path, rows)
  found = gaitgraph.FORMAT.find(path)
  assert [str(each.folder) for each in found] == [
    "001/bg-01/018",
    "001/nm-02/090",
    "075/cl-02/000",
  ]
  if not shuffled:
    assert all(len(each.rows) == 1 for each in found)
  for i, each in enumerate(found):
    poses = gaitgraph.FORMAT.read(each, "")
    np.testing.assert_array_equal(poses.key_points, WALK + [i * 10.0, 0, 0])
    assert poses.numbers == tuple(range(1, 13))


def test_frames_without_a_person_are_missing(tmp_path):
  path = tmp_path / "x.csv"
  pose_trees.write_gaitgraph(path, _rows(gone=(0, 4, 5)))
  poses = gaitgraph.FORMAT.read(gaitgraph.FORMAT.find(path)[0], "")
  expected = WALK[1:].copy()
  expected[3:5] = 0
  np.testing.assert_array_equal(poses.key_points, expected)
  assert poses.numbers == tuple(range(2, 13))


def test_an_empty_cell_is_a_missing_joint(tmp_path):
  path = tmp_path / "x.csv"
  pose_trees.write_gaitgraph(path, _rows()[:12])
  lines = path.read_text().split("\n")
  cells = lines[3].split(",")
  cells[1:4] = "", "", ""
  lines[3] = ",".join(cells)
  path.write_text("\n".join(lines))
  (found,) = gaitgraph.FORMAT.find(path)
  points = gaitgraph.FORMAT.read(found, "").key_points
  assert np.isnan(points[2, 0]).all()
  assert np.isfinite(points).sum() == 12 * 51 - 3


def test_a_folder_may_hold_other_tables(tmp_path):
  assert not gaitgraph.FORMAT.fits(tmp_path)
  (tmp_path / "casia-b_detections.csv").write_text("image_name,x,y,w,h\n")
  (tmp_path / "ID_list.csv").write_text("train,test\n1,2\n")
  assert not gaitgraph.FORMAT.fits(tmp_path)
  assert gaitgraph.FORMAT.find(tmp_path) == []
  pose_trees.write_gaitgraph(tmp_path / "a.csv", _rows())
  assert gaitgraph.FORMAT.fits(tmp_path)
  assert len(gaitgraph.FORMAT.find(tmp_path)) == 3
  pose_trees.write_gaitgraph(tmp_path / "b.csv", _rows())
  with pytest.raises(errors.UserError, match=r"2 tables \(a.csv, b.csv\)"):
    gaitgraph.FORMAT.find(tmp_path)


def _mistake(path):
  with pytest.raises(errors.UserError) as caught:
    for each in gaitgraph.FORMAT.find(path):
      gaitgraph.FORMAT.read(each, "")
  message = str(caught.value)
  assert "x.csv" in message and "\n" not in message
  return message


def test_other_tables_are_refused_in_one_line(tmp_path):
  path = tmp_path / "x.csv"
  path.write_bytes(b"\xff\x00")
  assert "the first line is not image_name" in _mistake(path)
  pose_trees.write_gaitgraph(path, [("001-bg-01/1.jpg", WALK[0])])
  assert "'001-bg-01/1.jpg' is not" in _mistake(path)
  pose_trees.write_gaitgraph(path, _rows())
  path.write_text(path.read_text()[:-30])
  message = _mistake(path)
  assert (
    "x.csv, 075/cl-02/000, 000012.jpg: " in message and "expected" in message
  )
  pose_trees.write_gaitgraph(path, _rows())
  path.write_text(path.read_text().replace("0.8", "x"))
  assert "51 numbers are expected" in _mistake(path)
