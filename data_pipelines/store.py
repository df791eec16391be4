"""One split of a data set: its labels in memory, its frames within reach.

The files may lie on the disk or in an object store.
"""

from __future__ import annotations

from collections.abc import Mapping
from collections.abc import Sequence
import os
import weakref
import zlib

import numpy as np
import tensorflow as tf
import tensorflow_datasets as tfds

from data_pipelines import nobody
from data_pipelines import record_index
from data_pipelines import records as records_lib
from data_pipelines import remote
from gaitkd_jax import errors
from gaitkd_jax import storage

SHAPES = records_lib.SHAPES
TEXTS = records_lib.TEXTS
serialize = records_lib.serialize
_GIB = 2**30


class SequenceStore:
  """The sequences of one split, in TFRecord files or in memory.

  A record is one sequence, with each frame a zlib string of its own. Reading a
  clip therefore takes one read, wherever the record lies in its file, and only
  the frames of the clip are decoded. Records that were read stay in memory,
  still compressed, until a budget is spent. They are never replaced: every
  sequence is equally likely to be drawn next, so dropping one for another would
  gain nothing.

  Sequences are sorted by (subject, condition, view, name), so their order
  depends on the data alone and not on how the prepared files are divided.

  Attributes:
    modalities: names out of `SHAPES`, in that order; "silhouettes" is one.
    lengths: int64 [n], frames of a sequence.
    subjects: str [n].
    conditions: str [n].
    views: str [n].
    names: str [n].
    labels: int32 [n], index of the subject among the split's sorted subjects;
      never decreasing.
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
    self._remote = bool(files) and storage.is_remote(files[0])
    self._handles: dict[int, int] = {}
    weakref.finalize(self, _close, self._handles)
    self._where = None
    self._cache: dict[int, bytes] = {}
    if records:
      self._cache = {i: records[j] for i, j in enumerate(order)}
    else:
      self._where = tuple(
        columns[name] for name in ("shard", "offset", "checksum")
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
    if self._remote:
      return self.read_all([index])[0]
    file, offset, _ = (int(column[index]) for column in self._where)
    size = int(self.sizes[index])
    try:
      if file not in self._handles:
        self._handles[file] = os.open(self._files[file], os.O_RDONLY)
      # `pread` does not move the file's position, which threads share.
      record = os.pread(self._handles[file], size, offset)
    except OSError as error:
      raise record_index.unreadable(
        self._files[file], error.strerror
      ) from error
    return self._checked(index, record)

  def read_all(self, indices: Sequence[int]) -> list[bytes]:
    """Returns the records of sequences; see `decode`.

    Those that lie in an object store are asked for at the same time.

    Raises:
      errors.UserError: a file cannot be read.
    """
    if not self._remote:
      return [self.read(index) for index in indices]
    found = {i: self._cache.get(i) for i in indices}
    missing = [i for i, record in found.items() if record is None]
    if missing:
      files = [self._files[int(self._where[0][i])] for i in missing]
      offsets = [int(self._where[1][i]) for i in missing]
      sizes = [int(self.sizes[i]) for i in missing]
      records = remote.read_ranges(files, offsets, sizes)
      for index, record in zip(missing, records, strict=True):
        found[index] = self._checked(index, record)
    return [found[i] for i in indices]

  def _checked(self, index: int, record: bytes) -> bytes:
    """Checks what was read, and keeps it while there is room."""
    file, size = self._files[int(self._where[0][index])], len(record)
    if zlib.crc32(record) != int(self._where[2][index]):
      raise record_index.unreadable(file, "it has changed")
    if size <= self._room:
      self._room -= size
      self._cache[index] = record
    return record

  def decode(
    self, record: tf.Tensor, frames: tf.Tensor | None = None
  ) -> dict[str, tf.Tensor]:
    """Decodes frames of all modalities of a record; see `records.decode`."""
    return records_lib.decode(record, self.modalities, frames)

  @property
  def is_remote(self) -> bool:
    """Whether the records lie in an object store."""
    return self._remote

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
      errors.UserError: a sequence has the wrong shape or dtype.
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
    """Opens the records of TFRecord files.

    Args:
      files: paths; each record is what `serialize` returns.
      modalities: what the records hold.
      name: of the split, for the progress bar.
      index: a file that remembers where the records are, so that the next call
        need not read all of them; None for none.
      cache_gib: GiB of records that stay in memory once they were read.

    Raises:
      errors.UserError: a file is damaged.
    """
    files = [os.fspath(file) for file in files]
    columns = record_index.find(files, name, index)
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
    folder = storage.path(builder.data_path)
    if not (folder / "dataset_info.json").exists():
      raise errors.UserError(
        f"{folder}: the prepared data are incomplete; delete that folder, so"
        " that they are prepared again"
      )
    if not (split in builder.info.splits and builder.info.splits[split]):
      raise errors.UserError(nobody.why(builder, split))
    info = builder.info.splits[split]
    files = list(map(os.fspath, info.filepaths))
    index = folder / record_index.name(split)
    columns = record_index.find(files, split, index)
    if (found := len(columns["length"])) != info.num_examples:
      raise record_index.unreadable(
        files[0], f"{found} of {info.num_examples} sequences are there"
      )
    modalities = [m for m in SHAPES if m in builder.info.features]
    return cls(columns, modalities, files=files, cache_gib=cache_gib)


def _close(handles: Mapping[int, int]) -> None:
  for handle in handles.values():
    os.close(handle)
