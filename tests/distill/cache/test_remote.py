"""Stores of teachers' outputs in object stores: the rows of those on a disk."""

import pathlib

import numpy as np
import pytest

from gaitkd_jax import errors
from gaitkd_jax import storage
from gaitkd_jax.distill import cache as cache_lib
from gaitkd_jax.distill.cache import precompute
from gaitkd_jax.distill.cache import remote
from tests.distill.cache.test_store import small_header
from tests.helpers import teacher_cache


def rows_of(header):
  rng = np.random.default_rng(0)
  return {
    key: rng.normal(size=x["shape"]).astype(x["dtype"])
    for key, x in header["arrays"].items()
  }


def write(folder, header, *marks):
  """Writes rows up to each mark and commits them."""
  writer, rows = cache_lib.Writer(folder, header), rows_of(header)
  for done in marks:
    for row in range(writer.done, done):
      writer.write(row, {key: x[row : row + 1] for key, x in rows.items()})
    writer.commit(done, {"absolute": done / 2})
  return writer


def test_parts_make_the_same_files(any_bucket, tmp_path):
  header, place = small_header(), f"{any_bucket.url}/cache/a"
  killed = write(place, header, 2, 4)
  # What was not committed does not count.
  killed.write(4, {key: x[4:5] * 0 for key, x in rows_of(header).items()})
  killed._parts.write()
  with pytest.raises(errors.UserError, match="4 of 6 rows"):
    cache_lib.Store.open(place, {})
  again = write(place, header, 5, 6)
  assert again.done == 6 and again.sums == {"absolute": 3.0}
  write(tmp_path / "a", header, 6)
  parts = [int(n[-13:-4]) for n in any_bucket.names("cache/a/logits/")]
  assert parts == [0, 2, 4, 5]
  local = remote.fetch(storage.path(place), header, parts)
  for name in header["arrays"]:
    file = f"{name}.npy"
    assert (local / file).read_bytes() == (tmp_path / "a" / file).read_bytes()
  found, expected = (
    cache_lib.Store.open(folder, {}).rows(np.array([2, 0]), np.array([1, 0]))
    for folder in (place, tmp_path / "a")
  )
  for key, values in expected.items():
    np.testing.assert_array_equal(found[key], values)


def test_a_store_that_was_copied_from_a_disk(bucket, tmp_path):
  header = small_header()
  write(tmp_path, header, 4)
  storage.upload(tmp_path, f"{bucket.url}/a", "progress.json")
  with pytest.raises(errors.UserError, match="begun on a disk"):
    cache_lib.Writer(f"{bucket.url}/a", header)
  write(tmp_path, header, 6)
  storage.upload(tmp_path, f"{bucket.url}/a", "progress.json")
  store = cache_lib.Store.open(f"{bucket.url}/a", {})
  rows = store.rows(np.array([2]), np.array([1]))
  np.testing.assert_array_equal(rows["logits"], rows_of(header)["logits"][5:])


@pytest.mark.parametrize("damage", ["gone", "short", "other", "few"])
def test_a_damaged_part_is_one_line(bucket, damage):
  header, place = small_header(), f"{bucket.url}/a"
  write(place, header, 3, 6)
  name = "a/logits/000000003.npy"
  if damage == "gone":
    bucket.remove(name)
  elif damage == "short":
    bucket.write(name, bucket.read(name)[:-5])
  else:
    source = "a/embedding/000000003.npy" if damage == "other" else None
    if source is None:
      write(f"{bucket.url}/b", header, 3, 5)
      source = "b/logits/000000003.npy"
    bucket.write(name, bucket.read(source))
  with pytest.raises(errors.UserError, match="cannot be read") as e:
    cache_lib.Store.open(place, {})
  assert place in str(e.value) and "\n" not in str(e.value)


def test_a_run_that_is_refused_goes_on(filled, bucket):
  config, folder, _ = filled
  bucket.proxy.fail(403, "POST|PUT", "gaitbase/progress.json", after=2)
  with pytest.raises(storage.StoreError, match="does not have access"):
    precompute.fill(config, bucket.url + "/cache")
  bucket.proxy.clear()
  with pytest.raises(errors.UserError, match="of 640 rows; start"):
    teacher_cache.open_stores(config, storage.path(bucket.url) / "cache")
  precompute.fill(config, bucket.url + "/cache")
  found, _ = teacher_cache.open_stores(
    config, storage.path(bucket.url) / "cache"
  )
  for name, store in found.items():
    for array, values in store._arrays.items():
      local = (folder / name / f"{array}.npy").read_bytes()
      assert pathlib.Path(values.filename).read_bytes() == local
