"""Silhouettes of tracks: cut from masks, and kept in a folder.

A folder of tracks holds one folder a track, `track_0001` and so on: a PNG file
of 64 x 44 pixels for every good frame, named after its number, and `track.json`,
which names all frames with their boxes, and why the others are not good; those
are in `rejected.npz`. So every folder of a track is also a folder of
silhouettes, as anything else that reads these expects.
"""

from collections.abc import Sequence
import json
import os
import pathlib
import shutil

import numpy as np

from gaitkd_jax.errors import UserError
from gaitkd_jax.identify.track import HEIGHT
from gaitkd_jax.identify.track import WIDTH
from gaitkd_jax.identify.track import Track

FORMAT = 1
_TRACK, _REJECTED = "track.json", "rejected.npz"


def cut(mask: np.ndarray) -> np.ndarray | None:
  """Cuts, scales and centres one person as OpenGait does.

  Args:
    mask: uint8 [h, w], 0 or 255: one person, with or without space around.

  Returns:
    uint8 [64, 44], or None if there are too few white pixels.
  """
  from data_pipelines import pretreatment

  frame = pretreatment.pretreat_frame(mask)
  if frame is None:
    return None
  side = (frame.shape[1] - WIDTH) // 2
  return frame[:, side : side + WIDTH]


def save(tracks: Sequence[Track], folder: str | os.PathLike[str]) -> None:
  """Writes tracks into a new folder: all of them, or nothing.

  Args:
    tracks: with different ids.
    folder: is replaced, if it holds tracks.

  Raises:
    UserError: something else is in the folder, or the disk refuses.
  """
  folder = pathlib.Path(folder)
  others = folder.is_dir() and any(
    not (path / _TRACK).is_file() for path in folder.iterdir()
  )
  if others or (folder.exists() and not folder.is_dir()):
    raise UserError(
      f"{folder} holds other files; give a new folder for the silhouettes"
    )
  unfinished = folder.with_name(f"{folder.name}.unfinished")
  try:
    shutil.rmtree(unfinished, ignore_errors=True)
    unfinished.mkdir(parents=True)
    for track in tracks:
      _save(track, unfinished / f"track_{track.id:04d}")
    if folder.is_dir():
      shutil.rmtree(folder)
    unfinished.rename(folder)
  except OSError as error:
    raise UserError(
      f"{folder} cannot be written ({error.strerror or error}); make room, or "
      "give another folder"
    ) from error
  finally:
    shutil.rmtree(unfinished, ignore_errors=True)


def _save(track: Track, folder: pathlib.Path) -> None:
  import cv2

  folder.mkdir()
  for frame, silhouette, good in zip(
    track.frames, track.silhouettes, track.good, strict=True
  ):
    if good:
      _, data = cv2.imencode(".png", silhouette)
      (folder / f"{frame:06d}.png").write_bytes(data.tobytes())
  np.savez_compressed(
    folder / _REJECTED, silhouettes=track.silhouettes[~track.good]
  )
  content = {"format": FORMAT, **track.to_json()}
  (folder / _TRACK).write_text(json.dumps(content, indent=1) + "\n")


def load(folder: str | os.PathLike[str]) -> list[Track]:
  """Reads what `save` wrote, or any folder of silhouettes.

  Args:
    folder: of tracks; or with PNG or JPEG files or a pickle, in it or in
      folders below it: each of these is a track then, whose boxes are zero and
      whose times are those of 25 frames a second. They are mended and cut as
      those of a data set.

  Returns:
    The tracks by id.

  Raises:
    UserError: there is none, or files are damaged; all of those are named.
  """
  folder = pathlib.Path(folder)
  if not folder.is_dir():
    raise UserError(f"{folder} is no folder of silhouettes; check the path")
  found = _tracks_in(folder)
  if found:
    tracks = [_load(path) for path in found]
  else:
    tracks = _load_others(folder)
  return sorted(tracks, key=lambda track: track.id)


def _tracks_in(folder: pathlib.Path) -> list[pathlib.Path]:
  """The folders of tracks in a folder, or the folder itself."""
  if (folder / _TRACK).is_file():
    return [folder]
  return sorted(path.parent for path in folder.glob(f"*/{_TRACK}"))


def _load(folder: pathlib.Path) -> Track:
  from data_pipelines import images

  path = folder / _TRACK
  try:
    content = json.loads(path.read_text())
    rows = content["frames"]
    silhouettes = np.zeros((len(rows), HEIGHT, WIDTH), np.uint8)
    track = Track.from_json(content, silhouettes)
    with np.load(folder / _REJECTED, allow_pickle=False) as file:
      silhouettes[~track.good] = file["silhouettes"]
    for i in np.flatnonzero(track.good):
      silhouettes[i] = images.read(folder / f"{track.frames[i]:06d}.png")
  except UserError:
    raise
  except Exception as error:
    # What zip, JSON and numpy raise of damaged files is a long list.
    raise UserError(
      f"{folder} is damaged ({type(error).__name__}: {str(error)[:80]}); make "
      f"the silhouettes anew, or delete {_TRACK} to read the PNG files alone"
    ) from error
  return track


def _load_others(folder: pathlib.Path) -> list[Track]:
  from data_pipelines import frames as frames_lib
  from data_pipelines import partitions
  from data_pipelines import source as source_lib
  from data_pipelines import tree

  source = source_lib.Source("silhouettes", (), partitions.Partition((), ()))
  tracks, left_out = [], []
  for path, _, _ in sorted(
    os.walk(folder), key=lambda e: tree.natural_key(e[0])
  ):
    if not tree.sequence_files(path):
      continue
    name = pathlib.Path(path).name
    try:
      reading = frames_lib.read_sequence(
        tree.SequenceFolder("", "", name, path), source
      )
    except frames_lib.EmptySequenceError as reason:
      left_out.append(f"{path}: {reason}")
      continue
    side = (64 - WIDTH) // 2
    found = reading.arrays["silhouettes"][:, :, side : side + WIDTH]
    count = len(found)
    tracks.append(
      Track(
        id=len(tracks) + 1,
        frames=np.arange(count),
        times=np.arange(count) / 25,
        boxes=np.zeros((count, 4), np.float32),
        silhouettes=np.ascontiguousarray(found),
        good=np.ones(count, bool),
        reasons=[""] * count,
        ended=f"read from {path}",
      )
    )
  if not tracks:
    why = left_out[0] if left_out else "no PNG or JPEG file and no pickle"
    raise UserError(
      f"{folder} holds no sequence of silhouettes ({why}); give white "
      "silhouettes on black"
    )
  return tracks
