"""Heat maps of sequences of every format, and what is left out."""

import numpy as np
import pytest

from data_pipelines import heatmaps
from data_pipelines import pickles
from data_pipelines.poses import conversion
from data_pipelines.poses import formats
from tests.helpers import pose_trees
from tests.helpers import stick_figure

WALK = stick_figure.key_points(12)
MAPS = heatmaps.make_heatmaps(WALK)
SHAPES = stick_figure.silhouettes(WALK)


def _job(root, name, silhouettes=None, **values):
  (sequence,) = formats.FORMATS[name].find(root)
  target = root.parent / "out" / sequence.folder
  return conversion.Job(name, sequence, target, silhouettes, **values)


def _maps(job):
  return pickles.read_heatmaps(job.target / conversion.HEATMAP)


def _shapes(job):
  return pickles.read_silhouettes(job.target / conversion.SILHOUETTE)


def test_frames_of_both_are_written(tmp_path):
  root, sils = tmp_path / "2D_Poses", tmp_path / "2D_Silhouettes"
  place = "0000/camid0_videoid2/seq0"
  pose_trees.write_gait3d(root / place, WALK[:9], 101)
  name = "human_crop_f{}.png"
  pose_trees.write_pngs(sils / place, WALK[2:], 103, name)
  (root / place / "human_crop_f104.txt").unlink()
  (sils / place / "human_crop_f105.png").unlink()
  job = _job(root, "gait3d", sils)
  assert conversion.convert(job) == conversion.Outcome("", 3, 4)
  both = [2, 5, 6, 7, 8]
  np.testing.assert_array_equal(_maps(job), MAPS[both])
  np.testing.assert_array_equal(_shapes(job), SHAPES[both])
  assert job.finished


def test_a_frame_without_a_person_stays_in_its_place(tmp_path):
  frames = {i: [person] for i, person in enumerate(WALK, 21)} | {25: []}
  pose_trees.write_openpose(tmp_path / "poses/00001/090_01", frames)
  place = "Silhouette_090-01/00001"
  pose_trees.write_pngs(tmp_path / "sils" / place, WALK, 21, "{:04d}.png")
  job = _job(tmp_path / "poses", "oumvlp", tmp_path / "sils")
  assert conversion.convert(job) == conversion.Outcome()
  assert not _maps(job)[4].any()
  others = np.delete(np.arange(12), 4)
  np.testing.assert_array_equal(_maps(job)[others], MAPS[others])
  np.testing.assert_array_equal(_shapes(job), SHAPES)


def test_a_pickle_is_linked_or_copied(tmp_path):
  root = tmp_path / "SUSTech1K"
  pose_trees.write_sustech1k(root / "0000/00-nm/000", WALK, SHAPES)
  for copy in (False, True):
    job = _job(root, "sustech1k", root, copy=copy)
    assert not conversion.convert(job).reason
    link = job.target / conversion.SILHOUETTE
    assert link.is_symlink() != copy
    np.testing.assert_array_equal(_shapes(job), SHAPES)
    np.testing.assert_array_equal(_maps(job), MAPS)
  job = _job(root, "sustech1k", root, chosen={"poses": "11"})
  assert "4 frames of key points, but 12" in conversion.convert(job).reason
  both = {"poses": "11", "silhouettes": "sync-000-Camera-Sils_aligned"}
  job = _job(root, "sustech1k", root, chosen=both)
  assert not conversion.convert(job).reason
  assert len(_maps(job)) == len(_shapes(job)) == 4


def test_a_sequence_of_a_table_is_named(tmp_path):
  rows = [(f"./001-nm-01-090/{i:06d}.jpg", WALK[i] * 0) for i in range(3)]
  pose_trees.write_gaitgraph(tmp_path / "in/x.csv", rows)
  reason = conversion.convert(_job(tmp_path / "in", "gaitgraph")).reason
  assert "x.csv, 001/nm-01/090: no frame has a hip" in reason


def test_a_file_that_vanished_is_told(tmp_path):
  rows = [(f"./001-nm-01-090/{i:06d}.jpg", WALK[i]) for i in range(3)]
  pose_trees.write_gaitgraph(tmp_path / "in/x.csv", rows)
  job = _job(tmp_path / "in", "gaitgraph")
  (tmp_path / "in/x.csv").unlink()
  assert "x.csv: No such file" in conversion.convert(job).reason


def test_a_file_is_there_whole_or_not_at_all(tmp_path):
  target = tmp_path / "x.pkl"

  def stop(path):
    path.write_bytes(b"half")
    raise KeyboardInterrupt

  with pytest.raises(KeyboardInterrupt):
    conversion.replace(target, stop)
  assert not list(tmp_path.iterdir())
  conversion.replace(target, lambda path: path.write_bytes(b"whole"))
  with pytest.raises(KeyboardInterrupt):
    conversion.replace(target, stop)
  assert [path.read_bytes() for path in tmp_path.iterdir()] == [b"whole"]


def test_what_cannot_be_written_is_told(tmp_path):
  pose_trees.write_gait3d(tmp_path / "in/0/0/0", WALK)
  (tmp_path / "out").write_text("a file in the way")
  reason = conversion.convert(_job(tmp_path / "in", "gait3d")).reason
  assert str(tmp_path / "out") in reason and "\n" not in reason
