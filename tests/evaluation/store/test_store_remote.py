"""Stores of embeddings in object stores: the same as on the disk."""

import numpy as np
import pytest

from gaitkd_jax import errors
from gaitkd_jax.evaluation import store as store_lib
from tests.evaluation.store.test_store import METADATA
from tests.evaluation.store.test_store import data


@pytest.fixture(autouse=True)
def shards_of_four(monkeypatch):
  monkeypatch.setattr(
    "gaitkd_jax.evaluation.store.store._SHARD_BYTES", 4 * 3 * 4 * 4 + 1
  )


def write(folder, n=10):
  return store_lib.write(folder, **data(n), metadata=METADATA)


def test_what_is_written_is_read(any_bucket, tmp_path):
  place = f"{any_bucket.url}/embeddings/7"
  assert not store_lib.is_store(place)
  assert str(write(place)) == place
  store_lib.is_store(place)  # the log is written after the answer
  last = any_bucket.proxy.seen("POST|PUT")[-1]
  assert "header.json" in last.target
  local = write(tmp_path / "store")
  for file in local.iterdir():
    content = any_bucket.read(f"embeddings/7/{file.name}")
    if file.suffix == ".json":  # archives hold the time of writing
      assert content == file.read_bytes()
  assert store_lib.is_store(place)
  store = store_lib.EmbeddingStore.open(place)
  assert store.metadata == METADATA
  np.testing.assert_array_equal(np.asarray(store), data()["embeddings"])
  np.testing.assert_array_equal(store[[9, 0]], data()["embeddings"][[9, 0]])
  assert store.names.tolist() == data()["names"].tolist()


def test_a_store_is_replaced(any_bucket):
  place = f"{any_bucket.url}/7"
  write(place, 10)
  # A run that is killed leaves no store that looks whole.
  any_bucket.proxy.fail(403, "POST|PUT", "embeddings-00001")
  with pytest.raises(errors.UserError, match=f"{place} cannot be written"):
    write(place, 8)
  any_bucket.proxy.clear()
  with pytest.raises(errors.UserError, match="has no header.json"):
    store_lib.EmbeddingStore.open(place)
  write(place, 4)
  assert any_bucket.names() == ["7/embeddings-00000.npz", "7/header.json"]
  assert len(store_lib.EmbeddingStore.open(place)) == 4


def test_something_else_is_left_alone(any_bucket):
  any_bucket.write("7/other", b"")
  with pytest.raises(errors.UserError, match="something else"):
    write(f"{any_bucket.url}/7")
  assert any_bucket.names() == ["7/other"]


def test_damage_is_named_where_it_is(any_bucket):
  place = f"{any_bucket.url}/7"
  with pytest.raises(errors.UserError, match=f"{place}: there is no such"):
    store_lib.EmbeddingStore.open(place)
  write(place)
  any_bucket.write("7/embeddings-00001.npz", b"damaged")
  with pytest.raises(errors.UserError, match=f"{place}/embeddings-00001.npz"):
    store_lib.EmbeddingStore.open(place)
  any_bucket.remove("7/embeddings-00002.npz")
  any_bucket.remove("7/embeddings-00001.npz")
  with pytest.raises(
    errors.UserError, match=f"{place}/embeddings-00001.* miss"
  ):
    store_lib.EmbeddingStore.open(place)


def test_an_archive_of_another_program(any_bucket, tmp_path):
  np.savez(tmp_path / "a.npz", **data())
  any_bucket.write("a.npz", (tmp_path / "a.npz").read_bytes())
  place = f"{any_bucket.url}/a.npz"
  assert store_lib.is_store(place)
  store = store_lib.EmbeddingStore.open(place)
  np.testing.assert_array_equal(np.asarray(store), data()["embeddings"])
