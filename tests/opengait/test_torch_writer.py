"""Files that `torch.load` reads, written without PyTorch."""

import collections
import io
import pickle
import pickletools
import struct
import zipfile

import numpy as np
import pytest

from gaitkd_jax.opengait import torch_file
from gaitkd_jax.opengait import torch_writer


@pytest.fixture
def state():
  rng = np.random.default_rng(0)
  return {
    "module.ä": rng.standard_normal((2, 3, 4), np.float32),
    "turned": rng.standard_normal((2, 3), np.float32).T,
    "counter": np.array(5, np.int64),
    "empty": np.zeros((0, 2), np.float32),
  }


def test_is_read_as_it_was(state, tmp_path):
  torch_writer.write(tmp_path / "x.pt", state, 2**33)
  with torch_file.open_checkpoint(tmp_path / "x.pt") as opened:
    assert opened.step == 2**33
    assert list(opened.state) == list(state)
    for key, value in state.items():
      found = opened.state[key].read()
      assert found.dtype == value.dtype
      np.testing.assert_array_equal(found, value)
  assert [x.name for x in tmp_path.iterdir()] == ["x.pt"]


def test_is_what_pytorch_writes(state, tmp_path):
  """Numbers are aligned, checked, and named as in its own files."""
  torch_writer.write(tmp_path / "x.pt", state, 1)
  data = (tmp_path / "x.pt").read_bytes()
  with zipfile.ZipFile(tmp_path / "x.pt") as archive:
    assert archive.testzip() is None
    names = archive.namelist()
    assert names[0] == "x/data.pkl" and names[-1] == "x/version"
    assert archive.read("x/byteorder") == b"little"
    for entry in archive.infolist():
      assert entry.compress_type == zipfile.ZIP_STORED
      at = entry.header_offset
      name, extra = struct.unpack("<HH", data[at + 26 : at + 30])
      assert (at + 30 + name + extra) % 64 == 0
    content = archive.read("x/data.pkl")
  named = {
    argument
    for opcode, argument, _ in pickletools.genops(content)
    if opcode.name == "GLOBAL"
  }
  # Python's own unpickler agrees on what the opcodes say.
  assert named == {
    *("collections OrderedDict", "torch LongStorage", "torch FloatStorage"),
    "torch._utils _rebuild_tensor_v2",
  }

  class Reader(pickle.Unpickler):
    def find_class(self, module, name):
      return {"OrderedDict": collections.OrderedDict}.get(
        name, lambda *args: args
      )

    def persistent_load(self, identity):
      return identity[2:]

  found = Reader(io.BytesIO(content)).load()
  assert found["iteration"] == 1
  first = found["model"]["module.ä"]
  assert first == (("0", "cpu", 24), 0, (2, 3, 4), (12, 4, 1), False, {})


def test_nothing_is_left_of_what_cannot_be_written(tmp_path):
  with pytest.raises(KeyError):
    torch_writer.write(tmp_path / "x.pt", {"x": np.zeros(2, "f2")}, 0)
  assert list(tmp_path.iterdir()) == []


def test_pytorch_reads_it(state, tmp_path):
  torch = pytest.importorskip("torch")
  torch_writer.write(tmp_path / "x.pt", state, 7)
  for mmap in (False, True):
    found = torch.load(tmp_path / "x.pt", weights_only=True, mmap=mmap)
    assert found["iteration"] == 7
    for key, value in state.items():
      np.testing.assert_array_equal(found["model"][key].numpy(), value)
