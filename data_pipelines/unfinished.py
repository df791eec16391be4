"""What a build has read so far, for the build after it if it is interrupted.

A file of a split holds the outcomes of its sequences in their order, one after
another, each with a checksum; an end that was not written whole is not used.
Every build adds a file of its own. They lie beside the prepared data, under the
fingerprint of all that was read: a tree that changes is read anew.
"""

from collections.abc import Iterator
from collections.abc import Sequence
import contextlib
import json
import pathlib
import shutil
import struct
from typing import BinaryIO
import zlib

from absl import logging

from data_pipelines import examples
from data_pipelines import source as source_lib
from data_pipelines import tree

# Bytes of the note, bytes of the frames, and the CRC-32 of both.
_HEAD = struct.Struct(">QQI")


def outcomes(
  folders: Sequence[tree.SequenceFolder],
  source: source_lib.Source,
  modalities: Sequence[str],
  saved: pathlib.Path,
) -> Iterator[examples.Outcome]:
  """Reads sequences, but not those that a build before has read.

  Args:
    folders: the sequences' folders.
    source: the data set.
    modalities: see `frames.read_sequence`.
    saved: the folder that holds what was read, of the same sequences and with
      the same choices.

  Yields:
    What became of each folder, in order.
  """
  done = 0
  for outcome in _load(saved):
    if done < len(folders) and outcome.folder == folders[done]:
      done += 1
      yield outcome
  if done:
    logging.warning(
      "%d of %d sequences were read by a build that was interrupted",
      done,
      len(folders),
    )
  rest = examples.read_ahead(folders[done:], source, modalities)
  file = None
  with contextlib.closing(rest), contextlib.ExitStack() as opened:
    try:
      saved.mkdir(parents=True, exist_ok=True)
      # Unbuffered: nothing is left to be written when the process ends.
      file = opened.enter_context(_new(saved).open("xb", buffering=0))
    except OSError:
      pass  # the prepared data cannot be written either, and say so
    for outcome in rest:
      if file is not None and not outcome.refused:
        file = _add(file, outcome, saved)
      yield outcome


def remove(saved: pathlib.Path) -> None:
  """Deletes what was read."""
  shutil.rmtree(saved, ignore_errors=True)


def _new(saved: pathlib.Path) -> pathlib.Path:
  return saved / f"{len(list(saved.iterdir())):06d}"


def _add(
  file: BinaryIO, outcome: examples.Outcome, saved: pathlib.Path
) -> BinaryIO | None:
  """Writes an outcome; where there is no space, makes some and gives up."""
  example = outcome.example or {}
  values = {k: v for k, v in example.items() if isinstance(v, list)}
  lengths = {k: [len(frame) for frame in v] for k, v in values.items()}
  note = json.dumps({"note": outcome.note(), "lengths": lengths}).encode()
  frames = b"".join(frame for v in values.values() for frame in v)
  checksum = zlib.crc32(frames, zlib.crc32(note))
  head = _HEAD.pack(len(note), len(frames), checksum)
  record = b"".join((head, note, frames))
  try:
    if file.write(record) == len(record):
      return file
  except OSError:
    pass
  logging.warning("%s cannot be written; if stopped, all is read anew", saved)
  remove(saved)
  return None


def _load(saved: pathlib.Path) -> Iterator[examples.Outcome]:
  """Reads what is whole of the files of earlier builds, in order."""
  for path in sorted(saved.glob("*")):
    with path.open("rb") as file:
      while len(head := file.read(_HEAD.size)) == _HEAD.size:
        size, more, checksum = _HEAD.unpack(head)
        note, frames = file.read(size), file.read(more)
        if zlib.crc32(frames, zlib.crc32(note)) != checksum:
          break
        yield _outcome(json.loads(note), frames)


def _outcome(saved: dict, frames: bytes) -> examples.Outcome:
  values, at = {}, 0
  for name, lengths in saved["lengths"].items():
    values[name] = []
    for length in lengths:
      values[name].append(frames[at : at + length])
      at += length
  return examples.Outcome.of_note(saved["note"], values)
