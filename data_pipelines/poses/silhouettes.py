"""The silhouettes of a sequence of poses, frame by frame.

Pickles hold no numbers of frames, so they need as many frames as the poses.
Images are numbered by their names, and so are most poses: then a frame of
both is one whose number is in both, and the others are left out. Numbers are
taken at their word, except that two runs of one length that begin elsewhere
(OpenPose counts from 0, ffmpeg from 1) are the same frames.
"""

from collections.abc import Sequence
import dataclasses
import pathlib

import numpy as np

from data_pipelines import frames as frames_lib
from data_pipelines import images as images_lib
from data_pipelines import pickles
from data_pipelines import plausibility
from data_pipelines import pretreatment
from data_pipelines import tree
from data_pipelines.poses import arrays
from data_pipelines.poses import sequence as sequence_lib
from gaitkd_jax.errors import UserError


@dataclasses.dataclass(frozen=True)
class Pairing:
  """Which frames are in both.

  Attributes:
    poses: positions among the frames of the poses.
    silhouettes: positions of the same frames among the silhouettes.
  """

  poses: tuple[int, ...]
  silhouettes: tuple[int, ...]


@dataclasses.dataclass(frozen=True)
class Silhouettes:
  """Silhouettes on the disk.

  Attributes:
    pickle: the file, or None.
    images: the files of the frames, if there is no pickle.
    count: of the frames.
  """

  pickle: pathlib.Path | None
  images: tuple[pathlib.Path, ...]
  count: int

  @property
  def numbers(self) -> tuple[int, ...]:
    """Those of the frames; empty if they are not known."""
    return sequence_lib.frame_numbers([path.name for path in self.images])


def find(
  root: pathlib.Path, sequence: sequence_lib.PoseSequence, wanted: str
) -> Silhouettes:
  """Finds the silhouettes of a sequence.

  Args:
    root: of OpenGait's tree, or of the publisher's.
    sequence: the poses.
    wanted: which of several pickles, see `arrays.choose`.

  Raises:
    UserError: there are none, it is not clear which, or a file is damaged.
  """
  folder = root / sequence.folder
  if sequence.silhouettes and not folder.is_dir():
    published = root / sequence.silhouettes
    folder = published if published.is_dir() else folder
  if not sequence_lib.files(folder, ".pkl"):
    frames = sequence_lib.files(folder, *images_lib.SUFFIXES)
    frames = [path for path in frames if tree.is_frame(path.name)]
    if frames:
      return Silhouettes(None, tuple(frames), len(frames))
  path = arrays.choose(
    folder, (".pkl",), "silhouettes", wanted, arrays.SILHOUETTES
  )
  try:
    return Silhouettes(path, (), len(pickles.read_silhouettes(path)))
  except plausibility.ImplausibleError as error:
    raise UserError(f"{path}: {error}") from None


def pair(poses: sequence_lib.Poses, silhouettes: Silhouettes) -> Pairing:
  """Finds out which frames of poses and silhouettes are the same.

  Args:
    poses: those of a sequence.
    silhouettes: likewise.

  Raises:
    UserError: the counts differ and numbers do not help.
  """
  ours, theirs = poses.numbers, silhouettes.numbers
  count = len(poses.key_points)
  place = silhouettes.pickle or silhouettes.images[0].parent
  in_order = tuple(range(count))
  if ours and theirs:
    offsets = {a - b for a, b in zip(ours, theirs, strict=False)}
    if len(ours) == len(theirs) and len(offsets) == 1:
      return Pairing(in_order, in_order)
    at = {number: i for i, number in enumerate(theirs)}
    both = [(i, at[number]) for i, number in enumerate(ours) if number in at]
    if both:
      return Pairing(*map(tuple, zip(*both, strict=True)))
    raise UserError(
      f"{poses.source}: frames {ours[0]} to {ours[-1]} of key points, but"
      f" {theirs[0]} to {theirs[-1]} in {place}; both need the same frames"
    )
  if count != silhouettes.count:
    raise UserError(
      f"{poses.source}: {count} frames of key points, but"
      f" {silhouettes.count} in {place}; both need the same frames"
      + (", or images, whose names number them" if ours else "")
    )
  return Pairing(in_order, in_order)


def read_images(paths: Sequence[pathlib.Path]) -> np.ndarray:
  """Reads frames and pre-treats raw ones, as OpenGait's `pretreatment.py` does.

  Args:
    paths: PNG or JPEG files; see `frames.read_images`.

  Returns:
    uint8 [t, 64, 64]; frames that hold no person are black.

  Raises:
    UserError: files are damaged, or are no silhouettes.
  """
  try:
    return frames_lib.read_images(paths, pretreatment.pretreat_frame)[0]
  except plausibility.ImplausibleError as error:
    raise UserError(f"{paths[0].parent}: {error}") from None
