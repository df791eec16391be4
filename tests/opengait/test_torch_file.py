"""Checkpoints of PyTorch, read without it."""

import io
import struct
import zipfile

import numpy as np
import pytest

from gaitkd_jax import errors
from gaitkd_jax.opengait import torch_file
from tests.helpers import torch_files


def read(path):
  """All arrays of a file, and its step."""
  with torch_file.open_checkpoint(path) as opened:
    return {k: x.read() for k, x in opened.state.items()}, opened.step


def refusal(path):
  """The one line about a file."""
  with pytest.raises(errors.UserError) as caught:
    read(path)
  assert "\n" not in str(caught.value)
  assert str(path) in str(caught.value)
  return str(caught.value)


def numbers(dtype, shape):
  drawn = np.random.default_rng(0).integers(0, 100, shape)
  return (drawn > 50 if dtype == "bool" else drawn).astype(dtype)


@pytest.fixture
def arrays():
  return {"a": numbers("float32", (2, 3)), "b": numbers("int64", ())}


def check(found, expected):
  assert found.keys() == expected.keys()
  for key, value in expected.items():
    assert found[key].dtype == value.dtype
    np.testing.assert_array_equal(found[key], value)


@pytest.mark.parametrize("dtype", torch_files.STORAGES)
def test_dtypes(dtype, tmp_path):
  expected = {"x": numbers(dtype, (2, 3, 4)), "empty": numbers(dtype, (0, 3))}
  state, blocks = torch_files.described(expected)
  torch_files.write_zip(tmp_path / "x.pt", {"model": state}, blocks)
  check(read(tmp_path / "x.pt")[0], expected)


def test_bfloat16_is_the_upper_half_of_a_float32(tmp_path):
  values = np.array([1.5, -0.0, np.inf, 2.0**-130], np.float32)
  upper = (values.view(np.uint32) >> 16).astype(np.uint16)
  block = torch_files.storage("0", 4, "BFloat16Storage")
  state = {"x": torch_files.tensor(block, (4,))}
  torch_files.write_zip(tmp_path / "x.pt", state, {"0": upper.tobytes()})
  found, _ = read(tmp_path / "x.pt")
  assert found["x"].dtype == np.float32
  assert found["x"].tobytes() == values.tobytes()


@pytest.mark.parametrize("dtype", ["uint16", "uint32", "uint64"])
def test_dtypes_without_a_storage_of_their_own(dtype, tmp_path):
  expected = numbers(dtype, (5,))
  size = expected.nbytes
  identity = (
    *("storage", torch_files.Name("torch.storage", "UntypedStorage")),
    *("0", "cpu", size),
  )
  x = torch_files.Call(
    torch_files.Name("torch._utils", "_rebuild_tensor_v3"),
    (
      *(torch_files.Persistent(identity), 0, (5,), (1,), False, None),
      *(torch_files.Name("torch", dtype), None),
    ),
  )
  torch_files.write_zip(tmp_path / "x.pt", {"x": x}, {"0": expected.tobytes()})
  check(read(tmp_path / "x.pt")[0], {"x": expected})


def test_views_of_one_storage(tmp_path):
  whole = numbers("float32", (4, 5, 6))
  block = torch_files.storage("w", whole.size)
  # Shape, strides and offset, and the same in numpy.
  views = {
    "cut": ((3, 3, 3), (30, 12, 1), 33, whole[1:, ::2, 3:]),
    "turned": ((6, 4, 5), (1, 30, 6), 0, whole.transpose(2, 0, 1)),
    "repeated": ((7,), (0,), 2, np.repeat(whole[0, 0, 2], 7)),
    "last": ((), (), 119, np.array(whole[3, 4, 5])),
  }
  state = {
    key: torch_files.tensor(block, *view[:3]) for key, view in views.items()
  }
  torch_files.write_zip(tmp_path / "x.pt", state, {"w": whole.tobytes()})
  check(read(tmp_path / "x.pt")[0], {k: view[3] for k, view in views.items()})


def test_byte_order_and_folder(arrays, tmp_path):
  swapped = {k: x.astype(x.dtype.newbyteorder(">")) for k, x in arrays.items()}
  state, blocks = torch_files.described(swapped)
  torch_files.write_zip(tmp_path / "b.pt", state, blocks, order=b"big")
  check(read(tmp_path / "b.pt")[0], arrays)
  torch_files.write_zip(tmp_path / "b.pt", state, blocks, order=b"middle")
  assert "byte order" in refusal(tmp_path / "b.pt")
  state, blocks = torch_files.described(arrays)
  for top in ("", "x/", "a b/c/"):
    path = tmp_path / "x.pt"
    torch_files.write_zip(path, state, blocks, top=top, order=None)
    check(read(path)[0], arrays)


def test_a_training_without_the_numbers_of_its_optimiser(arrays, tmp_path):
  content, blocks = torch_files.training(arrays, "module.", step=60_000)
  torch_files.write_zip(tmp_path / "x.pt", content, blocks)
  found, step = read(tmp_path / "x.pt")
  # Those of the optimiser are not even in the file: nobody asks for them.
  check(found, {f"module.{k}": x for k, x in arrays.items()})
  assert step == 60_000


@pytest.mark.parametrize("step", [-1, 2**60, 0.5, None, "7"])
def test_steps_that_are_none(step, arrays, tmp_path):
  content, blocks = torch_files.training(arrays, step=step)
  torch_files.write_zip(tmp_path / "x.pt", content, blocks)
  assert read(tmp_path / "x.pt")[1] == 0


def test_numbers_are_read_when_they_are_asked_for(arrays, tmp_path):
  content, blocks = torch_files.training(arrays)
  path = tmp_path / "x.pt"
  torch_files.write_zip(path, content, blocks)
  data = bytearray(path.read_bytes())
  at = data.index(blocks["0"])
  data[at] ^= 1
  path.write_bytes(data)
  with torch_file.open_checkpoint(path) as opened:
    assert opened.state["a"].shape == (2, 3)
    np.testing.assert_array_equal(np.asarray(opened.state["b"]), arrays["b"])
    with pytest.raises(errors.UserError, match="CRC"):
      np.asarray(opened.state["a"], np.float32)


def test_files_of_before_1_6(arrays, tmp_path):
  state, blocks = torch_files.described(arrays, legacy=True)
  counts = {"0": 6, "1": 1}
  path = tmp_path / "x.pt"
  torch_files.write_legacy(path, {"model": state}, blocks, counts)
  check(read(path)[0], arrays)
  whole = path.read_bytes()
  for size in range(1, len(whole)):
    path.write_bytes(whole[:size])
    refusal(path)
  torch_files.write_legacy(path, {"model": state}, blocks, counts | {"0": 5})
  assert "storage 0 is not whole" in refusal(path)


def test_truncated_anywhere(arrays, tmp_path):
  content, blocks = torch_files.training(arrays)
  path = tmp_path / "x.pt"
  torch_files.write_zip(path, content, blocks)
  whole = path.read_bytes()
  for size in range(0, len(whole), 7):
    path.write_bytes(whole[:size])
    refusal(path)


def test_bytes_flipped_anywhere(arrays, tmp_path):
  """A line, or what was there: never another error."""
  content, blocks = torch_files.training(arrays)
  path = tmp_path / "x.pt"
  torch_files.write_zip(path, content, blocks)
  whole = path.read_bytes()
  rng = np.random.default_rng(0)
  for _ in range(500):
    data = bytearray(whole)
    for place in rng.integers(0, len(data), 2):
      data[place] = rng.integers(0, 256)
    path.write_bytes(data)
    try:
      read(path)
    except errors.UserError as error:
      assert "\n" not in str(error)


@pytest.mark.parametrize(
  "content, words",
  [
    (b"", "it is empty"),
    (b"no checkpoint", "neither a zip nor"),
    (b"version https://git-lfs.github.com/spec/v1\n", "git lfs pull"),
    (torch_files.pickled({"model": {}}), "neither a zip nor"),
  ],
)
def test_what_is_no_checkpoint(content, words, tmp_path):
  (tmp_path / "x.pt").write_bytes(content)
  assert words in refusal(tmp_path / "x.pt")


def test_what_cannot_be_opened(tmp_path):
  assert "cannot be read" in refusal(tmp_path / "none.pt")
  assert "cannot be read" in refusal(tmp_path)


@pytest.mark.parametrize(
  "content, words",
  [
    ({"model": {"a": 1}}, "holds no state dict"),
    ({"model": {1: 2}}, "holds no state dict"),
    (
      {"\x1b[31m": torch_files.tensor(torch_files.storage("0", 4), (1,))},
      "holds no state dict",
    ),
    ([1, 2], "holds no state dict"),
    ({"x": torch_files.tensor(torch_files.storage("no", 1), (1,))}, "lacks"),
    ({"x": torch_files.tensor(torch_files.storage("0", 9), (1,))}, "16 bytes"),
    ({"x": torch_files.tensor(torch_files.storage("0", 4), (5,))}, "beyond"),
    (
      {"x": torch_files.tensor(torch_files.storage("0", 4), (2,), (4,))},
      "beyo",
    ),
    (
      {"x": torch_files.tensor(torch_files.storage("0", 4), (1,), (1,), 4)},
      "beyond",
    ),
    (
      {"x": torch_files.tensor(torch_files.storage("0", 4), (1,), (1,), -1)},
      "makes no sense",
    ),
    (
      {"x": torch_files.tensor(torch_files.storage("0", 4), (2,), (-1,), 1)},
      "makes no sense",
    ),
    (
      {"x": torch_files.tensor(torch_files.storage("0", 4), (2**40,), (0,))},
      "tensors of 4398046511104 bytes",
    ),
    (
      {"x": torch_files.tensor(torch_files.storage("0", 2**60), (1,))},
      "makes no sense",
    ),
  ],
)
def test_tensors_that_do_not_fit(content, words, tmp_path):
  torch_files.write_zip(tmp_path / "x.pt", content, {"0": bytes(16)})
  assert words in refusal(tmp_path / "x.pt")


def test_zips_that_are_not_of_torch(arrays, tmp_path):
  state, blocks = torch_files.described(arrays)
  path = tmp_path / "x.pt"
  torch_files.write_zip(path, state, blocks, **{"constants.pkl": b"x"})
  assert "TorchScript" in refusal(path)
  torch_files.write_zip(path, state, blocks, **{"other/data.pkl": b"x"})
  assert "2 entries data.pkl" in refusal(path)
  with zipfile.ZipFile(path, "w") as archive:
    archive.writestr("x/y", b"")
  assert "0 entries data.pkl" in refusal(path)


def test_bombs(tmp_path):
  zeros = np.zeros(2**20, np.float32)
  state, blocks = torch_files.described({"x": zeros})
  file = io.BytesIO()
  with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
    archive.writestr("x/data.pkl", torch_files.pickled(state), 0)
    archive.writestr("x/data/0", blocks["0"])
  assert len(file.getvalue()) < 10_000
  (tmp_path / "x.pt").write_bytes(file.getvalue())
  assert "data/0 is compressed" in refusal(tmp_path / "x.pt")
  # An entry that says that it is larger than the file, and stored.
  data = bytearray(file.getvalue())
  at = data.index(b"PK\x01\x02", data.index(b"PK\x01\x02") + 1)
  data[at + 10 : at + 12] = bytes(2)
  data[at + 20 : at + 24] = struct.pack("<I", zeros.nbytes)
  (tmp_path / "x.pt").write_bytes(data)
  assert "larger than the file" in refusal(tmp_path / "x.pt")
