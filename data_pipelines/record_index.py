"""Where each sequence lies in TFRecord files, and a file that remembers it."""

from __future__ import annotations

from collections.abc import Iterator
from collections.abc import Mapping
from collections.abc import Sequence
from concurrent import futures
import contextlib
import io
import os
import pathlib
import tempfile
import zipfile
import zlib

from absl import logging
import numpy as np
import tensorflow as tf
import tqdm

from data_pipelines import records
from data_pipelines import remote
from gaitkd_jax import errors
from gaitkd_jax import storage

Path = str | os.PathLike[str]

# What tells where a record begins and ends, and its CRC-32.
PLACE = ("shard", "offset", "size", "checksum")
_THREADS = 16  # that ask a store at a time
# Bytes that TFRecord puts before a record (its length and the checksum of that
# length) and after it (its checksum).
_BEFORE, _AFTER = 12, 4

_NOT_AN_INDEX = (
  OSError,
  ValueError,
  KeyError,
  EOFError,
  zlib.error,
  zipfile.BadZipFile,
)


def name(split: str) -> str:
  """Names the file that remembers where the records of a split are."""
  return f"index_{split}.npz"


def find(
  files: Sequence[str], title: str, index: Path | None
) -> dict[str, np.ndarray]:
  """Finds the records of TFRecord files.

  Args:
    files: paths.
    title: of the progress bar.
    index: the file that remembers what was found, so that the next call does
      not read all records again; None for none.

  Returns:
    `records.TEXTS`, str [n]; "length" (frames), int [n]; and `PLACE`, int [n].

  Raises:
    errors.UserError: a file is damaged.
  """
  if index is not None and storage.is_remote(index):
    with remote.explained(f"{os.path.dirname(index)} cannot be read"):
      return _find(files, title, index)
  return _find(files, title, index)


def _find(
  files: Sequence[str], title: str, index: Path | None
) -> dict[str, np.ndarray]:
  state = _state(files)
  columns = _load(index, state)
  if columns is None:
    columns = _read(files, title)
    save(index, files, columns)
  return columns


def unreadable(path: str, reason: str) -> errors.UserError:
  """Returns the error to raise for prepared data that cannot be read."""
  return errors.UserError(
    f"{path}: cannot be read ({reason}); delete the folder that it lies in,"
    " so that it is prepared again"
  )


def _read(files: Sequence[str], name: str) -> dict[str, np.ndarray]:
  """Reads the files once from end to end, checking every checksum."""
  features = {text: records.TEXT for text in records.TEXTS}
  features["silhouettes"] = records.FRAMES

  def describe(record: tf.Tensor) -> dict[str, tf.Tensor]:
    row = tf.io.parse_single_example(record, features)
    row["length"] = tf.size(row.pop("silhouettes"), tf.int64)
    row["record"] = record
    return row

  columns = {c: [] for c in (*records.TEXTS, "length", *PLACE)}
  # disable=None: a bar on a terminal, nothing in a log file.
  with tqdm.tqdm(desc=f"indexing {name}", unit="seq", disable=None) as bar:
    for number, file in enumerate(files):
      offset = _BEFORE
      with _on_disk(file) as there:
        dataset = tf.data.TFRecordDataset(there).map(
          describe, tf.data.AUTOTUNE, deterministic=True
        )
        try:
          for row in dataset.as_numpy_iterator():
            size, checksum = len(row["record"]), zlib.crc32(row["record"])
            place = number, offset, size, checksum
            row |= dict(zip(PLACE, place, strict=True))
            offset += size + _AFTER + _BEFORE
            for column, values in columns.items():
              values.append(row[column])
            bar.update()
        except tf.errors.OpError as error:
          raise unreadable(file, records.reason(error)) from error
  return {
    column: np.array(
      [v.decode() for v in values] if column in records.TEXTS else values
    )
    for column, values in columns.items()
  }


@contextlib.contextmanager
def _on_disk(file: str) -> Iterator[str]:
  """Copies a file of a store to the disk, where TensorFlow can read it."""
  if not storage.is_remote(file):
    yield file
    return
  with tempfile.TemporaryDirectory() as folder:
    copy = os.path.join(folder, "records")
    storage.filesystem(file).get_file(file, copy)
    yield copy


def _state(files: Sequence[str]) -> np.ndarray:
  """Returns what is new if a file was rewritten, one row a file.

  On a disk sizes and times, int64 [files, 2]; in a store the same as texts.
  """

  def look(file: str) -> tuple[int, str]:
    try:
      return storage.state(file)
    except FileNotFoundError as error:
      raise unreadable(file, "it is missing") from error

  with futures.ThreadPoolExecutor(_THREADS) as pool:
    states = list(pool.map(look, files))
  if storage.is_remote(files[0]):
    return np.array(states, str)
  return np.array([(size, int(time)) for size, time in states], np.int64)


def _load(path: Path | None, state: np.ndarray) -> dict[str, np.ndarray] | None:
  """Returns the columns of an index, or None if it does not fit the files."""
  if path is None or not (place := storage.path(path)).exists():
    return None
  try:
    # Opened here: numpy leaves a file open that turns out to be no archive.
    with io.BytesIO(place.read_bytes()) as file, np.load(file) as saved:
      columns = dict(saved)
    saved_state = columns.pop("state")
    if state.dtype.kind == saved_state.dtype.kind and np.array_equal(
      saved_state, state
    ):
      return columns
  except _NOT_AN_INDEX as error:
    logging.warning("%s is not used (%s); it is written again", path, error)
  return None


def save(
  path: Path | None, files: Sequence[str], columns: Mapping[str, np.ndarray]
) -> None:
  """Writes an index, if its folder can be written to.

  Args:
    path: of the index; None for none.
    files: see `find`.
    columns: what `find` returned.
  """
  if path is None:
    return
  if storage.is_remote(path):
    packed = io.BytesIO()
    np.savez(packed, state=_state(files), **columns)
    try:
      storage.write_bytes(path, packed.getvalue())
    except Exception as error:
      why = getattr(error, "strerror", None) or storage.refusal(error)
      if why is None:
        raise
      logging.warning("%s cannot be written (%s)", path, why)
    return
  path, temporary = pathlib.Path(path), None
  try:
    # Several processes may start at once, so each writes a file of its own.
    with tempfile.NamedTemporaryFile(
      dir=path.parent, prefix=path.name, delete=False
    ) as file:
      temporary = pathlib.Path(file.name)
      np.savez(file, state=_state(files), **columns)
    # Whoever may read the prepared data may also read the index.
    temporary.chmod(pathlib.Path(files[0]).stat().st_mode)
    temporary.replace(path)
  except OSError as error:
    if temporary is not None:
      temporary.unlink(missing_ok=True)
    logging.warning("%s cannot be written (%s)", path, error.strerror)
