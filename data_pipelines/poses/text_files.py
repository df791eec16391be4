"""Text files of one frame each: Gait3D's and GREW's 2-D poses.

A file is one line of 53 numbers between commas: two that OpenGait leaves out
(they look like the size of the picture), then x, y and confidence of COCO's 17
joints. That is how `datasets/pretreatment_pose.py` of
https://github.com/ShiqiYu/OpenGait and `misc/pretreatment_gait3d_pose.py` and
`misc/pretreatment_grew_pose.py` of https://github.com/BNU-IVC/FastPoseGait read
them; issue 14 of https://github.com/Gait3D/Gait3D-Benchmark shows a file.

- Gait3D: `2D_Poses/0000/camid0_videoid2/seq0/human_crop_f11627.txt`.
- GREW: `train/00001/4XPn5Z28/00001_2d_pose.txt`, `test/gallery/...` likewise,
  `test/probe/01DdvEHX/00001_2d_pose.txt`, beside the PNG files.
"""

import pathlib

import numpy as np

from data_pipelines.poses import sequence as sequence_lib
from gaitkd_jax.errors import UserError

_HEAD = 2
_VALUES = _HEAD + 17 * 3
_GREW = "_2d_pose.txt"


def read_frame(path: pathlib.Path) -> np.ndarray:
  """Reads one frame.

  Args:
    path: the text file.

  Returns:
    float64 [17, 3].

  Raises:
    UserError: it cannot be read, or does not hold 53 numbers.
  """
  parts = sequence_lib.read_text(path).strip().split(",")
  try:
    values = np.array(parts, np.float64)
  except ValueError:
    values = np.zeros(0)
  if len(values) != _VALUES:
    raise UserError(
      f"{path}: {len(parts)} values where {_VALUES} numbers between commas are"
      " expected (2, then x, y, confidence of 17 joints); copy the file again"
    )
  return values[_HEAD:].reshape(17, 3)


def _read(
  sequence: sequence_lib.PoseSequence, suffix: str
) -> sequence_lib.Poses:
  paths = sequence_lib.files(sequence.path, suffix)
  if not paths:
    raise UserError(f"{sequence.path}: holds no *{suffix}")
  names = [path.name.removesuffix(suffix) + ".txt" for path in paths]
  return sequence_lib.Poses(
    np.stack([read_frame(path) for path in paths]),
    str(sequence.path),
    sequence_lib.frame_numbers(names),
  )


def _read_gait3d(
  sequence: sequence_lib.PoseSequence, _: str
) -> sequence_lib.Poses:
  return _read(sequence, ".txt")


def _fits_gait3d(root: pathlib.Path) -> bool:
  """Text files alone; those beside pickles say something else."""
  for folder in sequence_lib.folders(root, 3):
    if found := sequence_lib.files(folder, ".txt", ".pkl", ".npz", ".npy"):
      return all(path.suffix.lower() == ".txt" for path in found)
  return False


def _find_grew(root: pathlib.Path) -> list[sequence_lib.PoseSequence]:
  """Names sequences as OpenGait's rearranged tree does."""
  found = []

  def add(path: pathlib.Path, subject: str, condition: str) -> None:
    place = path.relative_to(root).as_posix()
    found.append(
      sequence_lib.PoseSequence(
        subject, condition, path.name, path, silhouettes=place
      )
    )

  for path in sequence_lib.folders(root / "train", 2):
    add(path, f"{path.parent.name}train", "00")
  for subject in sequence_lib.subfolders(root / "test" / "gallery"):
    for rank, path in enumerate(sequence_lib.subfolders(subject), 1):
      add(path, subject.name, f"{rank:02d}")
  for path in sequence_lib.subfolders(root / "test" / "probe"):
    add(path, "probe", "03")
  return found


def _read_grew(
  sequence: sequence_lib.PoseSequence, _: str
) -> sequence_lib.Poses:
  return _read(sequence, _GREW)


def _fits_grew(root: pathlib.Path) -> bool:
  places = ("train/*/*", "test/gallery/*/*", "test/probe/*")
  return any(
    next(root.glob(f"{place}/*{_GREW}"), None) is not None for place in places
  )


GAIT3D = sequence_lib.Format(
  "gait3d",
  "<id>/<camera and video>/<sequence>/*.txt",
  _fits_gait3d,
  sequence_lib.by_folders,
  _read_gait3d,
)
GREW = sequence_lib.Format(
  "grew",
  "train/<id>/<sequence>/*_2d_pose.txt, and test/",
  _fits_grew,
  _find_grew,
  _read_grew,
)
