"""The files of clips that are written for other programs.

header.json says what the clips depend on, as in a teacher's store. Clip v of
sequence i is row i * V + v, and `shard_rows` rows in their order are a file,
clips-00000.npz, which numpy reads without pickle. progress.json has the digests
of the files that are written; it is replaced only after they are, so that a run
that was killed goes on from there.
"""

from collections.abc import Mapping
import hashlib
import io
import os
from typing import Any

import numpy as np

from gaitkd_jax import errors
from gaitkd_jax import storage
from gaitkd_jax.distill.cache import header as header_lib
from gaitkd_jax.distill.cache import store as store_lib


def file_stem(shard: int) -> str:
  """The name of a shard's file, and of what a network made of it."""
  return f"clips-{shard:05}"


def digest(arrays: Mapping[str, np.ndarray]) -> str:
  """SHA-256 of arrays, whatever file they are in."""
  found = hashlib.sha256()
  for name, array in sorted(arrays.items()):
    array = np.ascontiguousarray(array)
    about = f"{name} {array.dtype.newbyteorder('<').str} {array.shape}\n"
    found.update(about.encode())
    found.update(array.astype(array.dtype.newbyteorder("<"), copy=False).data)
  return found.hexdigest()


class Writer:
  """Writes the files, or goes on with those of an earlier run.

  Attributes:
    done: rows that are written for good.
    total: rows of all files.
    shard_rows: rows of every file but the last.
    bytes: of the files that this run wrote.
  """

  def __init__(self, folder: str | os.PathLike[str], header: Mapping[str, Any]):
    """Begins, or opens what an earlier run has written.

    Args:
      folder: of the files.
      header: as `header.describe_clips` gives it, with "shard_rows" and
        "modalities".

    Raises:
      errors.UserError: the folder has other clips, or cannot be written.
    """
    self._folder = storage.path(folder)
    self.shard_rows = header["shard_rows"]
    self.total = header["data"]["sequences"] * header["views"]
    self.bytes = 0
    storage.check_writable(self._folder, "--workdir: the folder")
    found = store_lib.read_json(self._folder, store_lib.HEADER)
    if found is None:
      store_lib.write_json(self._folder, store_lib.HEADER, header)
    else:
      header_lib.check(self._folder, found, header)
    progress = store_lib.read_json(self._folder, store_lib.PROGRESS) or {}
    self._digests = list(progress.get("digests", []))
    written = set(storage.names(self._folder))
    for shard in range(len(self._digests)):
      if f"{file_stem(shard)}.npz" not in written:
        raise errors.UserError(
          f"{self._folder} lacks {file_stem(shard)}.npz, which was written "
          "before; put it back, or delete the folder and write it again"
        )
    self.done = min(len(self._digests) * self.shard_rows, self.total)

  def write(self, arrays: Mapping[str, np.ndarray]) -> None:
    """Writes the next file.

    Args:
      arrays: `[n, ...]`, its rows.
    """
    found = digest(arrays)
    file = io.BytesIO()
    seal = np.frombuffer(bytes.fromhex(found), np.uint8)
    np.savez_compressed(file, allow_pickle=False, **arrays, digest=seal)
    name = f"{file_stem(len(self._digests))}.npz"
    storage.write_bytes(self._folder / name, file.getvalue())
    self.bytes += file.tell()
    self._digests.append(found)
    self.done = min(len(self._digests) * self.shard_rows, self.total)
    store_lib.write_json(
      self._folder,
      store_lib.PROGRESS,
      {"done": self.done, "total": self.total, "digests": self._digests},
    )


class Index:
  """What clips there are; the files themselves are not opened.

  Attributes:
    header: see `Writer`.
    digests: of the files, in their order.
  """

  def __init__(self, header: Mapping[str, Any], digests: list[str]):
    self.header, self.digests = header, digests

  @classmethod
  def open(cls, folder: str | os.PathLike[str]) -> "Index":
    """Reads the index of finished clips.

    Raises:
      errors.UserError: there are none, or not all.
    """
    place = storage.path(folder)
    header = store_lib.read_json(place, store_lib.HEADER)
    if header is None or "shard_rows" not in header:
      raise errors.UserError(
        f"there are no clips in {place}; give <workdir>/clips of a run with "
        "--mode=cache --cache.clips_only"
      )
    progress = store_lib.read_json(place, store_lib.PROGRESS) or {}
    index = cls(header, list(progress.get("digests", [])))
    if progress.get("done") != index.total:
      raise errors.UserError(
        f"{place} has {progress.get('done', 0)} of {index.total} clips; start "
        "--mode=cache --cache.clips_only again with the same config and "
        "workdir, so that it goes on"
      )
    return index

  @property
  def total(self) -> int:
    """Rows of all files."""
    return self.header["data"]["sequences"] * self.header["views"]

  def rows(self, shard: int) -> tuple[int, int]:
    """The first row of a file, and the one behind its last."""
    size = self.header["shard_rows"]
    return shard * size, min((shard + 1) * size, self.total)
