"""One archive of a store: what is in it, and where its embeddings lie."""

from collections.abc import Mapping
import dataclasses
import math
import pathlib
import struct
import zipfile
import zlib

import numpy as np

from gaitkd_jax import errors
from gaitkd_jax.evaluation import embedded as embedded_lib

TEXTS = ("subjects", "conditions", "views", "names")
# A member of a zip archive begins with 30 bytes, of which the last four are
# the lengths of what lies between them and its data: name and extra field.
_LOCAL_BYTES, _LOCAL_LENGTHS, _LOCAL_SIGNATURE = 30, 26, b"PK\x03\x04"
_UNREADABLE = (
  OSError,
  ValueError,  # of np.lib.format, pickled content included
  EOFError,
  KeyError,
  NotImplementedError,  # a compression that zipfile does not know
  RuntimeError,  # an encrypted member
  zipfile.BadZipFile,
  zlib.error,
  struct.error,
)


@dataclasses.dataclass(frozen=True)
class Shard:
  """The labels of one archive, and where its embeddings lie.

  Attributes:
    path: the archive.
    size: in bytes, to notice if it was replaced.
    offset: bytes before the first number; -1: `values` has them.
    shape: (m, p, d).
    dtype: as stored.
    fortran: whether the first axis is the fastest.
    columns: `TEXTS`, str `[m]`.
    values: the embeddings of a compressed archive.
  """

  path: pathlib.Path
  size: int
  offset: int
  shape: tuple[int, ...]
  dtype: np.dtype
  fortran: bool
  columns: Mapping[str, np.ndarray]
  values: np.ndarray | None = None

  @property
  def read_dtype(self) -> np.dtype:
    """The dtype in which `EmbeddingStore` gives these rows."""
    return np.dtype(np.float16 if self.dtype.itemsize == 2 else np.float32)

  def read(self, rows: np.ndarray) -> np.ndarray:
    """Reads rows `[k]`, all of which exist."""
    values = self._map() if self.values is None else self.values
    if len(rows) and np.array_equal(
      rows, np.arange(rows[0], rows[0] + len(rows))
    ):
      return np.asarray(values[rows[0] : rows[-1] + 1])
    return np.asarray(values[rows])

  def _map(self) -> np.ndarray:
    try:
      # Reading beyond the end of a mapped file would kill the process.
      if self.path.stat().st_size != self.size:
        raise OSError("it has changed since it was opened")
      return np.memmap(
        self.path,
        self.dtype,
        "r",
        self.offset,
        self.shape,
        "F" if self.fortran else "C",
      )
    except (OSError, ValueError) as e:
      raise damaged(self.path, e) from e


def open_shard(path: pathlib.Path) -> Shard:
  """Reads the texts of an archive and finds its embeddings."""
  try:
    size = path.stat().st_size
    with zipfile.ZipFile(path) as archive:
      members = {info.filename: info for info in archive.infolist()}
      missing = [
        key for key in ("embeddings", *TEXTS[:3]) if f"{key}.npy" not in members
      ]
      if missing:
        raise errors.UserError(
          f"{path} has no array {missing[0]}; it takes embeddings, "
          f"{', '.join(TEXTS[:3])} and, if need be, {TEXTS[3]}"
        )
      info = members["embeddings.npy"]
      shape, fortran, dtype, before = _array_header(archive, info)
      if len(shape) != 3 or not all(shape) or dtype.kind != "f":
        raise errors.UserError(
          f"{path}: embeddings are {dtype} {list(shape)}; they are to be "
          "floating-point [sequences, parts, channels], at least one of each"
        )
      columns = {
        key: _read_texts(archive, members[f"{key}.npy"], path, shape[0])
        for key in TEXTS
        if f"{key}.npy" in members
      }
      offset, values = -1, None
      if info.compress_type == zipfile.ZIP_STORED:
        offset = _data_offset(path, info) + before
        if offset + math.prod(shape) * dtype.itemsize > size:
          raise EOFError("it is cut short")
      else:
        with archive.open(info) as file:
          values = np.lib.format.read_array(file, allow_pickle=False)
  except _UNREADABLE as e:
    if isinstance(e, errors.UserError):
      raise
    raise damaged(path, e) from e
  if "names" not in columns:
    labels = embedded_lib.Labels(*(columns[key] for key in TEXTS[:3]))
    columns["names"] = labels.names
  return Shard(path, size, offset, shape, dtype, fortran, columns, values)


def _array_header(
  archive: zipfile.ZipFile, info: zipfile.ZipInfo
) -> tuple[tuple[int, ...], bool, np.dtype, int]:
  """Shape, order, dtype and bytes of the header of a .npy in an archive."""
  with archive.open(info) as file:
    version = np.lib.format.read_magic(file)
    if version not in ((1, 0), (2, 0)):
      raise ValueError(f"version {version} of .npy is not known")
    read = getattr(np.lib.format, f"read_array_header_{version[0]}_0")
    shape, fortran, dtype = read(file)
    before = file.tell()
  if dtype.hasobject:
    raise ValueError(
      f"{info.filename} is pickled content, which is never executed"
    )
  # A header must not make the program reserve more memory than is used.
  if before + math.prod(shape) * dtype.itemsize != info.file_size:
    raise ValueError(f"{info.filename} does not have the size it claims")
  return shape, fortran, dtype, before


def _read_texts(
  archive: zipfile.ZipFile,
  info: zipfile.ZipInfo,
  path: pathlib.Path,
  count: int,
) -> np.ndarray:
  """Reads a column as str `[count]`; whole numbers and bytes become text."""
  shape, _, dtype, _ = _array_header(archive, info)
  if shape != (count,) or dtype.kind not in "USiu":
    raise errors.UserError(
      f"{path}: {info.filename.removesuffix('.npy')} are {dtype} "
      f"{list(shape)}; they are to be texts [{count}], one an embedding"
    )
  with archive.open(info) as file:
    column = np.lib.format.read_array(file, allow_pickle=False)
  return (
    np.char.decode(column, "utf-8")
    if dtype.kind == "S"
    else (column.astype(str))
  )


def _data_offset(path: pathlib.Path, info: zipfile.ZipInfo) -> int:
  """Where the bytes of an uncompressed member begin in the archive."""
  with path.open("rb") as file:
    file.seek(info.header_offset)
    local = file.read(_LOCAL_BYTES)
  if len(local) < _LOCAL_BYTES or not local.startswith(_LOCAL_SIGNATURE):
    raise ValueError("its table of contents does not fit")
  name, extra = struct.unpack_from("<HH", local, _LOCAL_LENGTHS)
  return info.header_offset + _LOCAL_BYTES + name + extra


def damaged(path: pathlib.Path, reason: object) -> errors.UserError:
  """The error for a file of a store that cannot be read."""
  if isinstance(reason, OSError):
    reason = reason.strerror or reason
  text = " ".join(str(reason).split())
  return errors.UserError(
    f"{path} cannot be read ({text}); copy the store again, or write it anew"
  )
