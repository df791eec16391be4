"""Stores of embeddings: what is written is read, and damage is one line."""

import json
import os
import pickle
import zipfile

import numpy as np
import pytest

from gaitkd_jax import errors
from gaitkd_jax.evaluation import store as store_lib

METADATA = {"data": "walkers", "step": 3, "model": {"name": "gaitbase"}}


def data(n=10, p=3, d=4, seed=0):
  rng = np.random.default_rng(seed)
  return dict(
    embeddings=rng.standard_normal((n, p, d)).astype(np.float32),
    subjects=np.array([f"{i // 2:03}" for i in range(n)]),
    conditions=np.array(["nm-01", "é"] * (n // 2)),
    views=np.array(["090"] * n),
    names=np.array([f"sequence {i}" for i in range(n)]),
  )


@pytest.fixture
def shards_of_four(monkeypatch):
  monkeypatch.setattr(
    "gaitkd_jax.evaluation.store.store._SHARD_BYTES", 4 * 3 * 4 * 4 + 1
  )


@pytest.fixture
def written(shards_of_four, tmp_path):
  return store_lib.write(tmp_path / "store", **data(), metadata=METADATA)


@pytest.mark.parametrize("dtype", ["float32", "float16"])
def test_what_is_written_is_read(shards_of_four, tmp_path, dtype):
  values = data()
  if dtype == "float16":  # shards of eight rows: all the more of one kind
    values["embeddings"] = values["embeddings"].astype(np.float16)
  path = store_lib.write(
    tmp_path / "new" / "store", **values, metadata=METADATA, dtype=dtype
  )
  store = store_lib.EmbeddingStore.open(path)
  assert store.metadata == METADATA
  assert store.shape == (10, 3, 4) and len(store) == 10
  assert store.dtype == dtype
  for key in ("subjects", "conditions", "views", "names"):
    np.testing.assert_array_equal(getattr(store, key), values[key])
  whole = values["embeddings"]
  assert np.asarray(store).dtype == dtype
  np.testing.assert_array_equal(np.asarray(store), whole)
  np.testing.assert_array_equal(np.stack(list(store)), whole)
  for part in (
    slice(3, 9),
    slice(None, None, -3),
    slice(20, 30),
    np.array([9, 0, 4, 4, -1, 3]),
    np.array([], np.int64),
  ):
    np.testing.assert_array_equal(store[part], whole[part])
  for wrong in (np.array([10]), np.array([-11])):
    with pytest.raises(IndexError, match="from 0 to 9"):
      store[wrong]


def test_an_archive_is_numpys(written):
  files = sorted(p.name for p in written.iterdir())
  assert files == [
    *(f"embeddings-{i:05}.npz" for i in range(3)),
    "header.json",
  ]
  with np.load(written / files[1], allow_pickle=False) as archive:
    np.testing.assert_array_equal(
      archive["embeddings"], data()["embeddings"][4:8]
    )
    assert archive["names"][0] == "sequence 4"


def test_rows_are_read_without_other_shards(written):
  store = store_lib.EmbeddingStore.open(written)
  (written / "embeddings-00000.npz").unlink()
  np.testing.assert_array_equal(store[4:], data()["embeddings"][4:])
  with pytest.raises(errors.UserError, match="00000.npz cannot be read"):
    store[np.array([5, 3])]


def test_a_shard_that_shrinks_does_not_kill_the_process(written):
  store = store_lib.EmbeddingStore.open(written)
  os.truncate(written / "embeddings-00001.npz", 100)
  with pytest.raises(errors.UserError, match="it has changed"):
    store[4:5]


@pytest.mark.parametrize(
  "change, words",
  [
    (dict(views=["090"]), "10 embeddings, 10 subjects, 10 conditions, 1 views"),
    (dict(names=[*"abcdefghi", "c"]), "such as c;"),
    (dict(dtype="int8"), "'int8'"),
    (dict(embeddings=np.zeros((10, 3))), r"\[10, 3\]"),
    (dict(embeddings=np.full((10, 3, 4), 1e39)), "beyond float32"),
  ],
)
def test_what_is_not_written(tmp_path, change, words):
  with pytest.raises(errors.UserError, match=words):
    store_lib.write(tmp_path / "a", **(data() | dict(metadata={}) | change))
  assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
  "value, dtype, words",
  [
    (np.nan, "float32", "sequence 7 is not finite"),
    (-np.inf, "float16", "sequence 7 is not finite"),
    (-65_520, "float16", r"sequence 7 reaches 6.55e\+04, beyond float16"),
  ],
)
def test_numbers_that_cannot_be_stored(written, value, dtype, words):
  values = data(seed=1)
  values["embeddings"][7, 1, 2] = value
  with pytest.raises(errors.UserError, match=words):
    store_lib.write(written, **values, metadata={}, dtype=dtype)
  # The earlier store is whole, and nothing lies beside it.
  store = store_lib.EmbeddingStore.open(written)
  np.testing.assert_array_equal(np.asarray(store), data()["embeddings"])
  assert list(written.parent.iterdir()) == [written]


def test_a_store_takes_anothers_place(written):
  values = data(n=2, seed=1)
  store_lib.write(written, **values, metadata={"step": 4})
  store = store_lib.EmbeddingStore.open(written)
  np.testing.assert_array_equal(np.asarray(store), values["embeddings"])
  assert store.metadata == {"step": 4}
  assert len(list(written.iterdir())) == 2
  assert list(written.parent.iterdir()) == [written]


def test_nothing_else_is_replaced(tmp_path):
  (tmp_path / "file").write_text("a thesis")
  (tmp_path / "folder").mkdir()
  (tmp_path / "folder" / "thesis.tex").write_text("a thesis")
  for name, words in (("file", "is a file"), ("folder", "something else")):
    with pytest.raises(errors.UserError, match=words):
      store_lib.write(tmp_path / name, **data(), metadata={})
  with pytest.raises(errors.UserError, match="cannot be written"):
    store_lib.write(tmp_path / "file" / "below", **data(), metadata={})
  assert (tmp_path / "folder" / "thesis.tex").read_text() == "a thesis"


def edit_header(folder, **changes):
  header = json.loads((folder / "header.json").read_text())
  (folder / "header.json").write_text(json.dumps(header | changes))


def edit_shard(folder, number=1, **changes):
  path = folder / f"embeddings-{number:05}.npz"
  with np.load(path) as archive:
    arrays = dict(archive)
  np.savez(path, **(arrays | changes))


class Bomb:
  def __reduce__(self):
    return pytest.fail, ("a pickle was executed",)


def add_claim(folder):
  """An array that claims more than is there."""
  path = folder / "embeddings-00002.npz"
  with np.load(path) as archive:
    arrays = dict(archive)
  with zipfile.ZipFile(path, "w") as archive:
    for key, values in arrays.items():
      with archive.open(f"{key}.npy", "w") as file:
        shape = values.shape
        if key == "embeddings":
          shape = (10**9, *shape[1:])
        header = np.lib.format.header_data_from_array_1_0(values)
        np.lib.format.write_array_header_1_0(file, header | {"shape": shape})
        file.write(values.tobytes())


def flip(folder, member):
  """Changes a byte within a member."""
  path = folder / "embeddings-00001.npz"
  with zipfile.ZipFile(path) as archive:
    start = archive.getinfo(member).header_offset
  content = bytearray(path.read_bytes())
  content[start + 200] ^= 255
  path.write_bytes(content)


DAMAGE = {
  "no header": (lambda f: (f / "header.json").unlink(), "has no header.json"),
  "cut header": (
    lambda f: os.truncate(f / "header.json", 20),
    "header.json cannot be read",
  ),
  "format": (lambda f: edit_header(f, format=2), "format 2"),
  "header of another kind": (
    lambda f: (f / "header.json").write_text("[1]"),
    "format None",
  ),
  "fields": (lambda f: edit_header(f, shape=[3]), "missing or wrong"),
  "shards": (lambda f: edit_header(f, shards=[4, 6.0]), "missing or wrong"),
  "facts": (lambda f: edit_header(f, facts=None), "missing or wrong"),
  "counts": (lambda f: edit_header(f, count=11), "counts 11 .* have 10"),
  "shape": (lambda f: edit_header(f, shape=[4, 3]), r"\[4, 3, 4\], but"),
  "dtype": (lambda f: edit_header(f, dtype="float16"), "holds float32"),
  "missing shard": (
    lambda f: (f / "embeddings-00001.npz").unlink(),
    "00001.npz is missing, one of 3",
  ),
  "cut shard": (
    lambda f: os.truncate(f / "embeddings-00001.npz", 300),
    "00001.npz cannot be read",
  ),
  "empty shard": (
    lambda f: os.truncate(f / "embeddings-00001.npz", 0),
    "00001.npz cannot be read",
  ),
  "rows of a shard": (
    lambda f: edit_shard(f, names=np.array(["a"])),
    r"names are <U1 \[1\]",
  ),
  "flipped text": (lambda f: flip(f, "names.npy"), "00001.npz cannot be read"),
  "claim": (add_claim, "does not have the size it claims"),
  "pickled embeddings": (
    lambda f: edit_shard(f, embeddings=np.array([[[Bomb()]]])),
    "embeddings.npy is pickled",
  ),
  "pickled names": (
    lambda f: edit_shard(f, names=np.array([Bomb()] * 4)),
    "names.npy is pickled",
  ),
  "a pickle": (
    lambda f: (f / "embeddings-00001.npz").write_bytes(pickle.dumps(Bomb())),
    "00001.npz cannot be read",
  ),
  "duplicate across shards": (
    lambda f: edit_shard(f, names=np.array([*"abc", "sequence 9"])),
    "1 names are there more than once, such as sequence 9",
  ),
}


@pytest.mark.parametrize("name", DAMAGE)
def test_damage_is_one_line(written, name):
  damage, words = DAMAGE[name]
  damage(written)
  with pytest.raises(errors.UserError, match=words) as caught:
    store_lib.EmbeddingStore.open(written)
  assert str(written) in str(caught.value)
  assert "\n" not in str(caught.value)


def test_no_such_folder(tmp_path):
  with pytest.raises(errors.UserError, match="there is no such store"):
    store_lib.EmbeddingStore.open(tmp_path / "none")


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_others_archives_are_stores(tmp_path, save):
  values = data()
  doubles = np.asfortranarray(values["embeddings"], np.float64)
  path = tmp_path / "others.npz"
  save(
    path,
    embeddings=doubles,
    subjects=np.arange(10),
    conditions=values["conditions"],
    views=np.array([b"090"] * 10),
  )
  assert store_lib.is_store(path) and not store_lib.is_store(tmp_path)
  store = store_lib.EmbeddingStore.open(path)
  assert store.dtype == np.float32 and store.metadata == {}
  np.testing.assert_array_equal(np.asarray(store), values["embeddings"])
  assert list(store.names[:2]) == ["0-nm-01-090", "1-é-090"]


@pytest.mark.parametrize(
  "change, words",
  [
    (dict(subjects=None), "has no array subjects"),
    (dict(embeddings=np.zeros((10, 3))), r"float64 \[10, 3\]"),
    (dict(embeddings=np.zeros((10, 3, 2), int)), "int64"),
    (dict(views=np.zeros(10)), "views are float64"),
  ],
)
def test_others_archives_that_are_none(tmp_path, change, words):
  arrays = {k: v for k, v in (data() | change).items() if v is not None}
  np.savez(tmp_path / "a.npz", **arrays)
  with pytest.raises(errors.UserError, match=words):
    store_lib.EmbeddingStore.open(tmp_path / "a.npz")
