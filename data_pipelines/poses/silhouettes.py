"""The silhouettes of a sequence of poses, frame by frame.

Pickles hold no numbers of frames, so they need as many frames as the poses.
PNG files are numbered by their names, and so are most poses: then a frame of
both is one whose number is in both, and the others are left out. Numbers are
taken at their word, except that two runs of one length that begin elsewhere
(OpenPose counts from 0, ffmpeg from 1) are the same frames.
"""

from collections.abc import Sequence
import dataclasses
import pathlib

import numpy as np

from data_pipelines import frames
from data_pipelines import pickles
from data_pipelines import pretreatment
from data_pipelines.poses import arrays
from data_pipelines.poses import sequence as sequence_lib
from gaitkd_jax.errors import UserError

_NORMALISED = ((64, 64), (64, 44))


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
    pngs: the files of the frames, if there is no pickle.
    count: of the frames.
  """

  pickle: pathlib.Path | None
  pngs: tuple[pathlib.Path, ...]
  count: int

  @property
  def numbers(self) -> tuple[int, ...]:
    """Those of the frames; empty if they are not known."""
    return sequence_lib.frame_numbers([path.name for path in self.pngs])


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
  pngs = [
    path
    for path in sequence_lib.files(folder, ".png")
    if not path.name.lower().endswith("gei.png")
  ]
  if pngs and not sequence_lib.files(folder, ".pkl"):
    return Silhouettes(None, tuple(pngs), len(pngs))
  path = arrays.choose(
    folder, (".pkl",), "silhouettes", wanted, arrays.SILHOUETTES
  )
  return Silhouettes(path, (), len(pickles.read_silhouettes(path)))


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
  place = silhouettes.pickle or silhouettes.pngs[0].parent
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
      + (", or PNG files, whose names number them" if ours else "")
    )
  return Pairing(in_order, in_order)


def read_pngs(paths: Sequence[pathlib.Path]) -> np.ndarray:
  """Reads frames and pre-treats raw ones, as OpenGait's `pretreatment.py` does.

  Args:
    paths: PNG files; those of 64 x 64 or 64 x 44 pixels are taken as they are.

  Returns:
    uint8 [t, 64, 64]; frames that hold no person are black.

  Raises:
    UserError: a file is damaged.
  """
  result = np.zeros((len(paths), 64, 64), np.uint8)
  for frame, path in zip(result, paths, strict=True):
    raw = frames.read_png(path)
    if raw.shape in _NORMALISED:
      frame[:] = pickles.as_silhouettes(raw[None], path)[0]
    elif (cut := pretreatment.pretreat_frame(raw)) is not None:
      frame[:] = cut
  return result
