"""The sequences of a split, on disk and in memory."""

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_datasets as tfds

from data_pipelines import store as store_lib
from gaitkd_jax import errors
from tests.helpers import small_store


@pytest.fixture(scope="module")
def store():
  return store_lib.SequenceStore.from_arrays(*small_store.columns())


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


with tfds.core.registered.skip_registration():

  class Twelve(tfds.core.GeneratorBasedBuilder):
    """The twelve sequences, as the project's builders store them."""

    VERSION = tfds.core.Version("1.0.0")

    def _info(self):
      frame = tfds.features.Tensor(
        shape=(64, 64), dtype=np.uint8, encoding="zlib"
      )
      return tfds.core.DatasetInfo(
        builder=self,
        features=tfds.features.FeaturesDict(
          {
            "silhouettes": tfds.features.Sequence(frame),
            "subject": tfds.features.Text(),
            "condition": tfds.features.Text(),
            "view": tfds.features.Text(),
            "name": tfds.features.Text(),
          }
        ),
      )

    def _split_generators(self, dl_manager):
      return {"train": self._generate_examples()}

    def _generate_examples(self):
      for silhouettes, *key in zip(*small_store.columns(), strict=True):
        key = (*key, "-".join(key))
        yield (
          key[-1],
          {"silhouettes": silhouettes}
          | dict(zip(store_lib.TEXTS, key, strict=True)),
        )


def test_store_reads_a_builder_without_decoding(store, tmp_path):
  builder = Twelve(data_dir=tmp_path)
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
  with pytest.raises(errors.UserError, match="'test' of twelve/1.0.0 in"):
    store_lib.SequenceStore.from_builder(builder, "test")


def test_damaged_prepared_data_is_reported(tmp_path):
  builder = Twelve(data_dir=tmp_path)
  builder.download_and_prepare()
  (path,) = tmp_path.rglob("*train.tfrecord*")
  path.write_bytes(path.read_bytes()[:-1000])
  with pytest.raises(errors.UserError, match="cannot be read .* delete") as e:
    store_lib.SequenceStore.from_builder(builder, "train")
  assert "\n" not in str(e.value) and str(tmp_path) in str(e.value)


@pytest.mark.parametrize("kept", [0, 2, 12])
def test_a_budget_bounds_what_stays_in_memory(store, tmp_path, kept):
  small_store.write(store, tmp_path / "a")
  budget = store.sizes[:kept].sum() / 2**30
  again = store_lib.SequenceStore.from_files([tmp_path / "a"], cache_gib=budget)
  for _ in range(2):
    for i in range(12):
      assert again.read(i) == store.read(i)
  assert sorted(again._cache) == list(range(kept))


def test_an_index_spares_reading_and_notices_new_files(store, tmp_path):
  files, index = [tmp_path / "a"], tmp_path / "index.npz"

  def open_store():
    return store_lib.SequenceStore.from_files(files, index=index)

  small_store.write(store, files[0])
  open_store()
  saved = index.read_bytes()
  assert open_store().read(3) == store.read(3)
  assert index.read_bytes() == saved
  few = store_lib.SequenceStore.from_arrays(
    *(c[:2] for c in small_store.columns())
  )
  small_store.write(few, files[0])
  assert open_store().names.tolist() == few.names.tolist()
  index.write_bytes(saved[:100])
  assert open_store().names.tolist() == few.names.tolist()
  assert sorted(tmp_path.iterdir()) == [files[0], index]
