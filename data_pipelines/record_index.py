"""Where each sequence lies in TFRecord files, and a file that remembers it."""

from __future__ import annotations

from collections.abc import Mapping
from collections.abc import Sequence
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
from gaitkd_jax import errors

Path = str | os.PathLike[str]

# What tells where a record begins and ends, and its CRC-32.
PLACE = ("shard", "offset", "size", "checksum")
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


def find(
  files: Sequence[str], name: str, index: Path | None
) -> dict[str, np.ndarray]:
  """Finds the records of TFRecord files.

  Args:
    files: paths.
    name: of the split, for the progress bar.
    index: the file that remembers what was found, so that the next call does
      not read all records again; None for none.

  Returns:
    `records.TEXTS`, str [n]; "length" (frames), int [n]; and `PLACE`, int [n].

  Raises:
    errors.UserError: a file is damaged.
  """
  for file in files:
    if not os.path.exists(file):
      raise unreadable(file, "it is missing")
  columns = _load(index, files)
  if columns is None:
    columns = _read(files, name)
    _save(index, files, columns)
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
      dataset = tf.data.TFRecordDataset(file).map(
        describe, tf.data.AUTOTUNE, deterministic=True
      )
      try:
        for row in dataset.as_numpy_iterator():
          size = len(row["record"])
          checksum = zlib.crc32(row["record"])
          row |= dict(zip(PLACE, (number, offset, size, checksum), strict=True))
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


def _state(files: Sequence[str]) -> np.ndarray:
  """Returns sizes and times of files, int64 [files, 2]: new if rewritten."""
  states = [os.stat(file) for file in files]
  return np.array([(s.st_size, s.st_mtime_ns) for s in states], np.int64)


def _load(
  path: Path | None, files: Sequence[str]
) -> dict[str, np.ndarray] | None:
  """Returns the columns of an index, or None if it does not fit the files."""
  if path is None or not os.path.exists(path):
    return None
  try:
    # Opened here: numpy leaves a file open that turns out to be no archive.
    with open(path, "rb") as file, np.load(file) as saved:
      columns = dict(saved)
    if np.array_equal(columns.pop("state"), _state(files)):
      return columns
  except _NOT_AN_INDEX as error:
    logging.warning("%s is not used (%s); it is written again", path, error)
  return None


def _save(
  path: Path | None, files: Sequence[str], columns: Mapping[str, np.ndarray]
) -> None:
  """Writes an index, if its folder can be written to."""
  if path is None:
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
