"""Writes PyTorch's checkpoints, and files that only look like them, by hand.

PyTorch is not needed, and what is written need not make sense.
"""

import struct
from typing import Any
from typing import NamedTuple
import zipfile

import numpy as np

# PyTorch's storages by what numpy has.
STORAGES = {
  "float64": "DoubleStorage",
  "float32": "FloatStorage",
  "float16": "HalfStorage",
  "int64": "LongStorage",
  "int32": "IntStorage",
  "int16": "ShortStorage",
  "int8": "CharStorage",
  "uint8": "ByteStorage",
  "bool": "BoolStorage",
  "complex64": "ComplexFloatStorage",
  "complex128": "ComplexDoubleStorage",
}


class Name(NamedTuple):
  """A class or function, by name."""

  module: str
  name: str


class Call(NamedTuple):
  """The call of something, and what its result is told afterwards."""

  function: Any
  arguments: Any
  state: Any = None


class Persistent(NamedTuple):
  """What lies outside the pickle."""

  identity: Any


class Raw(NamedTuple):
  """Opcodes as they are."""

  opcodes: bytes


def pickled(value):
  """A pickle of protocol 2."""
  return b"\x80\x02" + opcodes(value) + b"."


def opcodes(value):
  """The opcodes that push a value."""
  match value:
    case None:
      return b"N"
    case bool():
      return b"\x88" if value else b"\x89"
    case int():
      data = value.to_bytes(value.bit_length() // 8 + 1, "little", signed=True)
      return b"\x8a" + bytes([len(data)]) + data
    case float():
      return b"G" + struct.pack(">d", value)
    case str():
      data = value.encode()
      return b"X" + struct.pack("<I", len(data)) + data
    case Raw():
      return value.opcodes
    case Name():
      return f"c{value.module}\n{value.name}\n".encode()
    case Call():
      code = opcodes(value.function) + opcodes(value.arguments) + b"R"
      return code + (opcodes(value.state) + b"b" if value.state else b"")
    case Persistent():
      return opcodes(value.identity) + b"Q"
    case bytes():
      return opcodes(
        Call(Name("_codecs", "encode"), (value.decode("latin1"), "latin1"))
      )
    case dict():
      items = b"".join(
        map(opcodes, (x for pair in value.items() for x in pair))
      )
      return b"}(" + items + b"u"
    case list():
      return b"](" + b"".join(map(opcodes, value)) + b"e"
    case tuple():
      return b"(" + b"".join(map(opcodes, value)) + b"t"
  raise TypeError(type(value))


def storage(key, count, kind="FloatStorage", legacy=False):
  """The persistent name of a storage."""
  identity = ("storage", Name("torch", kind), key, "cpu", count)
  return Persistent(identity + (None,) if legacy else identity)


def tensor(block, shape, strides=None, offset=0):
  """A tensor that shows numbers of a storage."""
  if strides is None:
    strides = tuple(int(np.prod(shape[i + 1 :])) for i in range(len(shape)))
  hooks = Call(Name("collections", "OrderedDict"), ())
  return Call(
    Name("torch._utils", "_rebuild_tensor_v2"),
    (block, offset, tuple(shape), strides, False, hooks),
  )


def described(arrays, prefix="", legacy=False):
  """A state dict of arrays, and the bytes of their storages by key."""
  tensors, blocks = {}, {}
  for i, (name, value) in enumerate(arrays.items()):
    value = np.asarray(value)
    block = storage(str(i), value.size, STORAGES[value.dtype.name], legacy)
    tensors[prefix + name] = tensor(block, value.shape)
    blocks[str(i)] = value.tobytes()
  return tensors, blocks


def write_zip(
  path, content, blocks, top="archive/", order=b"little", **entries
):
  """Writes the zip of `torch.save`.

  Args:
    path: of the file.
    content: what its pickle holds; bytes: the pickle itself.
    blocks: bytes of storages by their keys.
    top: in front of the names of all entries.
    order: of bytes; None: it is not said.
    **entries: more entries, or others.
  """
  data = content if isinstance(content, bytes) else pickled(content)
  found = {"data.pkl": data, "version": b"3\n"}
  if order is not None:
    found["byteorder"] = order
  found |= {f"data/{key}": value for key, value in blocks.items()}
  path.parent.mkdir(parents=True, exist_ok=True)
  with zipfile.ZipFile(path, "w") as archive:
    for name, value in (found | entries).items():
      archive.writestr(top + name, value)


def write_legacy(path, content, blocks, counts):
  """Writes the file of a `torch.save` before version 1.6.

  Args:
    path: of the file.
    content: what its pickle holds.
    blocks: see `write_zip`.
    counts: how many numbers each storage has.
  """
  system = {"protocol_version": 1001, "little_endian": True, "type_sizes": {}}
  parts = [0x1950A86A20F9469CFC6C, 1001, system, content, list(blocks)]
  data = b"".join(map(pickled, parts))
  for key, block in blocks.items():
    data += struct.pack("<q", counts[key]) + block
  path.write_bytes(data)


def training(arrays, prefix="", step=7):
  """What OpenGait saves: the model, optimiser, schedule and loss scale.

  Returns:
    The content and the blocks of `write_zip`; those of the optimiser are not
    among them.
  """
  tensors, blocks = described(arrays, prefix)
  hidden = tensor(storage("of_optimiser", 4), (2, 2))
  scalar = Call(
    Name("numpy._core.multiarray", "scalar"),
    (
      Call(
        Name("numpy", "dtype"),
        ("f8", False, True),
        (3, "<", None, None, None, -1, -1, 0),
      ),
      np.float64(0.5).tobytes(),
    ),
  )
  milestones = Call(Name("collections", "Counter"), ({20: 1, 40: 1},))
  ordered = Call(
    Name("collections", "OrderedDict"), (), {"_metadata": {"version": 1}}
  )
  model = Raw(
    opcodes(ordered)
    + b"("
    + b"".join(opcodes(k) + opcodes(v) for k, v in tensors.items())
    + b"u"
  )
  content = {
    "model": model,
    "optimizer": {
      "state": {0: {"step": tensor(storage("s", 1), ()), "exp_avg": hidden}},
      "param_groups": [{"lr": 0.1, "params": [0], "betas": (0.9, 0.99)}],
    },
    "scheduler": {"milestones": milestones, "last": scalar, "verbose": False},
    "scaler": {"scale": 65536.0, "growth_tracker": 0, "device": None},
    "iteration": step,
  }
  return content, blocks
