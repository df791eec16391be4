"""Writes a file that `torch.load` reads, without PyTorch.

The zip and the pickle are those of `torch.save`, opcode by opcode, of nothing
but dicts, numbers and tensors, so that `weights_only=True` accepts them.
"""

from collections.abc import Iterator
from collections.abc import Mapping
import math
import os
import pathlib
import struct
import sys
import zipfile

import numpy as np

# PyTorch's storages by numpy's types.
_STORAGES = {
  np.dtype(np.float32): "FloatStorage",
  np.dtype(np.int64): "LongStorage",
}
_ALIGNMENT = 64  # of numbers, for those who map the file into memory
_MARK, _TUPLE, _REDUCE, _FALSE = b"(", b"t", b"R", b"\x89"
_START, _STOP = b"\x80\x02", b"."  # of protocol 2
_EMPTY_DICT, _EMPTY_TUPLE, _SET_ITEMS, _PERSISTENT = b"}", b")", b"u", b"Q"


def write(
  path: str | os.PathLike[str], state: Mapping[str, np.ndarray], step: int
) -> None:
  """Writes what OpenGait loads, whole or not at all.

  Args:
    path: of the new file; its folder is there.
    state: float32 or int64 arrays by OpenGait's key.
    step: written as "iteration".
  """
  path = pathlib.Path(path)
  unfinished = path.with_name(f".{path.name}.tmp")
  try:
    with zipfile.ZipFile(unfinished, "w", zipfile.ZIP_STORED) as archive:
      name = path.stem
      _add(archive, f"{name}/data.pkl", b"".join(_pickle(state, step)))
      _add(archive, f"{name}/byteorder", sys.byteorder.encode())
      for i, value in enumerate(state.values()):
        _add(archive, f"{name}/data/{i}", np.ascontiguousarray(value).tobytes())
      _add(archive, f"{name}/version", b"3\n")
    unfinished.replace(path)
  finally:
    unfinished.unlink(missing_ok=True)


def _add(archive: zipfile.ZipFile, name: str, content: bytes) -> None:
  """Adds an entry whose content is aligned, by a field that nobody reads."""
  entry = zipfile.ZipInfo(name)
  # 30 bytes of header and 4 of the field; large entries have 20 more.
  large = 20 if len(content) * 1.05 > zipfile.ZIP64_LIMIT else 0
  start = archive.start_dir + 30 + len(name.encode()) + 4 + large
  padding = -start % _ALIGNMENT
  entry.extra = struct.pack("<2sH", b"FB", padding) + bytes(padding)
  archive.writestr(entry, content)


def _pickle(state: Mapping[str, np.ndarray], step: int) -> Iterator[bytes]:
  yield _START + _EMPTY_DICT + _MARK
  yield _text("model")
  yield _global("collections", "OrderedDict") + _EMPTY_TUPLE + _REDUCE
  yield _MARK
  for i, (key, value) in enumerate(state.items()):
    yield _text(key) + _tensor(str(i), value)
  yield _SET_ITEMS
  yield _text("iteration") + _number(step)
  yield _SET_ITEMS + _STOP


def _tensor(key: str, value: np.ndarray) -> bytes:
  """A call of what makes a tensor of a storage."""
  storage = (
    _text("storage"),
    _global("torch", _STORAGES[value.dtype]),
    _text(key),
    _text("cpu"),
    _number(value.size),
  )
  # Strides count numbers, and are those of C's order.
  strides = [math.prod(value.shape[i + 1 :]) for i in range(value.ndim)]
  arguments = (
    _tuple(*storage) + _PERSISTENT,
    _number(0),
    _tuple(*map(_number, value.shape)),
    _tuple(*map(_number, strides)),
    _FALSE,  # needs no gradient
    _global("collections", "OrderedDict") + _EMPTY_TUPLE + _REDUCE,  # no hooks
  )
  function = _global("torch._utils", "_rebuild_tensor_v2")
  return function + _tuple(*arguments) + _REDUCE


def _tuple(*items: bytes) -> bytes:
  return b"".join((_MARK, *items, _TUPLE))


def _global(module: str, name: str) -> bytes:
  return f"c{module}\n{name}\n".encode()


def _text(value: str) -> bytes:
  data = value.encode()
  return b"X" + struct.pack("<I", len(data)) + data


def _number(value: int) -> bytes:
  if value < 2**31:
    return b"J" + struct.pack("<i", value)
  data = value.to_bytes(value.bit_length() // 8 + 1, "little")
  return b"\x8a" + bytes([len(data)]) + data
