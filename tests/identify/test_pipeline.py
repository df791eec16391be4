"""From a video to tracks: rendered scenes, whose truth is known."""

import json
import subprocess
import sys

import cv2
import numpy as np
import pytest

from gaitkd_jax.errors import UserError
from gaitkd_jax.identify import pipeline
from gaitkd_jax.identify import scenes
from gaitkd_jax.identify import silhouettes
from gaitkd_jax.identify.scenes import scoring
from tests.helpers.paths import ROOT
from tests.identify import test_segmenter


def scene(name):
  return next(one for one in scenes.SCENES if one.name == name)


@pytest.fixture(scope="module")
def alone(tmp_path_factory):
  """A video of one person, and the truth about it."""
  path = tmp_path_factory.mktemp("videos") / "alone.avi"
  return path, scenes.write_video(scene("alone-right"), path)


@pytest.fixture(scope="module")
def found(alone):
  return pipeline.extract(alone[0], progress=False)


def test_one_person_is_one_track(alone, found):
  score = scoring.score(alone[1], found.tracks)
  assert (score.found, score.broken, score.swapped, score.false) == (1, 0, 0, 0)
  assert score.mean("box_iou") > 0.9
  assert score.mean("silhouette_iou") > 0.83
  (track,) = found.tracks
  assert not track.rejected and track.frames_used > 80
  assert track.ended == "left the picture"
  np.testing.assert_allclose(track.times, track.frames / 25)
  assert track.silhouettes.shape == (len(track), 64, 44)
  # In the beginning and at the end the person is cut off.
  assert "border" in track.reasons[0] and "border" in track.reasons[-1]
  assert sum(track.counted().values()) == len(track) - track.frames_used


def test_the_report_counts_everything(found):
  report = "\n".join(found.lines())
  assert found.frames == 200 and found.warnings == []
  assert "200 frames of 640 x 480" in report
  assert "touches the border" in report
  assert set(found.seconds) == set(pipeline.STAGES)
  assert 0 < sum(found.seconds.values()) <= found.wall


def test_the_same_video_gives_the_same_tracks(alone, found, tmp_path):
  again = pipeline.silhouettes_of(alone[0], progress=False)
  for one, other in zip(again, found.tracks, strict=True):
    np.testing.assert_array_equal(one.silhouettes, other.silhouettes)
    np.testing.assert_array_equal(one.boxes, other.boxes)
  silhouettes.save(again, tmp_path / "tracks")
  (loaded,) = silhouettes.load(tmp_path / "tracks")
  np.testing.assert_array_equal(loaded.used, found.tracks[0].used)


def boxes_file(path, truths):
  rows = [
    f"{truth.frame},{seen.number + 5},{','.join(map(str, seen.box))}"
    for truth in truths
    for seen in truth.people
  ]
  path.write_text("\n".join(rows) + "\n")
  return path


def test_boxes_of_the_user(alone, found, tmp_path):
  path = boxes_file(tmp_path / "boxes.csv", alone[1])
  result = pipeline.extract(alone[0], boxes=path, progress=False)
  (track,) = result.tracks
  assert track.id == 5
  score = scoring.score(alone[1], result.tracks)
  assert score.mean("box_iou") == 1
  assert score.mean("silhouette_iou") > 0.83


def test_a_segmenter_of_the_user(alone, tmp_path):
  """The person of this scene wears red; the network knows nothing else."""
  network = test_segmenter.network(tmp_path / "red.onnx", (1, 3, 192, 192))
  result = pipeline.extract(alone[0], segmenter=network, progress=False)
  (track,) = result.tracks
  assert track.silhouettes[track.good].any(axis=(1, 2)).all()
  with pytest.raises(UserError, match="3 channels"):
    pipeline.extract(
      alone[0],
      segmenter=test_segmenter.network(tmp_path / "grey.onnx", (1, 1, 64, 44)),
    )


def test_boxes_and_a_segmenter_let_the_camera_move(alone, tmp_path):
  network = test_segmenter.network(tmp_path / "red.onnx", (1, 3, 96, 96))
  path = boxes_file(tmp_path / "boxes.csv", alone[1])
  result = pipeline.extract(
    alone[0], boxes=path, segmenter=network, progress=False
  )
  assert result.seconds["background"] < 0.1 and len(result.tracks) == 1


def write(path, pictures):
  height, width = pictures[0].shape[:2]
  writer = cv2.VideoWriter(
    str(path), cv2.VideoWriter.fourcc(*"MJPG"), 25, (width, height)
  )
  for picture in pictures:
    writer.write(picture)
  writer.release()
  return path


def test_no_people_and_small_people(tmp_path):
  rng = np.random.default_rng(0)
  place = cv2.GaussianBlur(rng.normal(120, 90, (240, 320, 3)), (0, 0), 2)
  pictures = [
    np.clip(place + rng.normal(0, 3, place.shape), 0, 255).astype(np.uint8)
    for _ in range(50)
  ]
  empty = pipeline.extract(write(tmp_path / "a.avi", pictures), progress=False)
  assert empty.tracks == [] and empty.short == {} and empty.warnings == []
  for i, picture in enumerate(pictures):
    picture[100:140, 40 + 4 * i : 52 + 4 * i] = (30, 30, 200)
  small = pipeline.extract(write(tmp_path / "b.avi", pictures), progress=False)
  (track,) = small.tracks
  assert track.frames_used == 0 and "0 good frames" in track.rejected
  assert list(track.counted()) == ["less than 64 pixels high"]


def test_a_moving_camera_is_told(tmp_path):
  rng = np.random.default_rng(0)
  place = cv2.GaussianBlur(rng.normal(120, 90, (240, 640, 3)), (0, 0), 2)
  place = np.clip(place, 0, 255).astype(np.uint8)
  pictures = [place[:, 4 * i : 4 * i + 320] for i in range(60)]
  result = pipeline.extract(write(tmp_path / "a.avi", pictures), progress=False)
  (said,) = result.warnings
  assert "camera seems to move" in said


def test_an_error_ends_the_threads(tmp_path):
  for i in range(30):
    cv2.imwrite(str(tmp_path / f"{i}.png"), np.full((48, 64, 3), i, np.uint8))
  (tmp_path / "25.png").write_bytes(b"")
  with pytest.raises(UserError, match=r"25.png is damaged"):
    pipeline.extract(tmp_path, progress=False)


def test_neither_jax_nor_tensorflow_is_needed(alone, tmp_path):
  """Their import fails here, as where they are not installed."""
  network = test_segmenter.network(tmp_path / "red.onnx", (1, 3, 96, 96))
  boxes = boxes_file(tmp_path / "boxes.csv", alone[1])
  code = """
import json, sys

class Refusing:
  def find_spec(self, name, path=None, target=None):
    if name.partition(".")[0] in {"jax", "jaxlib", "flax", "tensorflow"}:
      raise ImportError(f"{name} is not installed")

sys.meta_path.insert(0, Refusing())
from gaitkd_jax.identify import pipeline, silhouettes
tracks = pipeline.silhouettes_of(sys.argv[1], boxes=sys.argv[2],
  segmenter=sys.argv[3], progress=False)
tracks += pipeline.silhouettes_of(sys.argv[1], progress=False)
silhouettes.save(tracks, sys.argv[4])
for path in __import__("pathlib").Path(sys.argv[4]).rglob("track.json"):
  path.unlink()
print(json.dumps([len(track) for track in silhouettes.load(sys.argv[4])]))
"""
  arguments = [alone[0], boxes, network, tmp_path / "tracks"]
  done = subprocess.run(
    [sys.executable, "-c", code, *map(str, arguments)],
    cwd=ROOT,
    capture_output=True,
    text=True,
  )
  assert done.returncode == 0, done.stderr
  assert len(json.loads(done.stdout)) == 2


@pytest.mark.slow
@pytest.mark.parametrize("name", ["bag", "stops", "two-cross", "three"])
def test_scenes(name, tmp_path):
  # scripts/bench_identify.py looks at all of them.
  (scene,) = (scene for scene in scenes.SCENES if scene.name == name)
  truths = scenes.write_video(scene, tmp_path / "scene.avi")
  result = pipeline.extract(tmp_path / "scene.avi", progress=False)
  score = scoring.score(truths, result.tracks)
  assert score.swapped == score.false == 0
  assert score.found >= len(score.people) - 1
  assert result.warnings == []
