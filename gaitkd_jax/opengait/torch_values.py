"""What the names in a PyTorch file mean: tensors, storages, dicts, numbers.

Every name that the interpreter of `torch_pickle` permits has its meaning here;
none is imported or called. A tensor is a `View`, a description of where its
values lie.
"""

from collections.abc import Callable
from collections.abc import Mapping
import dataclasses
import math
import re
from typing import Any

import numpy as np

# PyTorch's names of dtypes, and how numpy stores them. bfloat16 is the upper
# half of a float32.
DTYPES: Mapping[str, str] = {
  "float64": "f8",
  "float32": "f4",
  "float16": "f2",
  "bfloat16": "u2",
  "int64": "i8",
  "int32": "i4",
  "int16": "i2",
  "int8": "i1",
  "uint64": "u8",
  "uint32": "u4",
  "uint16": "u2",
  "uint8": "u1",
  "bool": "b1",
  "complex64": "c8",
  "complex128": "c16",
}
# Its typed storages; those of the other dtypes are untyped.
_STORAGES: Mapping[str, str] = {
  "DoubleStorage": "float64",
  "FloatStorage": "float32",
  "HalfStorage": "float16",
  "BFloat16Storage": "bfloat16",
  "LongStorage": "int64",
  "IntStorage": "int32",
  "ShortStorage": "int16",
  "CharStorage": "int8",
  "ByteStorage": "uint8",
  "BoolStorage": "bool",
  "ComplexFloatStorage": "complex64",
  "ComplexDoubleStorage": "complex128",
}
_UNTYPED = "untyped"
_MOST_DIMENSIONS = 16
_NUMBERS = re.compile(r"[|<>=]?(b1|[iu][1248]|f[248])")


class RefusedError(Exception):
  """The pickle asks for what no checkpoint needs; says for what."""


@dataclasses.dataclass(frozen=True)
class Storage:
  """A block of numbers in the file.

  Attributes:
    key: its name in the file.
    dtype: of the numbers, one of `DTYPES`; "untyped": they are bytes.
    count: how many there are.
  """

  key: str
  dtype: str
  count: int

  @property
  def bytes(self) -> int:
    """How many bytes it takes."""
    return self.count * itemsize(self.dtype)


@dataclasses.dataclass(frozen=True)
class View:
  """A tensor: which numbers of a storage it shows.

  Attributes:
    storage: where they lie.
    dtype: one of `DTYPES`.
    offset: of the first number, in numbers, as are the strides.
    shape: of the tensor.
    strides: from a number to the next one, along each dimension.
  """

  storage: Storage
  dtype: str
  offset: int
  shape: tuple[int, ...]
  strides: tuple[int, ...]


@dataclasses.dataclass(frozen=True)
class Inert:
  """Something that may be in a file and is not needed."""

  kind: str


@dataclasses.dataclass(frozen=True)
class _Name:
  """A permitted name; only this interpreter makes such objects."""

  text: str


@dataclasses.dataclass(frozen=True)
class _Kind:
  """The kind of a storage; `dtype` as in `Storage`."""

  dtype: str


@dataclasses.dataclass(frozen=True)
class _Dtype:
  """A dtype of PyTorch's, by name; not all of them can be read."""

  name: str


@dataclasses.dataclass
class _NumpyDtype:
  """A dtype of numpy's; its state tells the byte order."""

  code: str


def itemsize(dtype: str) -> int:
  """Bytes of a number of a dtype."""
  return 1 if dtype == _UNTYPED else np.dtype(DTYPES[dtype]).itemsize


def _permitted() -> dict[str, Any]:
  names: dict[str, Any] = {
    "collections.OrderedDict": _Name("OrderedDict"),
    "collections.Counter": _Name("Counter"),  # milestones of a schedule
    "torch.Size": _Name("Size"),
    "torch.device": _Name("device"),
    "torch.storage.UntypedStorage": _Kind(_UNTYPED),
    "torch.storage._UntypedStorage": _Kind(_UNTYPED),
    "torch.UntypedStorage": _Kind(_UNTYPED),
    "torch.storage.TypedStorage": _Kind(_UNTYPED),
    "torch.storage._TypedStorage": _Kind(_UNTYPED),
    "numpy.dtype": _Name("numpy.dtype"),
    "numpy.ndarray": _Name("numpy.ndarray"),
    "_codecs.encode": _Name("encode"),
    # Protocol 2 writes empty bytes as a call of `bytes`.
    "builtins.bytes": _Name("bytes"),
    "__builtin__.bytes": _Name("bytes"),
  }
  for function in ("tensor", "tensor_v2", "tensor_v3", "parameter"):
    names[f"torch._utils._rebuild_{function}"] = _Name(function)
  for storage, dtype in _STORAGES.items():
    names[f"torch.{storage}"] = _Kind(dtype)
  for dtype in DTYPES:
    names[f"torch.{dtype}"] = _Dtype(dtype)
  for core in ("numpy.core", "numpy._core"):
    names[f"{core}.multiarray._reconstruct"] = _Name("numpy.array")
    names[f"{core}.multiarray.scalar"] = _Name("numpy.scalar")
  return names


_NAMES = _permitted()


def printable(text: Any, most: int = 100) -> str:
  """Keeps what an attacker may have chosen to one plain line."""
  text = text if isinstance(text, str) else f"a {type(text).__name__}"
  return "".join(c if c.isprintable() else "?" for c in text[:most])


def find(name: str) -> Any:
  """What a name in a pickle stands for.

  Args:
    name: of module and attribute, joined by a dot.

  Raises:
    RefusedError: it is not permitted.
  """
  found = _NAMES.get(name)
  if found is None:
    if name.startswith("torch.") and name.endswith("Storage"):
      raise RefusedError(f"{printable(name)} is of a dtype that is not read")
    raise RefusedError(f"refused {printable(name)}")
  return found


def build(target: Any, state: Any) -> None:
  """Attributes of a state dict, such as `_metadata`, are left out."""
  match target:
    case dict():
      return
    case Inert(kind="array"):
      match state:
        case (1, tuple(), _NumpyDtype(), bool(), bytes() | str()):
          return
    case _NumpyDtype():
      match state:
        case (int(), "|" | "<" | ">" | "=" as order, None, None, None, *_):
          target.code = order.replace("|", "") + target.code
          return
  raise RefusedError("refused the state of an object")


def storage_of(identity: Any) -> Storage:
  """The storage that a persistent name stands for."""
  match identity:
    case ("storage", _Kind(dtype), str(key), str(), int(count), *rest):
      if rest and rest != [None]:
        raise RefusedError("a view of a storage is not read; save it whole")
      if not 0 <= count < 2**48:
        raise RefusedError("the size of a storage makes no sense")
      return Storage(key, dtype, count)
  raise RefusedError("refused a persistent name that is no storage")


def _tensor(
  storage: Any, offset: Any, shape: Any, strides: Any, *_: Any
) -> View:
  if not isinstance(storage, Storage):
    raise RefusedError("refused a tensor without a storage")
  # An untyped storage counts bytes; its tensors are bytes, too.
  dtype = "uint8" if storage.dtype == _UNTYPED else storage.dtype
  return _view(storage, dtype, offset, shape, strides)


def _tensor_of_dtype(
  storage: Any,
  offset: Any,
  shape: Any,
  strides: Any,
  requires_grad: Any,
  hooks: Any,
  dtype: Any,
  *_: Any,
) -> View:
  del requires_grad, hooks
  if not isinstance(storage, Storage) or not isinstance(dtype, _Dtype):
    raise RefusedError("refused a tensor without storage and dtype")
  return _view(storage, dtype.name, offset, shape, strides)


def _view(
  storage: Storage, dtype: str, offset: Any, shape: Any, strides: Any
) -> View:
  """Checks that a tensor lies within its storage."""
  shape, strides = _sizes(shape), _sizes(strides)
  if type(offset) is not int or offset < 0 or len(shape) != len(strides):
    raise RefusedError("the layout of a tensor makes no sense")
  view = View(storage, dtype, offset, shape, strides)
  if extent(view) * itemsize(dtype) > storage.bytes:
    raise RefusedError(
      f"a tensor of shape {list(shape)} reaches beyond its storage "
      f"{printable(storage.key)} of {storage.bytes} bytes"
    )
  return view


def extent(view: View) -> int:
  """Up to which number of its storage a tensor reaches."""
  if not math.prod(view.shape):
    return 0
  pairs = zip(view.shape, view.strides, strict=True)
  return view.offset + 1 + sum((size - 1) * step for size, step in pairs)


def _sizes(values: Any) -> tuple[int, ...]:
  """Checks a tuple of sizes, so that what follows stays small numbers."""
  if not isinstance(values, tuple) or len(values) > _MOST_DIMENSIONS:
    raise RefusedError("the shape of a tensor makes no sense")
  if not all(type(x) is int and 0 <= x < 2**48 for x in values):
    raise RefusedError("the shape of a tensor makes no sense")
  return values


def _parameter(data: Any, *_: Any) -> View:
  if not isinstance(data, View):
    raise RefusedError("refused a parameter without a tensor")
  return data


def _dict(content: Any = None) -> dict[Any, Any]:
  """An `OrderedDict` or a `Counter`; not a copy, which would take memory."""
  if content is None:
    return {}
  if not isinstance(content, dict):
    raise RefusedError("refused a dict that is made of something else")
  return content


def _size(values: Any = ()) -> tuple[int, ...]:
  return _sizes(values)


def _numpy_dtype(code: Any, *_: Any) -> _NumpyDtype:
  if not isinstance(code, str) or not _NUMBERS.fullmatch(code):
    raise RefusedError(f"refused dtype {printable(code)}")
  return _NumpyDtype(code.lstrip("|<>="))


def _numpy_scalar(dtype: Any, data: Any = None) -> Any:
  if isinstance(data, str):
    data = data.encode("latin-1")
  if not isinstance(dtype, _NumpyDtype) or not isinstance(data, bytes):
    raise RefusedError("refused a numpy scalar without plain bytes")
  return np.frombuffer(data, dtype.code, 1)[0].item()


def _numpy_array(first: Any, *_: Any) -> Inert:
  if first != _Name("numpy.ndarray"):
    raise RefusedError("refused an array of another class")
  return Inert("array")


# What a call of a permitted name means, by that name.
_CALLS: Mapping[str, Callable[..., Any]] = {
  "OrderedDict": _dict,
  "Counter": _dict,
  "Size": _size,
  "bytes": lambda: b"",
  "device": lambda *_: Inert("device"),
  "numpy.array": _numpy_array,
  "numpy.dtype": _numpy_dtype,
  "numpy.scalar": _numpy_scalar,
  "parameter": _parameter,
  "tensor": _tensor,
  "tensor_v2": _tensor,
  "tensor_v3": _tensor_of_dtype,
}


def call(function: Any, arguments: Any) -> Any:
  """What the call of a permitted name gives."""
  name = function.text if isinstance(function, _Name) else ""
  if name not in _CALLS or not isinstance(arguments, tuple):
    what = name or f"a {type(function).__name__.strip('_')}"
    raise RefusedError(f"refused a call of {what}")
  try:
    return _CALLS[name](*arguments)
  except TypeError:
    raise RefusedError(f"refused a call of {name} with such values") from None


def is_encoding(function: Any) -> bool:
  """Whether it is `_codecs.encode`."""
  return function == _Name("encode")
