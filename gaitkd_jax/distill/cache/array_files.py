"""Arrays in files of other programs: .npz and .safetensors, without pickle."""

from collections.abc import Mapping
import json
import math
import struct
from typing import BinaryIO
import zipfile
import zlib

import ml_dtypes
import numpy as np

from gaitkd_jax import errors
from gaitkd_jax import storage

SUFFIXES = (".npz", ".safetensors")
# What damaged files, and those of other kinds, make numpy and json raise.
_UNREADABLE = (
  *(AttributeError, EOFError, KeyError, NotImplementedError, OSError),
  *(OverflowError, RuntimeError, TypeError, ValueError),
  *(struct.error, zipfile.BadZipFile, zlib.error),
)
# Names of dtypes in the header of .safetensors.
_DTYPES: Mapping[str, np.dtype] = {
  name: np.dtype(dtype)
  for name, dtype in {
    "F64": "<f8",
    "F32": "<f4",
    "F16": "<f2",
    "BF16": ml_dtypes.bfloat16,
    "I64": "<i8",
    "I32": "<i4",
    "I16": "<i2",
    "I8": "i1",
    "U64": "<u8",
    "U32": "<u4",
    "U16": "<u2",
    "U8": "u1",
    "BOOL": "?",
  }.items()
}
_MOST_HEADER = 2**24


def read(path: storage.Path) -> dict[str, np.ndarray]:
  """Reads all arrays of a file.

  A .npz is read by numpy, which refuses pickles; a .safetensors is a header of
  JSON and numbers, as github.com/huggingface/safetensors describes it.

  Args:
    path: on the disk or in a store; its suffix is one of `SUFFIXES`.

  Raises:
    errors.UserError: it cannot be read, or holds a pickle.
  """
  try:
    local = storage.fetch(path)
    with local.open("rb") as file:
      if path.suffix == ".npz":
        return _read_npz(file)
      return _read_safetensors(file, local.stat().st_size)
  except storage.StoreError:
    raise
  except _UNREADABLE as e:
    reason = " ".join(str(e).split())[:200]
    if "allow_pickle" in reason:
      reason = "it holds pickled objects, which are never run"
    raise errors.UserError(
      f"{path} cannot be read ({reason}); write plain arrays again, as a .npz "
      "of numpy or a .safetensors"
    ) from e


def _read_npz(file: BinaryIO) -> dict[str, np.ndarray]:
  with np.load(file, allow_pickle=False) as opened:
    return {name: opened[name] for name in opened.files}


def _read_safetensors(file: BinaryIO, size: int) -> dict[str, np.ndarray]:
  (length,) = struct.unpack("<Q", file.read(8))
  if length > min(_MOST_HEADER, size - 8):
    raise ValueError("its header is longer than the file")
  header = json.loads(file.read(length))
  arrays, room = {}, size - 8 - length
  for name, about in header.items():
    if name == "__metadata__":
      continue
    if about["dtype"] not in _DTYPES:
      raise ValueError(f"{name} has the dtype {about['dtype']}")
    dtype, (begin, end) = _DTYPES[about["dtype"]], about["data_offsets"]
    shape = tuple(int(length) for length in about["shape"])
    if not 0 <= begin <= end <= room or min(shape, default=0) < 0:
      raise ValueError(f"{name} lies outside of the file")
    if end - begin != math.prod(shape) * dtype.itemsize:
      raise ValueError(f"{name} has {end - begin} bytes for shape {shape}")
    file.seek(8 + length + begin)
    arrays[name] = np.frombuffer(file.read(end - begin), dtype).reshape(shape)
  return arrays
