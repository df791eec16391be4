"""Reads OpenGait's pickles of silhouettes without trusting them.

Unpickling runs whatever the file says. Here nothing is ever run: a small
interpreter walks the opcodes, knows the few names that a numpy array is
pickled with, and gives them its own meaning. Any other name is refused before
anything is looked up, imported or called. Memory stays within a few times the
size of the file.
"""

from collections.abc import Iterator
import dataclasses
import io
import math
import os
import pickletools
import re
from typing import Any

import numpy as np

from gaitkd_jax.errors import UserError

# An hour of 64 x 64 frames at 25 Hz is 370 MB.
_MOST_BYTES = 2**30
# One array takes some 50 opcodes, in any protocol.
_MOST_OPCODES = 10_000
_MOST_DIMENSIONS = 8
_PROTOCOLS = range(6)
_DTYPE = re.compile(r"[|<>=]?(b1|[iu][1248]|f[248])")
_PYTHON2_BYTES = re.compile(rb"""(?:[^\\]|\\[\\'"nrt]|\\x[0-9a-f]{2})*""")
_SIDE = 64
_NARROW = 44  # OpenGait's loader cuts 10 columns on each side, 64 -> 44.


class _RefusedError(Exception):
  """Why a file is refused, in words that complete `<path>: `."""


@dataclasses.dataclass(frozen=True)
class _Name:
  """A permitted name: only this interpreter can make one."""

  text: str


@dataclasses.dataclass(frozen=True)
class _Container:
  """A list, dict or set, whose contents are read but not kept."""

  kind: str


@dataclasses.dataclass
class _Dtype:
  """A number's type, such as "u1", and its byte order."""

  code: str
  order: str = "="


@dataclasses.dataclass
class _Array:
  """An array; without values until its state was read."""

  values: np.ndarray | None = None


_MARK = object()
_NDARRAY = _Name("ndarray")
_NAMES = {
  "numpy.ndarray": _NDARRAY,
  "numpy.dtype": _Name("dtype"),
  "_codecs.encode": _Name("encode"),
  # Protocols 0 to 2 write empty bytes as a call of `bytes`.
  "builtins.bytes": _Name("bytes"),
  "__builtin__.bytes": _Name("bytes"),
}
for _core in ("numpy.core", "numpy._core"):
  _NAMES[f"{_core}.multiarray._reconstruct"] = _Name("reconstruct")
  _NAMES[f"{_core}.numeric._frombuffer"] = _Name("frombuffer")

_INERT = "pickles of silhouettes hold one numpy array of numbers"


def _printable(text: Any) -> str:
  """Keeps a name that an attacker chose on one line of the terminal."""
  text = text if isinstance(text, str) else f"a {type(text).__name__}"
  return "".join(c if c.isprintable() else "?" for c in text[:100])


def _line(file: io.BytesIO) -> str:
  line = file.readline()
  if not line.endswith(b"\n"):
    raise ValueError("it ends in a name")
  return line[:-1].decode("utf-8")


def _opcodes(data: bytes) -> Iterator[tuple[str, Any]]:
  """Yields (opcode, argument); `pickletools.genops` but for Python 2 bytes."""
  file = io.BytesIO(data)
  for _ in range(_MOST_OPCODES):
    code = file.read(1)
    if not code:
      raise ValueError("it ends too early")
    opcode = pickletools.code2op.get(code.decode("latin-1"))
    if opcode is None:
      raise ValueError(f"byte {file.tell() - 1} is not of a pickle")
    if opcode.name == "STRING":
      # Python 2 writes bytes so; pickletools would take them for ASCII text.
      text = pickletools.read_stringnl(file, decode=False)
      if not _PYTHON2_BYTES.fullmatch(text):
        raise ValueError("a text is not quoted as Python quotes it")
      argument = text.decode("unicode_escape")
    elif opcode.name in ("GLOBAL", "INST"):
      # pickletools would undo escapes, which `pickle` does not.
      argument = f"{_line(file)}.{_line(file)}"
    elif opcode.name == "PERSID":
      argument = _line(file)
    else:
      argument = opcode.arg.reader(file) if opcode.arg else None
    yield opcode.name, argument
    if opcode.name == "STOP":
      return
  raise _RefusedError(f"more than {_MOST_OPCODES} opcodes; {_INERT}")


class _Interpreter:
  """A pickle's stack machine, without the power to run anything."""

  def __init__(self, data: bytes):
    self._data = data
    self._stack: list[Any] = []
    self._memo: dict[int, Any] = {}
    # Encoding a text again and again would turn a small file into much memory.
    self._encode_left = len(data)

  def run(self) -> np.ndarray:
    """Returns the array in the file; raises where there is none."""
    for name, argument in _opcodes(self._data):
      self._step(name, argument)
    result = self._stack.pop()
    if isinstance(result, _Array) and result.values is not None:
      return result.values
    kind = getattr(result, "kind", type(result).__name__.lower().strip("_"))
    raise _RefusedError(f"holds a value of type {kind}; {_INERT}")

  def _to_mark(self) -> list[Any]:
    at = len(self._stack) - 1
    while self._stack[at] is not _MARK:
      at -= 1
      if at < 0:
        raise ValueError("a mark is missing")
    items = self._stack[at + 1 :]
    del self._stack[at:]
    return items

  def _step(self, name: str, argument: Any) -> None:
    stack = self._stack
    match name:
      case "STOP" | "FRAME":
        pass
      case "PROTO":
        if argument not in _PROTOCOLS:
          raise _RefusedError(f"pickle protocol {argument} is not known")
      case "MARK":
        stack.append(_MARK)
      case "POP":
        stack.pop()
      case "POP_MARK":
        self._to_mark()
      case "PUT" | "BINPUT" | "LONG_BINPUT":
        self._memo[argument] = stack[-1]
      case "MEMOIZE":
        self._memo[len(self._memo)] = stack[-1]
      case "GET" | "BINGET" | "LONG_BINGET":
        stack.append(self._memo[argument])
      case "NONE":
        stack.append(None)
      case "NEWTRUE" | "NEWFALSE":
        stack.append(name == "NEWTRUE")
      case "INT" | "BININT" | "BININT1" | "BININT2" | "LONG" | "LONG1":
        stack.append(argument)
      case "LONG4" | "FLOAT" | "BINFLOAT":
        stack.append(argument)
      case "STRING" | "BINSTRING" | "SHORT_BINSTRING":
        stack.append(argument)
      case "UNICODE" | "SHORT_BINUNICODE" | "BINUNICODE" | "BINUNICODE8":
        stack.append(argument)
      case "SHORT_BINBYTES" | "BINBYTES" | "BINBYTES8" | "BYTEARRAY8":
        stack.append(argument)
      case "EMPTY_TUPLE":
        stack.append(())
      case "TUPLE":
        stack.append(tuple(self._to_mark()))
      case "TUPLE1" | "TUPLE2" | "TUPLE3":
        count = int(name[-1])
        items = tuple(stack[-count:])
        del stack[-count:]
        stack.append(items)
      case "EMPTY_LIST" | "EMPTY_DICT" | "EMPTY_SET":
        stack.append(_Container(name.removeprefix("EMPTY_").lower()))
      case "LIST" | "DICT" | "FROZENSET":
        self._to_mark()
        stack.append(_Container(name.lower()))
      case "APPENDS" | "SETITEMS" | "ADDITEMS":
        self._to_mark()
      case "APPEND":
        stack.pop()
      case "SETITEM":
        del stack[-2:]
      case "GLOBAL" | "INST":
        stack.append(self._find(argument))
      case "STACK_GLOBAL":
        attribute, module = stack.pop(), stack.pop()
        name = f"{_printable(module)}.{_printable(attribute)}"
        stack.append(self._find(name))
      case "REDUCE":
        arguments, function = stack.pop(), stack.pop()
        stack.append(self._call(function, arguments))
      case "BUILD":
        state = stack.pop()
        self._build(stack[-1], state)
      case _:
        raise _RefusedError(f"refused opcode {name}; {_INERT}")

  def _find(self, name: str) -> _Name:
    if name not in _NAMES:
      raise _RefusedError(f"refused {_printable(name)}; {_INERT}")
    return _NAMES[name]

  def _call(self, function: Any, arguments: Any) -> Any:
    if not isinstance(function, _Name) or not isinstance(arguments, tuple):
      raise _RefusedError(f"refused a call; {_INERT}")
    match function.text, arguments:
      case "reconstruct", (first, _, _) if first is _NDARRAY:
        return _Array()
      case "dtype", (str(code), _, _):
        if not _DTYPE.fullmatch(code):
          raise _RefusedError(f"refused dtype {_printable(code)}; {_INERT}")
        return _Dtype(code.lstrip("|<>="), code[0] if code[0] in "<>" else "=")
      case "encode", (str(text), "latin1" | "latin-1"):
        self._encode_left -= len(text)
        if self._encode_left < 0:
          raise _RefusedError(f"refused repeated text; {_INERT}")
        return text.encode("latin-1")
      case "bytes", ():
        return b""
      case "frombuffer", (data, dtype, shape, str(order), *axes):
        values = _values(data, dtype, shape, "F" if order == "F" else "C")
        if order == "K" and axes:
          values = values.transpose(_sizes(axes[0]))
        return _Array(values)
    raise _RefusedError(f"refused a call of {function.text}; {_INERT}")

  def _build(self, target: Any, state: Any) -> None:
    match target, state:
      case _Array(values=None), (1, shape, dtype, bool(fortran), data):
        order = "F" if fortran else "C"
        target.values = _values(data, dtype, shape, order)
      case _Dtype(), (int(), str(order), None, None, None, *_) if order in (
        "|",
        "<",
        ">",
        "=",
      ):
        target.order = "=" if order == "|" else order
      case _:
        raise _RefusedError(f"refused the state of an object; {_INERT}")


def _sizes(shape: Any) -> tuple[int, ...]:
  """Checks a tuple of sizes, so that products of them stay small numbers."""
  if not isinstance(shape, tuple) or len(shape) > _MOST_DIMENSIONS:
    raise _RefusedError("the shape of its array makes no sense")
  if not all(type(size) is int and 0 <= size < 2**31 for size in shape):
    raise _RefusedError("the shape of its array makes no sense")
  return shape


def _values(data: Any, dtype: Any, shape: Any, order: str) -> np.ndarray:
  """Views bytes as an array; no byte more than the file brought along."""
  if isinstance(data, str):  # Python 2's bytes.
    data = data.encode("latin-1")
  if not isinstance(data, bytes | bytearray) or not isinstance(dtype, _Dtype):
    raise _RefusedError(f"refused an array without plain bytes; {_INERT}")
  kind = np.dtype(dtype.order + dtype.code)
  if math.prod(_sizes(shape)) * kind.itemsize != len(data):
    raise _RefusedError("the shape of its array does not fit its bytes")
  return np.frombuffer(data, kind).reshape(shape, order=order)


def load_array(path: str | os.PathLike[str]) -> np.ndarray:
  """Reads the numpy array that a pickle holds; runs nothing.

  Args:
    path: a pickle of protocol 0 to 5, written by Python 2 or 3, that holds one
      array of booleans, integers or floating-point numbers.

  Returns:
    The array; it may be read-only.

  Raises:
    UserError: the file cannot be read, is empty, truncated or not a pickle, or
      holds anything else than such an array (what it is, is named).
  """
  path = os.fspath(path)
  try:
    if (size := os.path.getsize(path)) > _MOST_BYTES:
      raise UserError(
        f"{path}: {size} bytes are too much for a pickle of silhouettes; "
        "split the sequence."
      )
    with open(path, "rb") as file:
      data = file.read(size)
  except OSError as error:
    raise UserError(
      f"{path}: cannot be read ({error.strerror}); mend or delete it."
    ) from error
  if not data:
    raise UserError(
      f"{path}: the file is empty; copy it again or delete its folder."
    )
  try:
    return _Interpreter(data).run()
  except _RefusedError as error:
    raise UserError(
      f"{path}: {error}. Nothing was run; delete the file or write the array "
      "again."
    ) from None
  except (
    ArithmeticError,
    AssertionError,
    LookupError,
    MemoryError,
    TypeError,
    ValueError,
  ) as error:
    raise UserError(
      f"{path}: not a whole pickle ({_printable(str(error))}); copy the file "
      "again."
    ) from None


def as_silhouettes(
  values: np.ndarray, path: str | os.PathLike[str]
) -> np.ndarray:
  """Brings normalised silhouettes to uint8 0..255 and 64 x 64 pixels.

  Args:
    values: [s, 64, 64], or [s, 64, 44] as OpenGait's loader cuts them, which
      gets its 10 columns on each side back, black. Numbers from 0 to 255, or
      masks from 0 to 1 (then times 255).
    path: where they come from, for the error.

  Returns:
    uint8 [s, 64, 64].

  Raises:
    UserError: another shape, or numbers outside 0..255.
  """
  shape = " x ".join(str(size) for size in values.shape)
  if values.ndim != 3:
    raise UserError(
      f"{path}: the array is {shape}; silhouettes are frames x 64 x 64."
    )
  if values.shape[1:] not in ((_SIDE, _SIDE), (_SIDE, _NARROW)):
    raise UserError(
      f"{path}: the array is {shape}; silhouettes are frames x 64 x 64 (or "
      "44): pre-treat the sequences again for 64, or give the PNG files."
    )
  values = _as_uint8(values, path)
  side = (_SIDE - values.shape[2]) // 2
  return np.pad(values, ((0, 0), (0, 0), (side, side)))


def as_heatmaps(values: np.ndarray, path: str | os.PathLike[str]) -> np.ndarray:
  """Brings heat maps to uint8 0..255 and 64 x 64 pixels.

  Args:
    values: [s, 2, 64, 64], limbs and joints, or [s, 2, 64, 44], which gets 10
      columns on each side back, black. uint8, or other numbers from 0 to 255 or
      from 0 to 1 (then times 255).
    path: where they come from, for the error.

  Returns:
    uint8 [s, 2, 64, 64].

  Raises:
    UserError: another shape, or numbers outside 0..255.
  """
  shape = " x ".join(str(size) for size in values.shape)
  if values.ndim != 4 or values.shape[1:] not in (
    (2, _SIDE, _SIDE),
    (2, _SIDE, _NARROW),
  ):
    raise UserError(
      f"{path}: the array is {shape}; heat maps are frames x 2 (limbs, joints) "
      "x 64 x 64 (or 44): make them again."
    )
  # A confidence of 1/255 may be the largest of a sequence: bytes stay.
  if values.dtype != np.uint8:
    values = _as_uint8(values, path)
  side = (_SIDE - values.shape[3]) // 2
  return np.pad(values, ((0, 0), (0, 0), (0, 0), (side, side)))


def _as_uint8(values: np.ndarray, path: str | os.PathLike[str]) -> np.ndarray:
  if values.size == 0:
    return values.astype(np.uint8)
  if values.dtype == np.bool_:
    # A byte other than 0 and 1 is possible in a file, and is true.
    values = (values.view(np.uint8) != 0).astype(np.uint8)
  low, high = values.min(), values.max()
  if not (low >= 0 and high <= 255):  # So that NaN is refused too.
    raise UserError(
      f"{path}: pixels from {low} to {high}; they must be 0 to 255 (or 0 to "
      "1): write them again."
    )
  if values.dtype == np.uint8 and high > 1:
    return values
  values = values.astype(np.float64)
  return np.rint(values * 255 if high <= 1 else values).astype(np.uint8)


def read_silhouettes(path: str | os.PathLike[str]) -> np.ndarray:
  """Reads a pickle of normalised silhouettes; runs nothing.

  Args:
    path: the pickle; see `load_array` and `as_silhouettes` for what it may be.

  Returns:
    uint8 [s, 64, 64], 0 to 255.

  Raises:
    UserError: one line that names the file, what is wrong and what to do.
  """
  return as_silhouettes(load_array(path), path)


def read_heatmaps(path: str | os.PathLike[str]) -> np.ndarray:
  """Reads a pickle of heat maps; runs nothing.

  Args:
    path: the pickle; see `load_array` and `as_heatmaps` for what it may be.

  Returns:
    uint8 [s, 2, 64, 64], 0 to 255: limbs, joints.

  Raises:
    UserError: one line that names the file, what is wrong and what to do.
  """
  return as_heatmaps(load_array(path), path)
