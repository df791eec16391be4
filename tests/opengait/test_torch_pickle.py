"""Pickles of PyTorch are interpreted: nothing in them runs."""

import io
import pickle
import tracemalloc

import pytest

from gaitkd_jax.opengait import torch_pickle
from gaitkd_jax.opengait import torch_values
from tests.helpers import torch_files
from tests.helpers.torch_files import Call
from tests.helpers.torch_files import Name
from tests.helpers.torch_files import Raw


def read(value):
  data = value if isinstance(value, bytes) else torch_files.pickled(value)
  return torch_pickle.read(io.BytesIO(data), len(data))


def test_plain_values():
  value = {
    "text": "ä",
    "numbers": [1, -(2**40), 0.5, True, False, None],
    3: (1, (2,), ()),
    "bytes": b"\x00\xff",
  }
  assert read(value) == value
  for protocol in range(6):
    assert read(pickle.dumps(value | {"list": [value]}, protocol)) == value | {
      "list": [value]
    }


def test_what_trainings_hold():
  counter = Call(Name("collections", "Counter"), ({20: 1},))
  ordered = Call(Name("collections", "OrderedDict"), (), {"_metadata": {}})
  assert read([counter, ordered]) == [{20: 1}, {}]
  assert read(Call(Name("torch", "Size"), ((2, 3),))) == (2, 3)
  device = Call(Name("torch", "device"), ("cuda", 0))
  assert read(device) == torch_values.Inert("device")
  dtype = Call(
    Name("numpy", "dtype"), ("f4",), (3, ">", None, None, None, -1, -1, 0)
  )
  scalar = Call(
    Name("numpy.core.multiarray", "scalar"), (dtype, b"\x3f\xc0\x00\x00")
  )
  assert read(scalar) == 1.5
  array = Call(
    Name("numpy.core.multiarray", "_reconstruct"),
    (Name("numpy", "ndarray"), (0,), b"b"),
    (1, (1,), dtype, False, b"\x3f\xc0\x00\x00"),
  )
  assert read(array) == torch_values.Inert("array")
  parameter = Call(
    Name("torch._utils", "_rebuild_parameter"),
    (torch_files.tensor(torch_files.storage("0", 2), (2,)), True, None),
  )
  assert read(parameter).shape == (2,)


# What would make the marker, in as many ways as pickles can call.
def attacks(marker):
  path = str(marker)
  code = f"open({path!r}, 'w').close()"
  touch = Raw(b"(" + torch_files.opcodes(path))
  inner = torch_files.pickled(Call(Name("os", "mkdir"), (path,)))
  return {
    "os.system": Call(Name("os", "system"), (f"touch {path}",)),
    "posix.mkdir": Call(Name("posix", "mkdir"), (path,)),
    "builtins.eval": Call(Name("builtins", "eval"), (code,)),
    "builtins.exec": Call(Name("builtins", "exec"), (code,)),
    "subprocess.Popen": Call(Name("subprocess", "Popen"), (["touch", path],)),
    "_pickle.loads": Call(Name("_pickle", "loads"), (inner,)),
    "builtins.open": Call(Name("builtins", "open"), (path, "w")),
    "opcode INST of os.mkdir": Raw(touch.opcodes + b"ios\nmkdir\n"),
    "io.open": Raw(
      b"("
      + torch_files.opcodes(Name("io", "open"))
      + torch_files.opcodes(path)
      + torch_files.opcodes("w")
      + b"o"
    ),
    # By the opcode NEWOBJ, which calls __new__.
    "numpy.memmap": Raw(
      torch_files.opcodes(Name("numpy", "memmap"))
      + torch_files.opcodes((path, "u1", "w+", 0, (1,)))
      + b"\x81"
    ),
    "os.mkdir": Raw(
      torch_files.opcodes("os")
      + torch_files.opcodes("mkdir")
      + b"\x93"
      + torch_files.opcodes((path,))
      + b"R"
    ),
  }


@pytest.mark.parametrize("name", attacks("x"))
def test_attacks(name, tmp_path):
  marker = tmp_path / "ran"
  data = torch_files.pickled({"model": attacks(marker)[name]})
  with pytest.raises(torch_values.RefusedError) as caught:
    read(data)
  assert name in str(caught.value)
  assert not marker.exists()
  # It is no empty threat.
  result = pickle.loads(data)["model"]
  if hasattr(result, "wait"):
    result.wait()
  if hasattr(result, "close"):
    result.close()
  assert marker.exists()


@pytest.mark.parametrize(
  "value, words",
  [
    (Name("torch.nn.modules.linear", "Linear"), "torch.nn.modules.linear.Line"),
    (Name("torch", "load"), "torch.load"),
    (Name("torch", "QInt8Storage"), "a dtype that is not read"),
    (Name("torch", "float8_e4m3fn"), "torch.float8_e4m3fn"),
    (Name("numpy", "load"), "numpy.load"),
    (Name("numpy.core.multiarray", "fromfile"), "fromfile"),
    (Name("torch._utils", "_rebuild_sparse_tensor"), "_rebuild_sparse_tensor"),
    (Name("collections", "defaultdict"), "collections.defaultdict"),
    (Name("a\tb", "c"), "a?b.c"),
    (Raw(b"\x82\x01"), "opcode EXT1"),
    (Raw(b"\x97"), "opcode NEXT_BUFFER"),
    (Raw(b"P0\n"), "opcode PERSID"),
    (torch_files.Persistent(("module", 1)), "no storage"),
    (Call(3, ()), "a call of a int"),
    (Call(Name("collections", "Counter"), (3,)), "something else"),
    (Call(Name("torch", "Size"), (1, 2, 3)), "with such values"),
    (Call(Name("torch", "Size"), (["x"],)), "makes no sense"),
    (Call(Name("torch", "FloatStorage"), ()), "a call of a Kind"),
    (Call(Name("numpy", "dtype"), ("O8",)), "dtype O8"),
    (
      Call(
        Name("numpy.core.multiarray", "_reconstruct"),
        (Name("collections", "OrderedDict"), (0,), b"b"),
      ),
      "array of another class",
    ),
    (Raw(torch_files.opcodes(3) + torch_files.opcodes({1: 2}) + b"b"), "state"),
    (Raw(torch_files.opcodes(3) + b"(" + b"NNu"), "put into an object"),
    (Raw(torch_files.opcodes(3) + b"Na"), "put into an object"),
    ({(1, 2): 3}, "neither text nor number"),
    (
      [
        torch_files.storage("0", 4),
        torch_files.storage("0", 4, "DoubleStorage"),
      ],
      "storage of two kinds",
    ),
    (
      torch_files.tensor(
        torch_files.storage("0", 4, legacy=True), (4,)
      )._replace(arguments=(3, 0, (4,), (1,), False, None)),
      "without a storage",
    ),
  ],
)
def test_refuses_by_name(value, words):
  with pytest.raises(torch_values.RefusedError) as caught:
    read(value)
  assert words in str(caught.value)


@pytest.mark.parametrize(
  "data",
  [b"", b"\x80", b"\x80\x02", b"\x80\x02.", b"(", b"q\x01.", b"u."]
  + [b"\x80\x02(NNN", b"h\x05.", b"R.", b"X\xff\xff\xff\x7fabc.", b"\xff."]
  + [b"I" + b"9" * 5000 + b"\n.", b"}(Nu.", b"\x86.", b"N\x87."],
)
def test_damaged(data):
  with pytest.raises(torch_pickle.DamagedError) as caught:
    read(data)
  assert "\n" not in str(caught.value)


def test_small_files_take_little_memory():
  """Texts and dicts that are named again and again are not copied."""
  text = torch_files.opcodes("x" * 100_000) + b"q\x01"
  encode = torch_files.opcodes(Name("_codecs", "encode")) + b"q\x02"
  latin = torch_files.opcodes("latin1") + b"q\x03"
  again = b"h\x02(h\x01h\x03tR0" * 20_000
  bomb = b"\x80\x02" + text + encode + latin + again + b"N."
  with pytest.raises(torch_values.RefusedError, match="repeated text"):
    read(bomb)
  many = torch_files.opcodes({i: i for i in range(20_000)}) + b"q\x01"
  counter = torch_files.opcodes(Name("collections", "Counter")) + b"q\x02"
  data = b"\x80\x02(" + many + counter + b"h\x02(h\x01tR" * 20_000 + b"l."
  tracemalloc.start()
  read(data)
  assert tracemalloc.get_traced_memory()[1] < 50e6
  tracemalloc.stop()


def test_deep_structures_are_no_danger():
  deep = b"\x80\x02" + b")" + b"\x85" * 1_000_000
  assert isinstance(read(deep + b"."), tuple)
  with pytest.raises(torch_values.RefusedError, match="neither text nor"):
    read(b"\x80\x02}" + deep[2:] + b"Ns.")


def test_odd_escapes_are_no_warning():
  # Of damaged text; Python warns of it, and what warns would be told twice.
  assert read(b"S'\\q'\n.") == "\\q"
