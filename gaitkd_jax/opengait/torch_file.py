"""Reads PyTorch's checkpoints without PyTorch, and without running them.

`torch.save` writes a zip: a pickle, `<name>/data.pkl`, that describes tensors,
and their numbers, `<name>/data/<key>`. Before version 1.6 it wrote pickles and
numbers one after the other. Both are read; the pickle is interpreted, never
run (see `torch_pickle`), and numbers are read when they are asked for.
"""

from __future__ import annotations

from collections.abc import Iterator
from collections.abc import Mapping
import contextlib
import io
import math
import os
import struct
from typing import Any
from typing import BinaryIO
from typing import Literal
from typing import Protocol
import zipfile
import zlib

import numpy as np

from gaitkd_jax import errors
from gaitkd_jax.opengait import torch_pickle
from gaitkd_jax.opengait import torch_values

Order = Literal["<", ">"]  # of bytes
# The description of a network of 1000 arrays and its optimiser takes 0.5 MB.
_MOST_PICKLE = 2**24
_MOST_STEPS = 2**40
_ZIP = b"PK\x03\x04"
_LFS = b"version https://git-lfs"
_LEGACY_MAGIC = 0x1950A86A20F9469CFC6C
_LEGACY_PROTOCOL = 1001
_AGAIN = "if it is older still, torch.save it again with a newer PyTorch"
# Bytes that views of one storage may show beyond what the file holds.
_SPARE = 2**20


class Checkpoint:
  """What a training saved of its model.

  Attributes:
    state: the tensors by their keys.
    step: how many steps the training had taken; 0 if the file does not say.
  """

  def __init__(self, state: Mapping[str, Tensor], step: int):
    self.state, self.step = state, step


class Tensor:
  """A tensor in an open file; its numbers are read when numpy asks for them.

  Attributes:
    shape: of the tensor.
  """

  def __init__(self, view: torch_values.View, numbers: _Numbers, path: str):
    self.shape = view.shape
    self._view, self._numbers, self._path = view, numbers, path

  def read(self) -> np.ndarray:
    """Its numbers; those of bfloat16 as float32, which holds them exactly.

    Raises:
      errors.UserError: the file is damaged.
    """
    with _explained(self._path):
      return _array(self._view, self._numbers)

  def __array__(
    self, dtype: np.dtype | None = None, copy: bool | None = None
  ) -> np.ndarray:
    del copy  # it always is one
    return np.asarray(self.read(), dtype)


@contextlib.contextmanager
def open_checkpoint(path: str | os.PathLike[str]) -> Iterator[Checkpoint]:
  """Opens a checkpoint that `torch.save` wrote.

  States of optimisers, schedules and loss scales are described in the same
  pickle; their numbers are not read.

  Args:
    path: of a file with a state dict, or with one under "model" as OpenGait
      writes it, which also has the step under "iteration".

  Yields:
    The model; its tensors can be read until the file is closed.

  Raises:
    errors.UserError: the file cannot be read, is damaged, holds anything but
      tensors and plain values, or no state dict.
  """
  path = os.fspath(path)
  with contextlib.ExitStack() as stack:
    with _explained(path):
      file = stack.enter_context(open(path, "rb"))
      checkpoint = _checkpoint(file, path)
    yield checkpoint


class _DamagedError(Exception):
  """The file does not hold what it should; says what, and what to do."""

  def __init__(self, text: str, advice: str = "copy it again"):
    super().__init__(text)
    self.advice = advice


@contextlib.contextmanager
def _explained(path: str) -> Iterator[None]:
  """Says in one line what is wrong with a file."""
  try:
    yield
  except errors.UserError:
    raise
  except torch_values.RefusedError as error:
    raise errors.UserError(
      f"{path}: {error}; checkpoints of tensors and plain values are read, and "
      "nothing in a file is run"
    ) from None
  except OSError as error:
    raise errors.UserError(
      f"{path} cannot be read ({error.strerror or error}); give OpenGait's "
      "checkpoint"
    ) from error
  except (
    *(torch_pickle.DamagedError, _DamagedError, zipfile.BadZipFile, zlib.error),
    # What else `zipfile` raises of damaged bytes.
    *(ArithmeticError, EOFError, LookupError, MemoryError, NotImplementedError),
    *(RuntimeError, ValueError, struct.error),
  ) as error:
    advice = getattr(error, "advice", "copy it again")
    raise errors.UserError(
      f"{path} is no whole checkpoint of PyTorch "
      f"({torch_values.printable(str(error))}); {advice}"
    ) from None


class _Numbers(Protocol):
  """Where a file keeps the numbers of storages."""

  order: Order

  def read(self, storage: torch_values.Storage) -> bytes:
    """All bytes of a storage; raises if the file does not have them."""

  def check(self, storage: torch_values.Storage) -> None:
    """Raises if the file does not have room for a storage."""


def _checkpoint(file: BinaryIO, path: str) -> Checkpoint:
  size = os.fstat(file.fileno()).st_size
  content, numbers = _content(file, size)
  state = content.get("model", content) if isinstance(content, dict) else None
  if not isinstance(state, dict) or not all(
    isinstance(key, str)
    and key.isprintable()
    and isinstance(value, torch_values.View)
    for key, value in state.items()
  ):
    raise errors.UserError(
      f"{path} holds no state dict; give OpenGait's checkpoint, with the "
      "weights under 'model'"
    )
  total = 0
  for view in state.values():
    numbers.check(view.storage)
    total += math.prod(view.shape) * torch_values.itemsize(view.dtype)
  if total > 2 * size + _SPARE:
    raise _DamagedError(f"tensors of {total} bytes in a file of {size}")
  step = content.get("iteration", 0)
  return Checkpoint(
    {key: Tensor(view, numbers, path) for key, view in state.items()},
    step if type(step) is int and 0 <= step < _MOST_STEPS else 0,
  )


def _content(file: BinaryIO, size: int) -> tuple[Any, _Numbers]:
  """What the pickle of a file describes, and where its numbers are."""
  if not size:
    raise _DamagedError("it is empty")
  start = file.read(64)
  file.seek(0)
  if start.startswith(_ZIP):
    archive = _Zip(file, size)
    return archive.content(), archive
  if start.startswith(_LFS):
    raise _DamagedError("a pointer of Git LFS", "run git lfs pull")
  return _read_legacy(file)


class _Zip:
  """The zip that PyTorch writes since 1.6."""

  def __init__(self, file: BinaryIO, size: int):
    self._archive = zipfile.ZipFile(file)
    self._size = size
    self._entries = {e.filename: e for e in self._archive.infolist()}
    if len(self._entries) != len(self._archive.infolist()):
      raise _DamagedError("two entries of one name")
    pickles = [
      name for name in self._entries if f"/{name}".endswith("/data.pkl")
    ]
    if len(pickles) != 1:
      raise _DamagedError(f"{len(pickles)} entries data.pkl, not one")
    self._folder = pickles[0].removesuffix("data.pkl")
    if f"{self._folder}constants.pkl" in self._entries:
      raise torch_values.RefusedError(
        "a program of TorchScript; save its state_dict()"
      )
    self.order: Order = "<"
    if f"{self._folder}byteorder" in self._entries:
      order = self._bytes("byteorder", 16)
      if order not in (b"little", b"big"):
        raise _DamagedError("its byte order is neither little nor big")
      self.order = "<" if order == b"little" else ">"

  def content(self) -> Any:
    """What its pickle describes."""
    data = self._bytes("data.pkl", _MOST_PICKLE)
    return torch_pickle.read(io.BytesIO(data), len(data))

  def read(self, storage: torch_values.Storage) -> bytes:
    """See `_Numbers`."""
    self.check(storage)
    return self._bytes(f"data/{storage.key}", storage.bytes)

  def check(self, storage: torch_values.Storage) -> None:
    """See `_Numbers`."""
    entry = self._entry(f"data/{storage.key}")
    if entry.file_size != storage.bytes:
      raise _DamagedError(
        f"storage {storage.key} has {entry.file_size} bytes, and "
        f"{storage.bytes} are described"
      )

  def _entry(self, name: str) -> zipfile.ZipInfo:
    entry = self._entries.get(self._folder + name)
    if entry is None:
      raise _DamagedError(f"it lacks {name}")
    # PyTorch does not compress: what is small here and large there is a bomb.
    if (
      entry.compress_type != zipfile.ZIP_STORED
      or entry.file_size != entry.compress_size
      or entry.file_size > self._size
    ):
      raise _DamagedError(f"{name} is compressed, or larger than the file")
    return entry

  def _bytes(self, name: str, most: int) -> bytes:
    entry = self._entry(name)
    if entry.file_size > most:
      raise _DamagedError(f"{name} has {entry.file_size} bytes")
    return self._archive.read(entry)


class _Behind:
  """Numbers that lie one storage after the other, as before 1.6."""

  def __init__(self, file: BinaryIO, order: Order):
    self.order = order
    self.places: dict[str, tuple[int, int]] = {}
    self._file = file

  def read(self, storage: torch_values.Storage) -> bytes:
    """See `_Numbers`."""
    self.check(storage)
    self._file.seek(self.places[storage.key][0])
    return self._file.read(storage.bytes)

  def check(self, storage: torch_values.Storage) -> None:
    """See `_Numbers`."""
    _, size = self.places.get(storage.key, (0, -1))
    if size != storage.bytes:
      raise _DamagedError(f"storage {storage.key} is not there, or not whole")


def _read_legacy(file: BinaryIO) -> tuple[Any, _Numbers]:
  """Reads four pickles, and a fifth with the order of the storages."""
  head = io.BytesIO(file.read(_MOST_PICKLE))
  size = os.fstat(file.fileno()).st_size

  def pickle() -> Any:
    return torch_pickle.read(head, len(head.getbuffer()))

  try:
    is_legacy = pickle() == _LEGACY_MAGIC and pickle() == _LEGACY_PROTOCOL
  except torch_pickle.DamagedError:
    is_legacy = False
  if not is_legacy:
    raise _DamagedError("neither a zip nor what was written before 1.6", _AGAIN)
  system = pickle()
  if not isinstance(system, dict) or "little_endian" not in system:
    raise _DamagedError("its third part does not say the byte order")
  storages: dict[str, torch_values.Storage] = {}
  content = torch_pickle.read(head, len(head.getbuffer()), storages)
  keys = pickle()
  if not isinstance(keys, list):
    raise _DamagedError("its fifth part lists no storages")
  numbers = _Behind(file, "<" if system["little_endian"] else ">")
  at = head.tell()
  for key in keys:
    if not isinstance(key, str) or key not in storages:
      raise _DamagedError("it lists a storage that it does not describe")
    file.seek(at)
    (count,) = struct.unpack("<q", file.read(8))
    length = storages[key].bytes
    if count != storages[key].count or at + 8 + length > size:
      raise _DamagedError(f"storage {key} is not whole")
    numbers.places[key] = (at + 8, length)
    at += 8 + length
  return content, numbers


def _array(view: torch_values.View, numbers: _Numbers) -> np.ndarray:
  """A copy of the numbers that a tensor shows."""
  dtype = np.dtype(torch_values.DTYPES[view.dtype]).newbyteorder(numbers.order)
  if not math.prod(view.shape):
    return np.zeros(view.shape, np.float32 if _halved(view) else dtype)
  data = numbers.read(view.storage)
  # Up to the last number that is shown: checked against the storage before.
  flat = np.frombuffer(data, dtype, torch_values.extent(view))
  strides = tuple(step * dtype.itemsize for step in view.strides)
  shown = np.lib.stride_tricks.as_strided(
    flat[view.offset :], view.shape, strides, writeable=False
  )
  result = np.array(shown, dtype.newbyteorder("="), order="C")
  if _halved(view):
    # bfloat16 is the upper half of a float32.
    return (result.astype(np.uint32) << 16).view(np.float32)
  return result


def _halved(view: torch_values.View) -> bool:
  return view.dtype == "bfloat16"
