"""JSON of OpenPose, AlphaPose, COCO and OUMVLP-Pose."""

import json

import numpy as np
import pytest

from data_pipelines.poses import json_files
from gaitkd_jax import errors
from tests.helpers import pose_trees
from tests.helpers import stick_figure

WALK = stick_figure.key_points(12).astype(float)
FAR = WALK + [300.0, 0, -0.6]
SEQUENCE = "001/nm-01/090"


def _frames(walk, first=0):
  return {first + i: [person] for i, person in enumerate(walk)}


def _read(form, root):
  (found,) = form.find(root)
  return form.read(found, "")


@pytest.mark.parametrize(
  "names", [pose_trees.COCO, pose_trees.OPENPOSE, pose_trees.BODY_25]
)
def test_openposes_files_are_brought_to_17(names, tmp_path):
  pose_trees.write_openpose(
    tmp_path / SEQUENCE,
    _frames(WALK),
    names,
    "clip_{:012d}_keypoints.json",
  )
  poses = _read(json_files.OPENPOSE, tmp_path)
  np.testing.assert_array_equal(poses.key_points, WALK)
  assert poses.numbers == tuple(range(12))


@pytest.mark.parametrize("more", [9, 116, 119])
def test_whole_bodies_begin_with_cocos_17(more, tmp_path):
  person = json_files.as_person(
    pose_trees.numbers(WALK[0]) + [5.0] * 3 * more, tmp_path
  )
  np.testing.assert_array_equal(person, WALK[0])


@pytest.mark.parametrize(
  "name", ["{:04d}_keypoints.json", "00001-000-00-{:04d}.json"]
)
def test_oumvlp_is_read_under_opengaits_names(name, tmp_path):
  # The first frame is 21, as published; one shows nobody.
  frames = _frames(WALK, 21) | {25: []}
  folder = tmp_path / "00001" / "090_01"
  pose_trees.write_openpose(folder, frames, name=name)
  (tmp_path / "00001" / "notes").mkdir()
  (found,) = json_files.OUMVLP.find(tmp_path)
  assert str(found.folder) == "00001/01/090"
  assert found.silhouettes == "Silhouette_090-01/00001"
  poses = json_files.OUMVLP.read(found, "")
  expected = WALK.copy()
  expected[4] = 0
  np.testing.assert_array_equal(poses.key_points, expected)
  assert poses.numbers == tuple(range(21, 33))


def test_frames_are_in_natural_order(tmp_path):
  pose_trees.write_openpose(tmp_path / SEQUENCE, _frames(WALK), name="f{}.json")
  np.testing.assert_array_equal(
    _read(json_files.OPENPOSE, tmp_path).key_points, WALK
  )


@pytest.mark.parametrize("kind", ["openpose", "alphapose"])
def test_one_of_several_people_is_followed(kind, tmp_path):
  frames = {
    i: [b, a] if i % 3 else [a, b]
    for i, (a, b) in enumerate(zip(WALK, FAR, strict=True))
  }
  if kind == "openpose":
    pose_trees.write_openpose(tmp_path / SEQUENCE, frames)
    poses = _read(json_files.OPENPOSE, tmp_path)
  else:
    path = tmp_path / SEQUENCE / "alphapose-results.json"
    pose_trees.write_alphapose(path, frames)
    poses = _read(json_files.COCO, tmp_path)
  np.testing.assert_array_equal(poses.key_points, WALK)


def test_alphaposes_list_leaves_frames_out(tmp_path):
  path = tmp_path / SEQUENCE / "alphapose-results.json"
  frames = _frames(WALK, 5)
  for number in (8, 9):
    frames[number] = []  # such frames are not in the list
  pose_trees.write_alphapose(path, frames)
  (path.parent / "other.json").write_text("{}")
  poses = _read(json_files.COCO, tmp_path)
  expected = WALK.copy()
  expected[3:5] = 0
  np.testing.assert_array_equal(poses.key_points, expected)
  assert poses.numbers == tuple(range(5, 17))


def test_cocos_annotations_name_their_images(tmp_path):
  path = tmp_path / SEQUENCE / "person_keypoints.json"
  path.parent.mkdir(parents=True)
  visible = WALK.copy()
  visible[..., 2] = 2
  content = {
    "images": [
      {"id": 900 - i, "file_name": f"frame{i}.jpg"} for i in range(12)
    ],
    "annotations": [
      {"image_id": 900 - i, "category_id": category, "keypoints": keys}
      for i, person in enumerate(visible)
      for category, keys in ((2, []), (1, pose_trees.numbers(person)))
      if i != 4
    ],
  }
  path.write_text(json.dumps(content))
  poses = _read(json_files.COCO, tmp_path)
  visible[4] = 0
  np.testing.assert_array_equal(poses.key_points, visible)
  assert poses.numbers == tuple(range(12))


GOOD = pose_trees.numbers(WALK[0])
BAD_FRAMES = [
  ("", "not a whole JSON file"),
  ('{"people": [', "not a whole JSON file"),
  ("[" * 100_000, "not a whole JSON file"),
  ("1" * 5000, "cannot be read"),
  ("[]", "no list of `people`"),
  ("3", "no list of `people`"),
  ('{"people": 3}', "no list of `people`"),
  ('{"people": [3]}', "no list of `people`"),
  ('{"people": [{}]}', "a person has no list for key points"),
  ('{"people": [{"pose_keypoints_2d": [1, 2, 3]}]}', "a person has 3 values"),
  (
    json.dumps({"people": [{"pose_keypoints_2d": ["a"] * 51}]}),
    "a person has 51 values",
  ),
  (
    json.dumps({"people": [{"pose_keypoints_2d": [[1]] * 50 + [1]}]}),
    "a person has 51 values",
  ),
]


@pytest.mark.parametrize(("text", "words"), BAD_FRAMES)
def test_other_frames_are_refused_in_one_line(text, words, tmp_path):
  (tmp_path / SEQUENCE).mkdir(parents=True)
  (tmp_path / SEQUENCE / "f1.json").write_text(text)
  with pytest.raises(errors.UserError) as caught:
    _read(json_files.OPENPOSE, tmp_path)
  message = str(caught.value)
  assert "f1.json" in message and words in message and "\n" not in message


@pytest.mark.parametrize(
  ("content", "words"),
  [
    ([], "holds no frame"),
    ({}, "no list of people"),
    ({"annotations": 3}, "no list of people"),
    ({"images": 3, "annotations": []}, "`images`"),
    ({"images": [{"id": [1]}], "annotations": []}, "`images`"),
    ([3], "no list of people"),
    ([{"keypoints": GOOD}], "no list of people"),
    ([{"image_id": [1], "keypoints": GOOD}], "no list of people"),
    ([{"image_id": "x.jpg", "keypoints": GOOD}], "'x.jpg' has no number"),
    ([{"image_id": "1" * 9999, "keypoints": GOOD}], "has no number"),
    ([{"image_id": 1}], "a person has no list"),
    (
      [{"image_id": f"{d}/1.jpg", "keypoints": GOOD} for d in "ab"],
      "images 'a/1.jpg' and 'b/1.jpg' have the same number 1",
    ),
  ],
)
def test_other_lists_are_refused_in_one_line(content, words, tmp_path):
  path = tmp_path / "results.json"
  path.write_text(json.dumps(content))
  with pytest.raises(errors.UserError) as caught:
    json_files.read_list(path)
  message = str(caught.value)
  assert "results.json" in message and words in message and "\n" not in message


def test_several_lists_are_refused(tmp_path):
  for name in ("a.json", "b.json"):
    pose_trees.write_alphapose(tmp_path / SEQUENCE / name, _frames(WALK))
  with pytest.raises(errors.UserError, match="2 files .* where one"):
    _read(json_files.COCO, tmp_path)
  with pytest.raises(errors.UserError, match="no list of `people`"):
    _read(json_files.OPENPOSE, tmp_path)
