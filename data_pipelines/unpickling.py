"""Reads the numpy array in a pickle without running anything in the file.

Unpickling runs whatever the file says. This small interpreter runs nothing: it
walks through the opcodes, knows the few names that a pickled numpy array uses,
and gives each of them a meaning here. Any other name is refused before it is
looked up, imported or called. Memory stays within a few times the size of the
file.
"""

from collections.abc import Iterator
import dataclasses
import io
import math
import pickletools
import re
from typing import Any

import numpy as np

# One array takes some 50 opcodes, in any protocol.
_MOST_OPCODES = 10_000
_MOST_DIMENSIONS = 8
_PROTOCOLS = range(6)
_DTYPE = re.compile(r"[|<>=]?(b1|[iu][1248]|f[248])")
_PYTHON2_BYTES = re.compile(rb"""(?:[^\\]|\\[\\'"nrt]|\\x[0-9a-f]{2})*""")


class RefusedError(Exception):
  """The pickle asks for more than one array; says what it asks for."""


class DamagedError(Exception):
  """The bytes are not a whole pickle; says where they stop being one."""


@dataclasses.dataclass(frozen=True)
class _Name:
  """A permitted name; only this interpreter makes such objects."""

  text: str


@dataclasses.dataclass(frozen=True)
class _Container:
  """A list, dict or set; its contents are read, but not kept."""

  kind: str


@dataclasses.dataclass
class _Dtype:
  """The type of numbers, such as "u1", and their byte order."""

  code: str
  order: str = "="


@dataclasses.dataclass
class _Array:
  """An array; it has no values until its state has been read."""

  values: np.ndarray | None = None


# Opcodes that push the value that follows them: numbers, texts and bytes.
_LITERALS = frozenset(
  {"INT", "BININT", "BININT1", "BININT2", "LONG", "LONG1", "LONG4"}
  | {"FLOAT", "BINFLOAT", "STRING", "BINSTRING", "SHORT_BINSTRING"}
  | {"UNICODE", "SHORT_BINUNICODE", "BINUNICODE", "BINUNICODE8"}
  | {"SHORT_BINBYTES", "BINBYTES", "BINBYTES8", "BYTEARRAY8"}
)
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
  """Keeps a name that an attacker may have chosen to one plain line."""
  text = text if isinstance(text, str) else f"a {type(text).__name__}"
  return "".join(c if c.isprintable() else "?" for c in text[:100])


def _line(file: io.BytesIO) -> str:
  line = file.readline()
  if not line.endswith(b"\n"):
    raise ValueError("it ends in a name")
  return line[:-1].decode("utf-8")


def _opcodes(data: bytes) -> Iterator[tuple[str, Any]]:
  """Yields (opcode, argument); unlike `pickletools.genops` also of Python 2."""
  file = io.BytesIO(data)
  for _ in range(_MOST_OPCODES):
    code = file.read(1)
    if not code:
      raise ValueError("it ends too early")
    opcode = pickletools.code2op.get(code.decode("latin-1"))
    if opcode is None:
      raise ValueError(f"byte {file.tell() - 1} is not of a pickle")
    if opcode.name == "STRING":
      # This is how Python 2 writes bytes; pickletools expects ASCII text.
      text = pickletools.read_stringnl(file, decode=False)
      if not _PYTHON2_BYTES.fullmatch(text):
        raise ValueError("a text is not quoted as Python quotes it")
      argument = text.decode("unicode_escape")
    elif opcode.name in ("GLOBAL", "INST"):
      # pickletools would undo escapes, but `pickle` does not.
      argument = f"{_line(file)}.{_line(file)}"
    elif opcode.name == "PERSID":
      argument = _line(file)
    else:
      argument = opcode.arg.reader(file) if opcode.arg else None
    yield opcode.name, argument
    if opcode.name == "STOP":
      return
  raise RefusedError(f"more than {_MOST_OPCODES} opcodes; {_INERT}")


class _Interpreter:
  """The stack machine of pickles, without the power to run anything."""

  def __init__(self, data: bytes):
    self._data = data
    self._stack: list[Any] = []
    self._memo: dict[int, Any] = {}
    # Encoding one text many times would turn a small file into much memory.
    self._encode_left = len(data)

  def run(self) -> np.ndarray:
    """Returns the array in the pickle; raises if there is none."""
    for name, argument in _opcodes(self._data):
      self._step(name, argument)
    result = self._stack.pop()
    if isinstance(result, _Array) and result.values is not None:
      return result.values
    kind = getattr(result, "kind", type(result).__name__.lower().strip("_"))
    raise RefusedError(f"holds a value of type {kind}; {_INERT}")

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
          raise RefusedError(f"pickle protocol {argument} is not known")
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
      case _ if name in _LITERALS:
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
        raise RefusedError(f"refused opcode {name}; {_INERT}")

  def _find(self, name: str) -> _Name:
    if name not in _NAMES:
      raise RefusedError(f"refused {_printable(name)}; {_INERT}")
    return _NAMES[name]

  def _call(self, function: Any, arguments: Any) -> Any:
    if not isinstance(function, _Name) or not isinstance(arguments, tuple):
      raise RefusedError(f"refused a call; {_INERT}")
    match function.text, arguments:
      case "reconstruct", (first, _, _) if first is _NDARRAY:
        return _Array()
      case "dtype", (str(code), _, _):
        if not _DTYPE.fullmatch(code):
          raise RefusedError(f"refused dtype {_printable(code)}; {_INERT}")
        return _Dtype(code.lstrip("|<>="), code[0] if code[0] in "<>" else "=")
      case "encode", (str(text), "latin1" | "latin-1"):
        self._encode_left -= len(text)
        if self._encode_left < 0:
          raise RefusedError(f"refused repeated text; {_INERT}")
        return text.encode("latin-1")
      case "bytes", ():
        return b""
      case "frombuffer", (data, dtype, shape, str(order), *axes):
        values = _values(data, dtype, shape, "F" if order == "F" else "C")
        if order == "K" and axes:
          values = values.transpose(_sizes(axes[0]))
        return _Array(values)
    raise RefusedError(f"refused a call of {function.text}; {_INERT}")

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
        raise RefusedError(f"refused the state of an object; {_INERT}")


def _sizes(shape: Any) -> tuple[int, ...]:
  """Checks a tuple of sizes, so that their product stays a small number."""
  if not isinstance(shape, tuple) or len(shape) > _MOST_DIMENSIONS:
    raise RefusedError("the shape of its array makes no sense")
  if not all(type(size) is int and 0 <= size < 2**31 for size in shape):
    raise RefusedError("the shape of its array makes no sense")
  return shape


def _values(data: Any, dtype: Any, shape: Any, order: str) -> np.ndarray:
  """Views bytes as an array, which takes no memory beyond the bytes."""
  if isinstance(data, str):  # bytes of Python 2
    data = data.encode("latin-1")
  if not isinstance(data, bytes | bytearray) or not isinstance(dtype, _Dtype):
    raise RefusedError(f"refused an array without plain bytes; {_INERT}")
  kind = np.dtype(dtype.order + dtype.code)
  if math.prod(_sizes(shape)) * kind.itemsize != len(data):
    raise RefusedError("the shape of its array does not fit its bytes")
  return np.frombuffer(data, kind).reshape(shape, order=order)


def read_array(data: bytes) -> np.ndarray:
  """Returns the array that a pickle holds; runs nothing.

  Args:
    data: a pickle of protocol 0 to 5, written by Python 2 or 3, that holds one
      array of booleans, integers or floating-point numbers.

  Returns:
    The array; it may be read-only.

  Raises:
    RefusedError: the pickle holds anything else, which the error names.
    DamagedError: the bytes are not a whole pickle.
  """
  try:
    return _Interpreter(data).run()
  except (
    ArithmeticError,
    AssertionError,
    LookupError,
    MemoryError,
    TypeError,
    ValueError,
  ) as error:
    raise DamagedError(_printable(str(error))) from None
