"""Reads the pickle in a PyTorch file without running anything in it.

Unpickling runs whatever a file says. This interpreter runs nothing: it walks
through the opcodes, knows the few names that a training's checkpoint uses
(tensors, parameters, dicts, the numbers and arrays of optimisers and schedules)
and gives each of them a meaning here. Any other name is refused before it is
looked up, imported or called. A tensor stays a description of where its values
lie; `torch_file` reads these.
"""

import pickletools
from typing import Any
from typing import BinaryIO
import warnings

from gaitkd_jax.opengait import torch_values

_PROTOCOLS = range(6)
_MARK = object()
# Opcodes that push the value that follows them: numbers, texts and bytes.
_LITERALS = frozenset(
  {"INT", "BININT", "BININT1", "BININT2", "LONG", "LONG1", "LONG4"}
  | {"FLOAT", "BINFLOAT", "STRING", "BINSTRING", "SHORT_BINSTRING"}
  | {"UNICODE", "SHORT_BINUNICODE", "BINUNICODE", "BINUNICODE8"}
  | {"SHORT_BINBYTES", "BINBYTES", "BINBYTES8", "BYTEARRAY8"}
)


class DamagedError(Exception):
  """The bytes are no whole pickle; says where they stop being one."""


def read(
  file: BinaryIO,
  limit: int,
  storages: dict[str, torch_values.Storage] | None = None,
) -> Any:
  """Reads one pickle from where a file stands; runs nothing.

  Args:
    file: in memory; it stands behind the pickle afterwards.
    limit: how many bytes of text a pickle may have encoded, in all.
    storages: gets the storages that the pickle names, by their keys.

  Returns:
    Dicts, lists, tuples, numbers, texts, bytes and None as they are, tensors as
    `View`, and `Inert` in place of what else a checkpoint may hold.

  Raises:
    torch_values.RefusedError: the pickle holds anything else, which the error
      names.
    DamagedError: the bytes are not a whole pickle.
  """
  try:
    interpreter = _Interpreter(limit, storages)
    with warnings.catch_warnings():
      # Of escapes that Python will not know any more: bytes that were damaged.
      warnings.simplefilter("ignore", DeprecationWarning)
      for opcode, argument, _ in pickletools.genops(file):
        interpreter.step(opcode.name, argument)
    return interpreter.result()
  except (
    ArithmeticError,
    AssertionError,
    LookupError,
    MemoryError,
    TypeError,
    ValueError,
  ) as error:
    raise DamagedError(torch_values.printable(str(error))) from None


class _Interpreter:
  """The stack machine of pickles, without the power to run anything."""

  def __init__(
    self, limit: int, storages: dict[str, torch_values.Storage] | None
  ):
    self._storages = {} if storages is None else storages
    self._stack: list[Any] = []
    self._memo: dict[int, Any] = {}
    # Encoding one text many times would turn a small file into much memory.
    self._encode_left = limit

  def result(self) -> Any:
    """What the pickle holds."""
    return self._stack.pop()

  def _to_mark(self) -> list[Any]:
    at = len(self._stack) - 1
    while self._stack[at] is not _MARK:
      at -= 1
      if at < 0:
        raise ValueError("a mark is missing")
    items = self._stack[at + 1 :]
    del self._stack[at:]
    return items

  def step(self, name: str, argument: Any) -> None:
    """Takes one opcode."""
    stack = self._stack
    match name:
      case "STOP" | "FRAME":
        pass
      case "PROTO":
        if argument not in _PROTOCOLS:
          raise torch_values.RefusedError(
            f"pickle protocol {argument} is not known"
          )
      case "MARK":
        stack.append(_MARK)
      case "POP":
        stack.pop()
      case "POP_MARK":
        self._to_mark()
      case "DUP":
        stack.append(stack[-1])
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
        if len(stack) < count:
          raise ValueError("a value is missing")
        stack[-count:] = [tuple(stack[-count:])]
      case "EMPTY_LIST":
        stack.append([])
      case "LIST":
        stack.append(self._to_mark())
      case "EMPTY_DICT":
        stack.append({})
      case "DICT":
        stack.append(_fill({}, self._to_mark()))
      case "APPEND":
        item = stack.pop()
        _list(stack[-1]).append(item)
      case "APPENDS":
        items = self._to_mark()
        _list(stack[-1]).extend(items)
      case "SETITEM":
        value, key = stack.pop(), stack.pop()
        _fill(stack[-1], [key, value])
      case "SETITEMS":
        items = self._to_mark()
        _fill(stack[-1], items)
      case "GLOBAL":
        stack.append(torch_values.find(argument.replace(" ", ".", 1)))
      case "STACK_GLOBAL":
        attribute, module = stack.pop(), stack.pop()
        stack.append(
          torch_values.find(
            f"{torch_values.printable(module)}.{torch_values.printable(attribute)}"
          )
        )
      case "BINPERSID":
        storage = torch_values.storage_of(stack.pop())
        if self._storages.setdefault(storage.key, storage) != storage:
          raise torch_values.RefusedError("refused a storage of two kinds")
        stack.append(storage)
      case "REDUCE":
        arguments, function = stack.pop(), stack.pop()
        stack.append(self._call(function, arguments))
      case "BUILD":
        state = stack.pop()
        torch_values.build(stack[-1], state)
      case _:
        raise torch_values.RefusedError(f"refused opcode {name}{_of(argument)}")

  def _call(self, function: Any, arguments: Any) -> Any:
    if torch_values.is_encoding(function):
      return self._encode(arguments)
    return torch_values.call(function, arguments)

  def _encode(self, arguments: Any) -> bytes:
    match arguments:
      case (str(text), "latin1" | "latin-1"):
        self._encode_left -= len(text)
        if self._encode_left < 0:
          raise torch_values.RefusedError("refused repeated text")
        return text.encode("latin-1")
    raise torch_values.RefusedError("refused a call of _codecs.encode")


def _of(argument: Any) -> str:
  """The name that an opcode such as INST gives."""
  if not isinstance(argument, str):
    return ""
  return f" of {torch_values.printable(argument.replace(' ', '.', 1))}"


def _list(target: Any) -> list[Any]:
  if not isinstance(target, list):
    raise torch_values.RefusedError("refused what is put into an object")
  return target


def _fill(target: Any, items: list[Any]) -> dict[Any, Any]:
  """Puts keys and values into a dict."""
  if not isinstance(target, dict):
    raise torch_values.RefusedError("refused what is put into an object")
  if len(items) % 2:
    raise ValueError("a value is missing")
  for key, value in zip(items[::2], items[1::2], strict=True):
    # Deep tuples would overflow the stack of whoever hashes them.
    if not isinstance(key, str | bytes | int | float | None):
      raise torch_values.RefusedError(
        "refused a key that is neither text nor number"
      )
    target[key] = value
  return target
