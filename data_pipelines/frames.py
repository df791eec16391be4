"""Reads the frames of one sequence, from PNG files or from pickles."""

from collections.abc import Callable
from collections.abc import Sequence
import os
import re
import struct
import zlib

import cv2
import numpy as np

from data_pipelines import pickles
from data_pipelines import source as source_lib
from data_pipelines import tree
from gaitkd_jax.errors import UserError

_SIGNATURE = b"\x89PNG\r\n\x1a\n"
# OU-MVLP's frames are 1280 x 980. A far larger one would only fill the memory.
_MOST_PIXELS = 4096 * 4096
# Sizes of frames that are pre-treated; see `pickles.as_silhouettes`.
_NORMALISED = ((64, 64), (64, 44))


class EmptySequenceError(Exception):
  """A sequence cannot be used although nothing is damaged; says why."""


def _damage(data: bytes) -> str:
  """Says what is wrong with a PNG file; "" if nothing is.

  For some damaged files OpenCV returns half a frame, for others it prints
  several lines. So the chunks and their checksums are checked before.
  """
  if not data.startswith(_SIGNATURE):
    return "is not a PNG file" if data else "is empty"
  view = memoryview(data)
  at = len(_SIGNATURE)
  while True:
    if len(data) < at + 12:
      return "is cut short"
    length, kind = struct.unpack_from(">I4s", data, at)
    end = at + 12 + length
    if len(data) < end:
      return "is cut short"
    (checksum,) = struct.unpack_from(">I", data, end - 4)
    if zlib.crc32(view[at + 4 : end - 4]) != checksum:
      return "is damaged"
    if at == len(_SIGNATURE):
      if kind != b"IHDR" or length != 13:
        return "is damaged"
      width, height = struct.unpack_from(">II", data, at + 8)
      if width * height > _MOST_PIXELS:
        return f"is {width} x {height} pixels, too large for a silhouette"
    if kind == b"IEND":
      return ""
    at = end


def read_png(path: str | os.PathLike[str]) -> np.ndarray:
  """Reads one frame as grey values.

  Args:
    path: a PNG file of any colour type.

  Returns:
    uint8 [h, w].

  Raises:
    UserError: the file cannot be read or is damaged.
  """
  try:
    with open(path, "rb") as file:
      data = file.read()
  except OSError as error:
    raise UserError(
      f"{path}: cannot be read ({error.strerror}); repair or delete it."
    ) from error
  damage = _damage(data)
  if not damage:
    frame = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_GRAYSCALE)
    if frame is not None:
      return frame
    damage = "is damaged"
  raise UserError(
    f"{path}: {damage}; copy the file again, or delete it to leave this frame "
    "out."
  )


def _read_pngs(
  paths: Sequence[str], pretreat: Callable[[np.ndarray], np.ndarray | None]
) -> np.ndarray:
  """Pre-treats raw frames; takes normalised ones as they are.

  Pre-treating a second time would shift half of the frames by a column or more,
  so that they would differ from those in OpenGait's pickles.

  Returns:
    uint8 [s, 64, 64]; frames that hold no person are black.
  """
  frames = np.zeros((len(paths), 64, 64), np.uint8)
  for path, frame in zip(paths, frames, strict=True):
    raw = read_png(path)
    if raw.shape in _NORMALISED:
      frame[:] = pickles.as_silhouettes(raw[None], path)[0]
    elif (cut := pretreat(raw)) is not None:
      frame[:] = cut
  return frames


def _says(name: str, word: str) -> bool:
  return word in re.sub("[^a-z]", "", name.lower())


def _wanted(
  pickled: Sequence[os.DirEntry],
  folder: tree.SequenceFolder,
  modality: str,
  wanted: str,
) -> str:
  """Returns the path of the pickle that the user chose for a modality."""
  if wanted.isdecimal():
    fitting = pickled[int(wanted) : int(wanted) + 1]
  else:
    fitting = [file for file in pickled if wanted in file.name]
  if len(fitting) != 1:
    raise UserError(
      f"{folder.path}: {modality}={wanted} of data.pickles fits {len(fitting)} "
      f"of {len(pickled)} pickles; give the index (from 0, by name) or a part "
      "of the name of one."
    )
  return fitting[0].path


def parse_choice(text: str) -> tuple[tuple[str, str], ...]:
  """Parses `data.pickles`, such as "silhouettes=6,heatmaps=heatmap".

  Returns:
    Pairs of a modality and of an index or a part of a name.

  Raises:
    UserError: the text is not of this form.
  """
  pairs = [item.partition("=") for item in text.split(",") if item]
  for modality, _, wanted in pairs:
    if modality not in ("silhouettes", "heatmaps") or not wanted:
      raise UserError(
        f"data.pickles is {text!r}; give silhouettes=<index or part of the "
        "name>, and heatmaps=<...> after a comma if they are wanted."
      )
  return tuple((modality, wanted) for modality, _, wanted in pairs)


def _choose(
  pickled: Sequence[os.DirEntry],
  folder: tree.SequenceFolder,
  source: source_lib.Source,
  modalities: Sequence[str],
) -> dict[str, str]:
  """Returns the paths of the pickles to read; see `read_sequence`."""
  found = {}
  named = {
    word: [file for file in pickled if _says(file.name, word)]
    for word in ("heatmap", "sil")
  }
  if "heatmaps" in modalities and len(named["heatmap"]) == 1:
    found["heatmaps"] = named["heatmap"][0].path
  for modality, wanted in source.pickles:
    if modality in modalities:
      found[modality] = _wanted(pickled, folder, modality, wanted)
  named_as_view = [f for f in pickled if f.name == f"{folder.view}.pkl"]
  pickled = [file for file in pickled if file not in named["heatmap"]]
  if "silhouettes" in found:
    pass
  elif named_as_view:
    found["silhouettes"] = named_as_view[0].path
  elif source.pickle_of and len(pickled) == source.pickle_of[1]:
    found["silhouettes"] = pickled[source.pickle_of[0]].path
  elif len(named["sil"]) == 1:
    found["silhouettes"] = named["sil"][0].path
  elif len(pickled) == 1:
    found["silhouettes"] = pickled[0].path
  elif (
    len(pickled) == 2 and "heatmaps" in modalities and "heatmaps" not in found
  ):
    # The order in which OpenGait's script links both into a folder.
    found["heatmaps"], found["silhouettes"] = (file.path for file in pickled)
  elif len(pickled) > 1:
    names = ", ".join(file.name for file in pickled)
    raise UserError(
      f"{folder.path}: holds {len(pickled)} pickles ({names}); keep one, or "
      f"name it {folder.view}.pkl."
    )
  return found


def read_sequence(
  folder: tree.SequenceFolder,
  source: source_lib.Source,
  modalities: Sequence[str] = ("silhouettes",),
) -> dict[str, np.ndarray]:
  """Reads one sequence.

  If a folder holds a pickle and PNG files, the pickle is read, because it was
  made from them. Black frames hold no person and are dropped from all
  modalities.

  If there are several pickles, `data.pickles` says which to read. Otherwise the
  heat maps are in the one whose name contains "heatmap". The silhouettes are in
  the one named `<view>.pkl`, else in the one at the place that the data set
  prescribes (`Source.pickle_of`), else in the one whose name contains "sil". If
  both are wanted and there are two pickles whose names say nothing, the heat
  maps come first.

  Args:
    folder: the sequence's folder, with PNG files (raw ones are pre-treated,
      those of 64 x 64 or 64 x 44 pixels are taken as they are) or pickles.
    source: the data set.
    modalities: "silhouettes", and "heatmaps" if they are wanted.

  Returns:
    The modalities by name: silhouettes uint8 [s, 64, 64] and heat maps uint8
    [s, 2, 64, 64], s > 0.

  Raises:
    EmptySequenceError: there is no usable frame, or no heat maps of the frames.
    UserError: a file is damaged or refused, or it is unclear which to read.
  """
  try:
    files = tree.sequence_files(folder.path)
  except OSError as error:
    raise UserError(
      f"{folder.path}: cannot be read ({error.strerror}); repair or delete it."
    ) from error
  if not files:
    raise EmptySequenceError("no PNG file and no pickle")
  pickled = [file for file in files if file.name.lower().endswith(".pkl")]
  pngs = [file.path for file in files if file not in pickled]
  found = _choose(pickled, folder, source, modalities)
  if "silhouettes" in found:
    frames = pickles.read_silhouettes(found["silhouettes"])
  else:
    frames = _read_pngs(pngs, source.pretreat)
  sequence = {"silhouettes": frames}
  if "heatmaps" in modalities:
    if "heatmaps" not in found:
      raise EmptySequenceError("no pickle of heat maps")
    sequence["heatmaps"] = pickles.read_heatmaps(found["heatmaps"])
    if (count := len(sequence["heatmaps"])) != len(frames):
      raise EmptySequenceError(
        f"{count} heat maps do not fit {len(frames)} silhouettes"
      )
  usable = frames.any(axis=(1, 2))
  if not usable.any():
    raise EmptySequenceError(f"none of {len(frames)} frames is usable")
  return {name: values[usable] for name, values in sequence.items()}
