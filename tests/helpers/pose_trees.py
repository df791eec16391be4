"""Walks written as publishers and pose estimators ship poses."""

import csv
import json
import pickle

import cv2
import numpy as np

from tests.helpers import stick_figure

COCO = (
  "nose leye reye lear rear lshoulder rshoulder lelbow relbow lwrist rwrist"
  " lhip rhip lknee rknee lankle rankle"
)
OPENPOSE = (
  "nose neck rshoulder relbow rwrist lshoulder lelbow lwrist rhip rknee rankle"
  " lhip lknee lankle reye leye rear lear"
)
BODY_25 = (
  "nose neck rshoulder relbow rwrist lshoulder lelbow lwrist midhip rhip rknee"
  " rankle lhip lknee lankle reye leye rear lear lbigtoe lsmalltoe lheel"
  " rbigtoe rsmalltoe rheel"
)


def numbers(person, names=COCO):
  """The flat list of a person [17, 3] in other joints; 7 in the additional."""
  values = np.asarray(person, float).tolist()
  joints = dict(zip(COCO.split(), values, strict=True))
  return [v for name in names.split() for v in joints.get(name, [7.0] * 3)]


def write_gait3d(folder, walk, first=11627, name="human_crop_f{}.txt"):
  """Writes a text file a frame; numbers count from `first`."""
  folder.mkdir(parents=True, exist_ok=True)
  for i, person in enumerate(walk):
    values = [311, 438, *numbers(person)]
    path = folder / name.format(first + i)
    path.write_text(",".join(map(repr, values)))


def write_openpose(
  folder, frames, names=OPENPOSE, name="{:04d}_keypoints.json"
):
  """Writes a file a frame.

  Args:
    folder: the new folder.
    frames: the people [people, 17, 3] by the number of the frame.
    names: of the joints.
    name: of a file.
  """
  folder.mkdir(parents=True, exist_ok=True)
  for number, people in frames.items():
    content = {
      "version": 1.3,
      "people": [
        {"person_id": [-1], "pose_keypoints_2d": numbers(person, names)}
        for person in people
      ],
    }
    (folder / name.format(number)).write_text(json.dumps(content))


def write_alphapose(path, frames, image="{:d}.jpg"):
  """Writes the list of all frames; arguments as `write_openpose`."""
  path.parent.mkdir(parents=True, exist_ok=True)
  rows = [
    {
      "image_id": image.format(number),
      "category_id": 1,
      "keypoints": numbers(person),
      "score": 2.5,
      "box": [1.0, 2.0, 3.0, 4.0],
      "idx": [0.0],
    }
    for number, people in frames.items()
    for person in people
  ]
  path.write_text(json.dumps(rows))


def write_gaitgraph(path, rows):
  """Writes a table of (picture, person [17, 3]), as csv.writer does."""
  path.parent.mkdir(parents=True, exist_ok=True)
  with open(path, "w", newline="") as file:
    writer = csv.writer(file)
    heads = [
      f"{name}_{what}" for name in COCO.split() for what in ("x", "y", "conf")
    ]
    writer.writerow(["image_name", *heads])
    for picture, person in rows:
      writer.writerow([picture, *numbers(person)])


def write_sustech1k(folder, walk, silhouettes):
  """Writes the sixteen pickles of a sequence."""
  folder.mkdir(parents=True)
  other = np.zeros((len(walk), 3))
  kinds = (
    ("LiDAR-PCDs", other),
    ("LiDAR-PCDs_depths", other),
    ("LiDAR-PCDs_sils", other),
    ("Camera-Pose", np.asarray(walk, float)),
    ("Camera-Ratios-HW", other),
    ("Camera-RGB_raw", other),
    ("Camera-Sils_aligned", silhouettes),
    ("Camera-Sils_raw", silhouettes),
  )
  for sync in ("", "sync-"):
    for i, (kind, values) in enumerate(kinds):
      name = f"{i + 8 * bool(sync):02d}-{sync}{folder.name}-{kind}.pkl"
      values = values[::3] if sync else values
      (folder / name).write_bytes(pickle.dumps(values))


def write_pngs(folder, walk, first=1, name="{:03d}.png"):
  """Writes normalised silhouettes of a walk; numbers count from `first`."""
  folder.mkdir(parents=True, exist_ok=True)
  for i, frame in enumerate(stick_figure.silhouettes(walk)):
    assert cv2.imwrite(str(folder / name.format(first + i)), frame)
