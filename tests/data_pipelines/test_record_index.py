"""Where records lie in files, and the file that remembers it."""

import numpy as np
import pytest

from data_pipelines import record_index
from data_pipelines import store as store_lib
from gaitkd_jax import errors
from tests.helpers import small_store


def test_places_are_those_of_the_records(store, tmp_path):
  small_store.write(store, tmp_path / "a")
  files = [str(tmp_path / "a")]
  found = record_index.find(files, "train", None)
  assert set(found) == {*record_index.PLACE, *store_lib.TEXTS, "length"}
  data = (tmp_path / "a").read_bytes()
  for i, (offset, size) in enumerate(
    zip(found["offset"], found["size"], strict=True)
  ):
    assert data[offset : offset + size] == store.read(i)
  np.testing.assert_array_equal(found["length"], store.lengths)
  assert found["name"].tolist() == store.names.tolist()
  assert not found["shard"].any()


def test_damaged_prepared_data_is_reported(tmp_path):
  builder = small_store.SmallSet(data_dir=tmp_path)
  builder.download_and_prepare()
  (path,) = tmp_path.rglob("*train.tfrecord*")
  path.write_bytes(path.read_bytes()[:-1000])
  with pytest.raises(errors.UserError, match="cannot be read .* delete") as e:
    store_lib.SequenceStore.from_builder(builder, "train")
  assert "\n" not in str(e.value) and str(tmp_path) in str(e.value)


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
