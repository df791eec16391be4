"""The sequences of a split, on disk and in memory."""

import pathlib

import numpy as np
import pytest
import tensorflow as tf

from data_pipelines import store as store_lib
from gaitkd_jax import errors
from tests.helpers import mistakes
from tests.helpers import small_store


def test_store_is_sorted_and_keeps_every_frame(store):
  sequences, *keys = small_store.columns()
  order = sorted(range(12), key=list(zip(*keys, strict=True)).__getitem__)
  names = (store.subjects, store.conditions, store.views)
  for name, key in zip(names, keys, strict=True):
    assert name.tolist() == [key[i] for i in order]
  assert store.labels.tolist() == [0] * 4 + [1] * 4 + [2] * 4
  assert store.num_classes == 3 and len(store) == 12
  assert store.lengths.tolist() == [len(sequences[i]) for i in order]
  for position, i in enumerate(order):
    np.testing.assert_array_equal(
      small_store.decode(store, position)["silhouettes"], sequences[i]
    )


def test_store_refuses_what_it_cannot_hold():
  row = (["1"], ["nm-01"], ["090"])
  with pytest.raises(errors.UserError, match="1-nm-01-090: .* are float32"):
    store_lib.SequenceStore.from_arrays([np.zeros((2, 64, 64), "f4")], *row)
  with pytest.raises(errors.UserError, match=r"\[2, 64, 44\]"):
    store_lib.SequenceStore.from_arrays([np.zeros((2, 64, 44), "u1")], *row)
  with pytest.raises(errors.UserError, match="has no frames"):
    store_lib.SequenceStore.from_arrays([np.zeros((0, 64, 64), "u1")], *row)
  with pytest.raises(errors.UserError, match="no sequences"):
    store_lib.SequenceStore.from_arrays([], [], [], [])


def test_store_reads_a_builder_without_decoding(store, tmp_path):
  builder = small_store.SmallSet(data_dir=tmp_path)
  builder.download_and_prepare()
  read = store_lib.SequenceStore.from_builder(builder, "train")
  for name in (
    "subjects",
    "conditions",
    "views",
    "names",
    "lengths",
    "labels",
    "sizes",
  ):
    np.testing.assert_array_equal(getattr(read, name), getattr(store, name))
  # Still packed: TFDS and `from_arrays` make the same records.
  for i in range(len(store)):
    packed = [
      tf.train.Example.FromString(s.read(i)).features for s in (read, store)
    ]
    assert packed[0] == packed[1]
  with pytest.raises(errors.UserError, match="'test' of small_set in"):
    store_lib.SequenceStore.from_builder(builder, "test")


@pytest.mark.parametrize("kept", [0, 2, 12])
def test_a_budget_bounds_what_stays_in_memory(store, tmp_path, kept):
  small_store.write(store, tmp_path / "a")
  budget = store.sizes[:kept].sum() / 2**30
  again = store_lib.SequenceStore.from_files([tmp_path / "a"], cache_gib=budget)
  for _ in range(2):
    for i in range(12):
      assert again.read(i) == store.read(i)
  assert sorted(again._cache) == list(range(kept))


def test_an_incomplete_build_is_named(tmp_path):
  builder = small_store.SmallSet(data_dir=tmp_path)
  builder.download_and_prepare()
  folder = pathlib.Path(builder.data_path)
  read = store_lib.SequenceStore.from_builder
  records = next(folder.glob("*.tfrecord*"))
  whole = records.read_bytes()
  records.write_bytes(b"")
  text = mistakes.message(read, builder, "train")
  assert "0 of 12 sequences" in text and f"{records}: " in text
  records.unlink()
  assert "it is missing" in mistakes.message(read, builder, "train")
  records.write_bytes(whole)
  (folder / "dataset_info.json").unlink()
  text = mistakes.message(read, builder, "train")
  assert text.startswith(f"{folder}: ") and "incomplete; delete" in text
