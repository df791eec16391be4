"""One archive: where its embeddings lie, and what it says of them."""

import numpy as np
import pytest

from gaitkd_jax import errors
from gaitkd_jax.evaluation.store import shard as shard_lib


def write(path, save=np.savez, **changes):
  arrays = {
    "embeddings": np.arange(24, dtype=np.float32).reshape(4, 3, 2),
    "subjects": np.arange(4),
    "conditions": np.array(["nm-01"] * 4),
    "views": np.array([b"090"] * 4),
  }
  save(path, **(arrays | changes))
  return arrays["embeddings"]


def test_embeddings_are_mapped_where_they_lie(tmp_path):
  values = write(tmp_path / "a.npz")
  shard = shard_lib.open_shard(tmp_path / "a.npz")
  assert shard.values is None and shard.offset > 0
  assert shard.shape == (4, 3, 2) and shard.dtype == np.float32
  content = (tmp_path / "a.npz").read_bytes()
  assert content[shard.offset :].startswith(values.tobytes())
  rows = np.array([3, 0, 0])
  np.testing.assert_array_equal(shard.read(rows), values[rows])
  np.testing.assert_array_equal(shard.read(np.arange(1, 3)), values[1:3])


def test_names_are_made_of_labels(tmp_path):
  write(tmp_path / "a.npz")
  columns = shard_lib.open_shard(tmp_path / "a.npz").columns
  assert columns["names"].tolist() == [f"{i}-nm-01-090" for i in range(4)]
  write(tmp_path / "a.npz", names=np.array(list("abcd")))
  columns = shard_lib.open_shard(tmp_path / "a.npz").columns
  assert columns["names"].tolist() == list("abcd")


def test_a_compressed_archive_is_read(tmp_path):
  values = write(tmp_path / "a.npz", np.savez_compressed)
  shard = shard_lib.open_shard(tmp_path / "a.npz")
  np.testing.assert_array_equal(shard.values, values)


@pytest.mark.parametrize(
  "dtype, read", [(np.float16, np.float16), (np.float64, np.float32)]
)
def test_what_is_read_has_16_or_32_bits(tmp_path, dtype, read):
  write(tmp_path / "a.npz", embeddings=np.ones((4, 1, 1), dtype))
  assert shard_lib.open_shard(tmp_path / "a.npz").read_dtype == read


def test_another_file_is_one_line(tmp_path):
  (tmp_path / "a.npz").write_text("not an archive")
  with pytest.raises(errors.UserError, match="a.npz cannot be read") as error:
    shard_lib.open_shard(tmp_path / "a.npz")
  assert "\n" not in str(error.value)
