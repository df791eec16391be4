"""Arrays in files of other programs."""

import os
import pickle
import struct

import numpy as np
import pytest

from gaitkd_jax.distill.cache import array_files
from tests.helpers import imported
from tests.helpers import mistakes


def arrays_of():
  rng = np.random.default_rng(0)
  return {
    "embedding": rng.normal(size=(3, 2, 4)).astype(np.float32),
    "logits": rng.normal(size=(3, 2, 5)).astype(np.float16),
    "row": np.arange(3),
    "digest": np.arange(32, dtype=np.uint8),
  }


def test_both_formats_give_the_same_arrays(tmp_path):
  arrays = arrays_of()
  np.savez_compressed(tmp_path / "a.npz", **arrays)
  imported.write_safetensors(tmp_path / "a.safetensors", arrays)
  for suffix in array_files.SUFFIXES:
    found = array_files.read(tmp_path / f"a{suffix}")
    assert found.keys() == arrays.keys()
    for key, value in arrays.items():
      assert found[key].dtype == value.dtype
      np.testing.assert_array_equal(found[key], value)


def test_bfloat16(tmp_path):
  header = b'{"x":{"dtype":"BF16","shape":[2],"data_offsets":[0,4]}}'
  numbers = struct.pack("<HH", 0x3F80, 0xC020)  # upper halves of float32
  length = len(header).to_bytes(8, "little")
  (tmp_path / "a.safetensors").write_bytes(length + header + numbers)
  found = array_files.read(tmp_path / "a.safetensors")["x"]
  assert found.astype(np.float32).tolist() == [1.0, -2.5]


class Payload:
  def __init__(self, path):
    self.path = path

  def __reduce__(self):
    return os.mkdir, (str(self.path),)


def test_pickles_are_never_run(tmp_path):
  payload = np.array([Payload(tmp_path / "ran")], object)
  np.savez(tmp_path / "a.npz", embedding=payload)
  (tmp_path / "b.npz").write_bytes(pickle.dumps(payload))
  for name in ("a.npz", "b.npz"):
    text = mistakes.message(array_files.read, tmp_path / name)
    assert "holds pickled objects, which are never run" in text and name in text
  assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize(
  "header, words",
  [
    ('{"x":{"dtype":"F9","shape":[1],"data_offsets":[0,4]}}', "dtype F9"),
    ('{"x":{"dtype":"F32","shape":[2],"data_offsets":[0,4]}}', "4 bytes for"),
    ('{"x":{"dtype":"F32","shape":[9],"data_offsets":[0,36]}}', "outside of"),
    ('{"x":{"dtype":"F32","shape":[1],"data_offsets":[-4,0]}}', "outside of"),
    ('{"x":{"dtype":"F32","shape":[-1],"data_offsets":[0,4]}}', "outside of"),
    ('{"x":{"dtype":"F32"}}', "data_offsets"),
    ('{"x":4}', "cannot be read"),
    ("[1]", "cannot be read"),
    ("{", "cannot be read"),
  ],
)
def test_a_header_that_lies_is_one_line(tmp_path, header, words):
  path = tmp_path / "a.safetensors"
  length = len(header).to_bytes(8, "little")
  path.write_bytes(length + header.encode() + bytes(8))
  assert words in mistakes.message(array_files.read, path)


@pytest.mark.parametrize("name", ["a.npz", "a.safetensors"])
def test_a_damaged_file_is_one_line(tmp_path, name):
  path = tmp_path / name
  assert "cannot be read" in mistakes.message(array_files.read, path)
  np.savez(tmp_path / "a.npz", **arrays_of())
  imported.write_safetensors(tmp_path / "a.safetensors", arrays_of())
  whole = path.read_bytes()
  for size in (0, 5, 200, len(whole) - 20):
    path.write_bytes(whole[:size])
    assert "cannot be read" in mistakes.message(array_files.read, path)
  np.save(tmp_path / "x.npy", np.zeros(3))
  (tmp_path / "x.npy").rename(path)
  assert "cannot be read" in mistakes.message(array_files.read, path)
