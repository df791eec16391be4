"""Pickles are read without running anything, whatever they hold."""

import os
import pickle
import pickletools
import struct
import time
import tracemalloc

import numpy as np
import pytest

from data_pipelines import pickles
from tests.helpers import mistakes

PROTOCOLS = range(6)


def silhouettes(frames=3, width=64, seed=0):
  values = np.random.default_rng(seed).integers(0, 256, (frames, 64, width))
  return values.astype(np.uint8)


def refusal(path):
  message = mistakes.message(pickles.read_silhouettes, path)
  assert "\x1b" not in message
  assert str(path) in message
  return message


@pytest.mark.parametrize(
  ("values", "text"),
  [
    (np.zeros((3, 120, 88), np.uint8), "3 x 120 x 88"),
    (np.zeros((3, 2, 64, 64), np.uint8), "3 x 2 x 64 x 64"),
    (np.zeros((64, 64), np.uint8), "64 x 64"),
    (np.full((1, 64, 64), 256, np.int32), "256"),
    (np.full((1, 64, 64), -1, np.int32), "-1"),
    (np.full((1, 64, 64), np.nan), "nan"),
    (np.full((1, 64, 64), np.inf), "inf"),
    (np.full((1, 64, 64), 1j), "dtype c16"),
    (np.full((1, 64, 64), "x"), "dtype U1"),
    (np.full((1, 64, 64), b"x"), "dtype S1"),
    (np.zeros((1, 64, 64), "u1,u1"), "dtype V2"),
    (np.zeros((1, 64, 64), "M8[s]"), "dtype M8"),
    (np.uint8(3), "scalar"),
    ([np.zeros((64, 64), np.uint8)] * 3, "type list"),
    ({"silhouettes": silhouettes()}, "type dict"),
    ({1, 2}, "type set"),
    (None, "type nonetype"),
    ("text", "type str"),
    ((1, 2), "type tuple"),
  ],
)
def test_refuses_other_contents(tmp_path, values, text):
  path = tmp_path / "090.pkl"
  for protocol in PROTOCOLS:
    path.write_bytes(pickle.dumps(values, protocol))
    message = refusal(path)
    # Sets and bytes scalars need a callable in the old protocols.
    assert text in message or "refused" in message
  assert text in message


class Call:
  """Pickles as a call."""

  def __init__(self, function, *arguments):
    self.result = function, arguments

  def __reduce__(self):
    return self.result


def _touch(path):
  return f"touch {path}"


def attacks(target):
  """Yields (what, bytes, what the message must name)."""
  command = _touch(target)
  system = Call(os.system, command)
  for protocol in PROTOCOLS:
    yield "system", pickle.dumps(system, protocol), "posix.system"
    hidden = np.array([system], dtype=object)
    yield "object array", pickle.dumps(hidden, protocol), "refused"
    nested = {"silhouettes": [silhouettes(), system]}
    yield "nested", pickle.dumps(nested, protocol), "posix.system"
  code = f"open({str(target)!r}, 'w').close()"
  yield "eval", pickle.dumps(Call(eval, code)), "builtins.eval"
  yield "exec", pickle.dumps(Call(exec, code), 0), "__builtin__.exec"
  yield "open", pickle.dumps(Call(open, str(target), "w")), "io.open"
  yield "getattr", pickle.dumps(Call(getattr, "", "upper")), "getattr"
  yield (
    "numpy file",
    pickle.dumps(Call(np.save, str(target), np.zeros(1))),
    "numpy.save",
  )
  yield (
    "method",
    (b"\x80\x04\x8c\x05numpy\x8c\x0endarray.tofile\x93."),
    "numpy.ndarray.tofile",
  )
  text = command.encode()
  yield "INST", b"(S'" + text + b"'\nios\nsystem\n.", "os.system"
  yield "OBJ", b"(cos\nsystem\nS'" + text + b"'\no.", "os.system"
  yield (
    "NEWOBJ",
    (b"\x80\x02csubprocess\nPopen\n(S'" + text + b"'\nt\x81."),
    "subprocess.Popen",
  )
  yield (
    "NEWOBJ of ndarray",
    (b"\x80\x02cnumpy\nndarray\n((I99999\nI99999\ntt\x81."),
    "refused",
  )
  yield (
    "REDUCE of ndarray",
    (b"cnumpy\nndarray\n((I99999\nI99999\nttR."),
    "call of ndarray",
  )
  yield (
    "other class",
    (b"cnumpy.core.multiarray\n_reconstruct\n(cposix\nsystem\n(I0\ntS'b'\ntR."),
    "posix.system",
  )
  yield "subclass", pickle.dumps(np.ma.zeros(1)), "numpy.ma"
  yield "persistent id", b"Pfile\n.", "PERSID"
  yield "binary persistent id", b"N\x51.", "BINPERSID"
  yield "extension", b"\x80\x02\x82\x01.", "EXT1"
  yield "buffer", b"\x80\x05\x97.", "NEXT_BUFFER"
  yield (
    "BUILD of a name",
    (b"cnumpy\nndarray\n(N(S'__call__'\ncposix\nsystem\ndtb."),
    "posix.system",
  )
  yield (
    "BUILD with attributes",
    (b"c_codecs\nencode\n}S'__defaults__'\nNsb."),
    "state",
  )
  yield "codec", b"c_codecs\nencode\n(S'x'\nS'bz2'\ntR.", "call of encode"
  yield "bytes of a size", b"c__builtin__\nbytes\n(I9999999999\ntR.", "bytes"
  for dtype in (b"O8", b"V8", b"U9", b"u1,O", b"(9999,9999)u1", b"f16"):
    yield (
      "dtype",
      (b"cnumpy\ndtype\n(S'" + dtype + b"'\nI0\nI1\ntR."),
      "dtype " + dtype.decode(),
    )
  for shape in (
    b"I99999\nI99999\nI99999\n",
    b"I-1\nI-4\nI1\n",
    b"I4611686018427387904\nI4\nI1\n",
    b"I01\nI2\nI2\n",
    b"L" + b"9" * 4000 + b"L\n" + b"L" + b"9" * 4000 + b"L\n",
  ):
    yield (
      "shape",
      (
        b"cnumpy.core.multiarray\n_reconstruct\n(cnumpy\nndarray\n(I0\nt"
        b"S'b'\ntR(I1\n(" + shape + b"tcnumpy\ndtype\n(S'u1'\nI0\nI1\ntR"
        b"I00\nS'abcd'\ntb."
      ),
      "the shape of its array",
    )
  yield (
    "unbuilt array",
    (
      b"cnumpy.core.multiarray\n_reconstruct\n(cnumpy\nndarray\n"
      b"(I99999\nI99999\ntS'b'\ntR."
    ),
    "type array",
  )
  yield "memo bomb", b"\x80\x02Nr\xff\xff\xff\xff.", "nonetype"
  yield "huge bytes", b"\x80\x04\x8e" + struct.pack("<Q", 2**62), "whole"
  yield "huge bytearray", b"\x80\x05\x96" + struct.pack("<Q", 2**36), "whole"
  yield "huge number", b"\x8b\xff\xff\xff\x7f", "whole"
  text = b"X" + struct.pack("<I", 10**6) + b"a" * 10**6
  yield (
    "repeated text",
    (
      b"c_codecs\nencode\np0\n0("
      + text
      + b"X\6\0\0\0latin1tp1\n0"
      + b"g0\ng1\nR" * 2000
      + b"."
    ),
    "repeated text",
  )
  yield "flood", b"(" * 10**6, "opcodes"
  yield "doubling", b"\x80\x02)" + b"2\x86" * 4000 + b".", "DUP"
  yield (
    "terminal",
    (b"\x80\x04\x8c\x04os\n\x1b\x8c\x06system\x93."),
    "os??.system",
  )
  yield "number as a name", b"\x80\x04K\1K\2\x93.", "a int"
  yield "protocol", b"\x80\x09N.", "protocol 9"
  yield "no mark", b"t.", "whole"
  yield "no memo", b"g7\n.", "whole"
  yield "no stack", b".", "whole"
  yield "quotes", b"S'\\q'\n.", "whole"
  yield "text file", b"not a pickle at all\n", "whole"
  yield "image", b"\x89PNG\r\n\x1a\n" + bytes(99), "refused"
  yield "archive", b"PK\x03\x04" + bytes(99), "whole"
  yield "zeros", bytes(4096), "whole"
  yield "nothing", b"", "empty"


def test_refuses_attacks_and_runs_nothing(tmp_path):
  target = tmp_path / "it_ran"
  path = tmp_path / "090.pkl"
  count = 0
  for what, data, text in attacks(target):
    path.write_bytes(data)
    tracemalloc.start()
    started = time.perf_counter()
    message = refusal(path)
    took = time.perf_counter() - started
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert text in message, (what, message)
    assert not target.exists(), what
    assert peak < 4 * len(data) + 2**20, (what, peak)
    assert took < 5, (what, took)
    count += 1
  assert count > 60


def test_the_attacks_are_real(tmp_path):
  target = tmp_path / "it_ran"
  found = {}
  for what, data, _ in attacks(target):
    found.setdefault(what, data)
  for what in ("system", "eval", "open", "nested", "object array", "INST"):
    result = pickle.loads(found[what])
    if what == "open":
      result.close()
    assert target.exists(), what
    target.unlink()


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_refuses_every_truncation(tmp_path, protocol):
  data = pickle.dumps(np.zeros((1, 2, 2), np.uint8), protocol)
  path = tmp_path / "090.pkl"
  for length in range(len(data)):
    path.write_bytes(data[:length])
    message = refusal(path)
    assert "whole" in message or "empty" in message


def test_random_damage_never_escapes(tmp_path):
  rng = np.random.default_rng(0)
  path = tmp_path / "090.pkl"
  bases = [
    np.frombuffer(pickle.dumps(silhouettes(1)[:, :4, :4], p), np.uint8)
    for p in PROTOCOLS
  ]
  for trial in range(1500):
    data = bases[trial % len(bases)].copy()
    at = rng.integers(0, len(data), 1 + trial % 4)
    data[at] = rng.integers(0, 256, len(at))
    path.write_bytes(data.tobytes())
    refusal(path)  # The undamaged frames of 4 x 4 are refused as well.


def test_pickles_of_python_2_have_a_known_form():
  # The forms written by hand above must be pickles to Python, too.
  data = b"(S'a\\xff'\nI01\ntp0\n."
  assert [op.name for op, _, _ in pickletools.genops(b"I01\n.")] == [
    "INT",
    "STOP",
  ]
  assert pickle.loads(data, encoding="latin-1") == ("a\xff", True)


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize("order", ["C", "F", "sliced"])
def test_reads_every_protocol(tmp_path, protocol, order):
  values = silhouettes()
  stored = values if order != "F" else np.asfortranarray(values)
  if order == "sliced":
    stored = np.repeat(values, 2, axis=0)[::2]
  path = tmp_path / "090.pkl"
  path.write_bytes(pickle.dumps(stored, protocol))
  result = pickles.read_silhouettes(path)
  assert result.dtype == np.uint8
  np.testing.assert_array_equal(result, values)


def test_reads_transposed_buffers(tmp_path):
  values = silhouettes()
  path = tmp_path / "090.pkl"
  path.write_bytes(pickle.dumps(values.transpose(0, 2, 1), 5))
  np.testing.assert_array_equal(
    pickles.read_silhouettes(path), values.transpose(0, 2, 1)
  )


@pytest.mark.parametrize("protocol", [0, 2])
def test_reads_pickles_of_python_2(tmp_path, protocol):
  values = silhouettes(2)
  if protocol == 0:
    quoted = "".join(f"\\x{byte:02x}" for byte in values.tobytes())
    text = b"S'" + quoted.encode() + b"'\n"
  else:
    text = b"T" + struct.pack("<I", values.size) + values.tobytes()
  path = tmp_path / "090.pkl"
  path.write_bytes(
    b"cnumpy.core.multiarray\n_reconstruct\np0\n(cnumpy\nndarray\np1\n"
    b"(I0\ntp2\nS'b'\np3\ntp4\nRp5\n(I1\n(I2\nI64\nI64\ntp6\n"
    b"cnumpy\ndtype\np7\n(S'u1'\nI0\nI1\ntRp8\n"
    b"(I3\nS'|'\nNNNI-1\nI-1\nI0\ntbI00\n" + text + b"tb."
  )
  np.testing.assert_array_equal(pickles.read_silhouettes(path), values)


def test_reads_an_empty_sequence(tmp_path):
  path = tmp_path / "090.pkl"
  for protocol in PROTOCOLS:
    path.write_bytes(pickle.dumps(silhouettes(0), protocol))
    assert pickles.read_silhouettes(path).shape == (0, 64, 64)
