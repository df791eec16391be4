"""JSON files of pose estimators, and of OUMVLP-Pose.

- OpenPose writes a file a frame, `<video>_000000000012_keypoints.json`, with
  `people`, each with `pose_keypoints_2d` (x, y, confidence of 18 or 25 joints):
  `doc/02_output.md` of
  https://github.com/CMU-Perceptual-Computing-Lab/openpose. AlphaPose writes the
  same with `--format open`.
- OUMVLP-Pose has such files of 18 joints, of OpenPose and of AlphaPose:
  `<alphapose or openpose>/00001/<view>_<sequence>/0021_keypoints.json`, as
  `GaitGraph/datasets/oumvlp_pose.py` of https://github.com/tteepe/GaitGraph2
  and `misc/pretreatment_oumvlp_pose.py` of
  https://github.com/BNU-IVC/FastPoseGait read them. Names differ in subject
  00001; the last digits are the frame's in both.
- AlphaPose writes one file for all frames, `alphapose-results.json`, a list as
  of COCO's results: `image_id` (a file's name, or a number), `keypoints` and
  `score`; `doc/output.md` of its branch `pytorch`, which warns that confidences
  reach 6: what is above 1 is drawn as 1. COCO's annotations (`images` and
  `annotations`) are read likewise, where a joint's visibility counts as its
  confidence: 0 is unknown, 1 and 2 are known.

Where several people are in a frame, one is followed; see `follow`.
"""

import collections
import json
import pathlib
import re
from typing import Any

import numpy as np

from data_pipelines import heatmaps
from data_pipelines.poses import follow
from data_pipelines.poses import sequence as sequence_lib
from gaitkd_jax.errors import UserError

# How many joints a person has: which of them are COCO's 17, in its order.
_FIRST_17 = tuple(range(17))
TO_COCO17 = {
  17: _FIRST_17,  # COCO
  18: heatmaps.FROM_18,  # OpenPose's COCO model, and AlphaPose's for OUMVLP
  25: (0, 16, 15, 18, 17, 5, 2, 6, 3, 7, 4, 12, 9, 13, 10, 14, 11),  # BODY_25
  26: _FIRST_17,  # Halpe's body
  133: _FIRST_17,  # COCO-WholeBody
  136: _FIRST_17,  # Halpe
}
_VIEW = re.compile(r"(\d{3})_(\d{2})", re.ASCII)


def load(path: pathlib.Path) -> Any:
  """Parses a JSON file.

  Raises:
    UserError: it cannot be read, or is no JSON.
  """
  try:
    return json.loads(sequence_lib.read_text(path))
  except (RecursionError, json.JSONDecodeError) as error:
    reason = " ".join(str(error).split())
    raise UserError(
      f"{path}: is not a whole JSON file ({reason[:200]}); copy it again"
    ) from None
  except UserError:
    raise
  except ValueError as error:  # a number of thousands of digits
    raise UserError(
      f"{path}: cannot be read ({error}); copy it again"
    ) from None


def as_person(values: Any, path: pathlib.Path) -> np.ndarray:
  """Brings the joints of one person to COCO's.

  Args:
    values: a list x1, y1, c1, x2, ... of as many joints as `TO_COCO17` knows.
    path: where they come from, for the error.

  Returns:
    float64 [17, 3].

  Raises:
    UserError: the list has another length, or holds other things.
  """
  try:
    array = np.array(values if isinstance(values, list) else [], np.float64)
  except (OverflowError, TypeError, ValueError):
    array = np.zeros((0, 0))
  if array.ndim != 1 or array.size / 3 not in TO_COCO17:
    found = f"{len(values)} values" if isinstance(values, list) else "no list"
    raise UserError(
      f"{path}: a person has {found} for key points; x, y and confidence of 17"
      " (COCO), 18 or 25 (OpenPose) joints are expected"
    )
  return array.reshape(-1, 3)[list(TO_COCO17[array.size // 3])]


def people_of(content: Any, path: pathlib.Path) -> np.ndarray:
  """The people of one of OpenPose's frames.

  Args:
    content: what the file holds.
    path: the file, for the error.

  Returns:
    float64 [people, 17, 3].

  Raises:
    UserError: it is no such file.
  """
  people = content.get("people") if isinstance(content, dict) else None
  if not isinstance(people, list) or not all(
    isinstance(person, dict) for person in people
  ):
    raise UserError(
      f"{path}: has no list of `people`; a frame of OpenPose has one"
    )
  found = [as_person(p.get("pose_keypoints_2d"), path) for p in people]
  return np.array(found).reshape(-1, 17, 3)


def _image_number(image: Any, path: pathlib.Path) -> int:
  if isinstance(image, int) and not isinstance(image, bool):
    return image
  number = sequence_lib.frame_number(image) if isinstance(image, str) else None
  if number is None:
    raise UserError(
      f"{path}: `image_id` {str(image)[:100]!r} has no number; frames are told"
      " apart by the last digits of their image's name"
    )
  return number


def _by_image(content: Any, path: pathlib.Path) -> dict[Any, list[np.ndarray]]:
  """The people of each image that a file lists; an image may have nobody."""
  found = collections.defaultdict(list)
  names = {}
  rows = content
  if isinstance(content, dict):
    rows = content.get("annotations")
    images = content.get("images", [])
    for image in images if isinstance(images, list) else [None]:
      key = image.get("id") if isinstance(image, dict) else None
      name = image.get("file_name", key) if isinstance(key, int) else None
      if not isinstance(name, int | str):
        raise UserError(
          f"{path}: an entry of `images` has no `id` and `file_name`"
        )
      names[key], found[name] = name, []
  if not isinstance(rows, list) or not all(
    isinstance(row, dict) and isinstance(row.get("image_id"), int | str)
    for row in rows
  ):
    raise UserError(
      f"{path}: is no list of people with `image_id` and `keypoints`, as"
      " AlphaPose and COCO write it"
    )
  for row in rows:
    if row.get("category_id", 1) == 1:  # a person
      image = names.get(row["image_id"], row["image_id"])
      found[image].append(as_person(row.get("keypoints"), path))
  return found


def read_list(path: pathlib.Path) -> sequence_lib.Poses:
  """Reads a file that lists the people of all frames.

  Args:
    path: AlphaPose's or COCO's results, or COCO's annotations.

  Returns:
    The poses; frames that are left out show no person.

  Raises:
    UserError: it is damaged or something else, or two images have one number.
  """
  images = _by_image(load(path), path)
  frames, named = {}, {}
  for image, people in images.items():
    number = _image_number(image, path)
    if number in frames:
      raise UserError(
        f"{path}: images {named[number]!r} and {image!r} have the same number"
        f" {number}; give one file a sequence"
      )
    frames[number], named[number] = people, image
  return follow.fill(frames, str(path))


def _read_frames(
  sequence: sequence_lib.PoseSequence, _: str
) -> sequence_lib.Poses:
  paths = sequence_lib.files(sequence.path, ".json")
  if not paths:
    raise UserError(f"{sequence.path}: holds no *.json")
  people = [people_of(load(path), path) for path in paths]
  return sequence_lib.Poses(
    follow.one_person(people),
    str(sequence.path),
    sequence_lib.frame_numbers([path.name for path in paths]),
  )


def _read_results(
  sequence: sequence_lib.PoseSequence, _: str
) -> sequence_lib.Poses:
  return read_list(_results(sequence.path))


def _results(folder: pathlib.Path) -> pathlib.Path:
  """The one file of a folder, or AlphaPose's among several."""
  paths = sequence_lib.files(folder, ".json")
  own = [path for path in paths if path.name == "alphapose-results.json"]
  if len(own or paths) != 1:
    raise UserError(
      f"{folder}: {len(paths)} files *.json where one is expected; keep one, or"
      " name it alphapose-results.json"
    )
  return (own or paths)[0]


def _some_folder(root: pathlib.Path) -> pathlib.Path | None:
  """The first folder <id>/<condition>/<view> that holds JSON files."""
  for folder in sequence_lib.folders(root, 3):
    if sequence_lib.files(folder, ".json"):
      # OUMVLP-Pose's folder above would be meant otherwise.
      return None if _VIEW.fullmatch(folder.name) else folder
  return None


def _fits_results(root: pathlib.Path) -> bool:
  folder = _some_folder(root)
  if folder is None:
    return False
  try:
    content = load(_results(folder))
  except UserError:
    return False
  return isinstance(content, list) or (
    isinstance(content, dict) and "annotations" in content
  )


def _fits_frames(root: pathlib.Path) -> bool:
  return _some_folder(root) is not None and not _fits_results(root)


def _find_oumvlp(root: pathlib.Path) -> list[sequence_lib.PoseSequence]:
  found = []
  for path in sequence_lib.folders(root, 2):
    match = _VIEW.fullmatch(path.name)
    if match and re.fullmatch(r"\d{5}", path.parent.name, re.ASCII):
      subject, (view, condition) = path.parent.name, match.groups()
      silhouettes = f"Silhouette_{view}-{condition}/{subject}"
      found.append(
        sequence_lib.PoseSequence(
          subject, condition, view, path, silhouettes=silhouettes
        )
      )
  return sorted(found, key=lambda s: (s.subject, s.condition, s.view))


def _fits_oumvlp(root: pathlib.Path) -> bool:
  return any(
    _VIEW.fullmatch(path.name) and sequence_lib.files(path, ".json")
    for subject in sequence_lib.subfolders(root)[:20]
    for path in sequence_lib.subfolders(subject)
  )


OUMVLP = sequence_lib.Format(
  "oumvlp",
  "<id>/<view>_<sequence>/*.json",
  _fits_oumvlp,
  _find_oumvlp,
  _read_frames,
)
OPENPOSE = sequence_lib.Format(
  "openpose",
  "<id>/<condition>/<view>/*.json, a file a frame",
  _fits_frames,
  sequence_lib.by_folders,
  _read_frames,
)
COCO = sequence_lib.Format(
  "coco",
  "<id>/<condition>/<view>/alphapose-results.json, or another list",
  _fits_results,
  sequence_lib.by_folders,
  _read_results,
)
