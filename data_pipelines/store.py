"""One split of a data set: names in memory, compressed sequences at hand."""

from __future__ import annotations

from collections.abc import Mapping
from collections.abc import Sequence
import os
import pathlib
import re
import tempfile
import weakref
import zipfile
import zlib

from absl import logging
import numpy as np
import tensorflow as tf
import tensorflow_datasets as tfds
import tqdm

from gaitkd_jax import errors

HEIGHT = WIDTH = 64
SHAPES = {"silhouettes": (HEIGHT, WIDTH), "heatmaps": (2, HEIGHT, WIDTH)}
TEXTS = ("subject", "condition", "view", "name")
_GIB = 2**30
# What TFRecord puts before a record (its length, that length's checksum) and
# behind it (its checksum).
_BEFORE, _BEHIND = 12, 4
_PLACE = ("shard", "offset", "size", "checksum")


class SequenceStore:
  """The sequences of one split, in files of records or in memory.

  A record is one sequence, each frame of it one zlib string, so a clip reads
  one record, wherever in its file, and decodes its own frames and no other.
  What was read stays in memory, still compressed, until a budget is spent:
  every sequence is equally likely to be drawn next, so no rule of what to drop
  would do better.

  Sequences are sorted by (subject, condition, view, name): their order depends
  on the data alone, never on how the prepared files are divided.

  Attributes:
    modalities: names out of `SHAPES`, in that order; "silhouettes" is one.
    lengths: int64 [n], frames of a sequence.
    subjects: str [n].
    conditions: str [n].
    views: str [n].
    names: str [n].
    labels: int32 [n], index of the subject in the sorted set of the split's
      subjects; never decreasing.
    num_classes: number of subjects.
    sizes: int64 [n], bytes of a record.
  """

  def __init__(
    self,
    columns: Mapping[str, np.ndarray],
    modalities: Sequence[str],
    *,
    files: Sequence[str] = (),
    records: Sequence[bytes] = (),
    cache_gib: float = 0.0,
  ):
    """Sorts the sequences; see `from_arrays`, `from_files`, `from_builder`.

    Args:
      columns: `TEXTS`, str [n]; "length" and "size", int [n]; and, for files,
        "shard", "offset" and "checksum", int [n]: where a record begins, and
        its CRC-32.
      modalities: what a record holds.
      files: paths of TFRecord files.
      records: the records themselves, instead of files.
      cache_gib: GiB of records that stay in memory once they were read.

    Raises:
      errors.UserError: there is no sequence, or one without frames.
    """
    if not len(columns["length"]):
      raise errors.UserError("the store got no sequences; give it at least one")
    keys = list(zip(*(columns[name] for name in TEXTS), strict=True))
    order = np.array(sorted(range(len(keys)), key=keys.__getitem__))
    columns = {name: np.asarray(c)[order] for name, c in columns.items()}
    self.subjects, self.conditions, self.views, self.names = (
      columns[name] for name in TEXTS
    )
    self.lengths = columns["length"].astype(np.int64)
    self.sizes = columns["size"].astype(np.int64)
    if not self.lengths.all():
      raise errors.UserError(
        f"sequence {self.names[np.argmin(self.lengths)]} has no frames; leave"
        " it out"
      )
    self.modalities = tuple(m for m in SHAPES if m in modalities)
    classes, labels = np.unique(self.subjects, return_inverse=True)
    self.labels = labels.astype(np.int32)
    self.num_classes = len(classes)
    self._files = tuple(files)
    self._handles = {}
    weakref.finalize(self, _close, self._handles)
    self._where = None
    self._cache = {}
    if records:
      self._cache = {i: records[j] for i, j in enumerate(order)}
    else:
      self._where = (
        columns["shard"],
        columns["offset"],
        columns["checksum"],
      )
    self._room = cache_gib * _GIB

  def __len__(self) -> int:
    """Number of sequences."""
    return len(self.lengths)

  def read(self, index: int) -> bytes:
    """Returns the record of a sequence; see `decode`.

    Raises:
      errors.UserError: its file cannot be read.
    """
    record = self._cache.get(index)
    if record is not None:
      return record
    file, offset, checksum = (int(column[index]) for column in self._where)
    size = int(self.sizes[index])
    try:
      if file not in self._handles:
        self._handles[file] = os.open(self._files[file], os.O_RDONLY)
      # Reads at a place of its own: threads share the open file.
      record = os.pread(self._handles[file], size, offset)
    except OSError as error:
      raise _unreadable(self._files[file], error.strerror) from error
    if zlib.crc32(record) != checksum:
      raise _unreadable(self._files[file], "it has changed")
    if size <= self._room:
      self._room -= size
      self._cache[index] = record
    return record

  def decode(
    self, record: tf.Tensor, frames: tf.Tensor | None = None
  ) -> dict[str, tf.Tensor]:
    """Decodes frames of a record, as an operation of TensorFlow.

    Args:
      record: string scalar.
      frames: int64 [s], which frames; None for all, in order.

    Returns:
      uint8 [s, *SHAPES[m]] of every modality m.
    """
    # TFDS's own parser does the same in nine times the time.
    strings = tf.io.parse_single_example(
      record, {name: _FRAMES for name in self.modalities}
    )
    decoded = {}
    for name, packed in strings.items():
      if frames is not None:
        packed = tf.gather(packed, frames)
      pixels = tf.io.decode_raw(
        tf.io.decode_compressed(packed, "ZLIB"), tf.uint8
      )
      decoded[name] = tf.reshape(pixels, [-1, *SHAPES[name]])
    return decoded

  @classmethod
  def from_arrays(
    cls,
    sequences: Sequence[np.ndarray],
    subjects: Sequence[str],
    conditions: Sequence[str],
    views: Sequence[str],
    heatmaps: Sequence[np.ndarray] | None = None,
  ) -> SequenceStore:
    """Makes a store of sequences that are in memory.

    Args:
      sequences: uint8 [t, 64, 64] each, silhouettes from 0 to 255.
      subjects: who walks, one a sequence.
      conditions: how, such as "nm-01".
      views: seen from where, such as "090".
      heatmaps: uint8 [t, 2, 64, 64] each, or None where there are none.

    Raises:
      errors.UserError: a sequence has another shape or dtype.
    """
    modalities = {"silhouettes": sequences}
    if heatmaps is not None:
      modalities["heatmaps"] = heatmaps
    columns = {name: [] for name in (*TEXTS, "length", "size")}
    records = []
    for i, key in enumerate(zip(subjects, conditions, views, strict=True)):
      arrays = {m: values[i] for m, values in modalities.items()}
      texts = dict(zip(TEXTS, (*key, "-".join(key)), strict=True))
      records.append(serialize(arrays, texts))
      length = len(arrays["silhouettes"])
      row = texts | {"length": length, "size": len(records[-1])}
      for name, value in row.items():
        columns[name].append(value)
    return cls(columns, tuple(modalities), records=records)

  @classmethod
  def from_files(
    cls,
    files: Sequence[str | os.PathLike[str]],
    modalities: Sequence[str] = ("silhouettes",),
    *,
    name: str = "sequences",
    index: str | os.PathLike[str] | None = None,
    cache_gib: float = 16.0,
  ) -> SequenceStore:
    """Finds the records of TFRecord files.

    Args:
      files: paths; each record is what `serialize` returns.
      modalities: what the records hold.
      name: of the split, to be shown.
      index: where to keep what was found, so that the next call need not read
        the files; None keeps nothing.
      cache_gib: GiB of records that stay in memory once they were read.

    Raises:
      errors.UserError: a file is damaged.
    """
    files = [os.fspath(file) for file in files]
    columns = _load_index(index, files)
    if columns is None:
      columns = _find_records(files, name)
      _save_index(index, files, columns)
    return cls(columns, modalities, files=files, cache_gib=cache_gib)

  @classmethod
  def from_builder(
    cls,
    builder: tfds.core.DatasetBuilder,
    split: str,
    cache_gib: float = 16.0,
  ) -> SequenceStore:
    """Opens one split of a prepared data set.

    Raises:
      errors.UserError: the split is missing, empty or damaged.
    """
    if not (split in builder.info.splits and builder.info.splits[split]):
      raise errors.UserError(
        f"split {split!r} of {builder.info.full_name} in"
        f" {builder.data_path} has no sequences; check the data's folder and"
        " its lists of subjects"
      )
    return cls.from_files(
      builder.info.splits[split].filepaths,
      [m for m in SHAPES if m in builder.info.features],
      name=split,
      index=pathlib.Path(builder.data_path) / f"index_{split}.npz",
      cache_gib=cache_gib,
    )


def serialize(
  arrays: Mapping[str, np.ndarray], texts: Mapping[str, str]
) -> bytes:
  """Returns the record of one sequence, as TFDS writes it.

  Args:
    arrays: uint8 [t, *SHAPES[m]] of every modality m.
    texts: subject, condition, view and name.

  Raises:
    errors.UserError: a shape or dtype is another.
  """
  feature = {
    name: _bytes_feature([text.encode()]) for name, text in texts.items()
  }
  t = len(arrays["silhouettes"])
  for name, values in arrays.items():
    expected = (t, *SHAPES[name])
    if values.dtype != np.uint8 or values.shape != expected:
      raise errors.UserError(
        f"sequence {texts['name']}: {name} are {values.dtype}"
        f" {list(values.shape)}; make them uint8 {list(expected)}"
      )
    feature[name] = _bytes_feature([zlib.compress(v.tobytes()) for v in values])
  example = tf.train.Example(features=tf.train.Features(feature=feature))
  return example.SerializeToString()


_FRAMES = tf.io.FixedLenSequenceFeature([], tf.string, allow_missing=True)
_TEXT = tf.io.FixedLenFeature([], tf.string)


def _close(handles: Mapping[int, int]) -> None:
  for handle in handles.values():
    os.close(handle)


def reason(error: tf.errors.OpError) -> str:
  """Returns what an error of TensorFlow says, without its graph's names."""
  return re.sub(r"\{\{.*?\}\}\s*", "", error.message.splitlines()[0])


def _bytes_feature(values: Sequence[bytes]) -> tf.train.Feature:
  return tf.train.Feature(bytes_list=tf.train.BytesList(value=values))


def _unreadable(path: str, reason: str) -> errors.UserError:
  return errors.UserError(
    f"{path}: cannot be read ({reason}); delete the folder {path} lies in, so"
    " that it is prepared again"
  )


def _find_records(files: Sequence[str], name: str) -> dict[str, np.ndarray]:
  """Reads files once from end to end, checking every record's checksum."""
  features = {text: _TEXT for text in TEXTS} | {"silhouettes": _FRAMES}

  def describe(record):
    row = tf.io.parse_single_example(record, features)
    row["length"] = tf.size(row.pop("silhouettes"), tf.int64)
    row["record"] = record
    return row

  columns = {c: [] for c in (*TEXTS, "length", *_PLACE)}
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
          row |= dict(
            zip(_PLACE, (number, offset, size, checksum), strict=True)
          )
          offset += size + _BEHIND + _BEFORE
          for column, values in columns.items():
            values.append(row[column])
          bar.update()
      except tf.errors.OpError as error:
        raise _unreadable(file, reason(error)) from error
  return {
    column: np.array(
      [v.decode() for v in values] if column in TEXTS else values
    )
    for column, values in columns.items()
  }


_NOT_AN_INDEX = (
  OSError,
  ValueError,
  KeyError,
  EOFError,
  zlib.error,
  zipfile.BadZipFile,
)


def _state(files: Sequence[str]) -> np.ndarray:
  """Returns what tells apart files that were written anew, int64 [files, 2]."""
  states = [os.stat(file) for file in files]
  return np.array([(s.st_size, s.st_mtime_ns) for s in states], np.int64)


def _load_index(
  path: str | os.PathLike[str] | None, files: Sequence[str]
) -> dict[str, np.ndarray] | None:
  """Returns the columns of an index, or None if it does not fit the files."""
  if path is None or not os.path.exists(path):
    return None
  try:
    # Opened here: numpy leaves a file open that is no archive.
    with open(path, "rb") as file, np.load(file) as saved:
      columns = dict(saved)
    if np.array_equal(columns.pop("state"), _state(files)):
      return columns
  except _NOT_AN_INDEX as error:
    logging.warning("%s is not used (%s); it is made anew", path, error)
  return None


def _save_index(
  path: str | os.PathLike[str] | None,
  files: Sequence[str],
  columns: Mapping[str, np.ndarray],
) -> None:
  """Keeps an index, if its folder can be written."""
  if path is None:
    return
  path, temporary = pathlib.Path(path), None
  try:
    # Its own name for each process: several may start at once.
    with tempfile.NamedTemporaryFile(
      dir=path.parent, prefix=path.name, delete=False
    ) as file:
      temporary = pathlib.Path(file.name)
      np.savez(file, state=_state(files), **columns)
    # Others may read the prepared data: so may they this.
    temporary.chmod(pathlib.Path(files[0]).stat().st_mode)
    temporary.replace(path)
  except OSError as error:
    if temporary is not None:
      temporary.unlink(missing_ok=True)
    logging.warning("%s cannot be written (%s)", path, error.strerror)
