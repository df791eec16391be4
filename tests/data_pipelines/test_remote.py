"""Trees, partitions and records that are read from an object store."""

import json
import pickle
import time

import numpy as np
import pytest

from data_pipelines import datasets
from data_pipelines import frames
from data_pipelines import partitions
from data_pipelines import pickles
from data_pipelines import pipeline
from data_pipelines import remote
from data_pipelines import store as store_lib
from data_pipelines import tree as tree_lib
from gaitkd_jax import storage
from tests.helpers import builds
from tests.helpers import mistakes
from tests.helpers import small_store
from tests.helpers import trees


def put(bucket, folder, prefix):
  """Copies a folder into the bucket."""
  for file in storage.files(folder):
    bucket.write(f"{prefix}/{file.relative_to(folder)}", file.read_bytes())
  return f"{bucket.url}/{prefix}"


@pytest.fixture
def records(bucket, store, tmp_path):
  """The records of `store` in the bucket."""
  small_store.write(store, tmp_path / "a")
  bucket.write("records/a", (tmp_path / "a").read_bytes())
  file = f"{bucket.url}/records/a"
  index = f"{bucket.url}/records/index.npz"
  return lambda **options: store_lib.SequenceStore.from_files(
    [file], index=index, **options
  )


def prepared(data):
  """{split: {name: arrays}} of what is prepared from a tree, and the notes."""
  builder = datasets.prepare(data)
  skipped = builds.skipped(builder).replace(data.root, "<root>")
  return builds.read(builder), skipped


@pytest.mark.parametrize(
  ("name", "form"), [("casiab", "raw"), ("gait3d", "pickle"), ("hid", "raw")]
)
def test_a_tree_gives_the_same_as_on_a_disk(bucket, tmp_path, name, form):
  root = tmp_path / "tree"
  trees.write(root, name, form, 4, 2)
  url = put(bucket, root, "trees/here")
  # As the console of a store makes folders.
  bucket.write("trees/here/", b"")
  (there, skipped), (here, also) = (
    prepared(builds.data_of(name, place, prepared=tmp_path / f"prepared{i}"))
    for i, place in enumerate((url, root))
  )
  assert skipped == also
  assert there.keys() == here.keys()
  for split in here:
    assert there[split].keys() == here[split].keys()
    for key, values in here[split].items():
      np.testing.assert_array_equal(there[split][key], values)


def test_files_that_change_are_noticed_by_the_next_process(bucket, tmp_path):
  trees.write(tmp_path / "tree", "casiab", "raw", 2, 1)
  url = put(bucket, tmp_path / "tree", "changing")
  layouts = datasets.source("casiab").layouts

  def fingerprint():
    tree_lib._scan_store.cache_clear()
    return tree_lib.scan(url, layouts).fingerprint

  before = fingerprint()
  assert fingerprint() == before
  name = bucket.names("changing")[0]
  bucket.write(name, bucket.read(name))
  assert fingerprint() != before
  bucket.proxy.requests.clear()
  tree_lib.scan(url, layouts)
  assert not bucket.proxy.requests  # listed once in a process


def test_roots_that_are_none(bucket, tmp_path):
  trees.write(tmp_path / "tree", "casiab", "raw", 2, 1)
  put(bucket, tmp_path / "tree", "a/tree")
  bucket.write("a/file", b"x")

  def refusal(root):
    data = builds.data_of("casiab", root, prepared=tmp_path / "p")
    return builds.refusal(data)

  assert "a/nothing is not a folder" in refusal(f"{bucket.url}/a/nothing")
  assert "gs://nothing is not a folder" in refusal("gs://nothing")
  assert "a/file is a file" in refusal(f"{bucket.url}/a/file")
  assert f"; {bucket.url}/a/tree holds such" in refusal(f"{bucket.url}/a")


def test_damaged_files_are_named_and_left_out(bucket, tmp_path):
  trees.write(tmp_path / "tree", "casiab", "raw", 2, 3)
  url = put(bucket, tmp_path / "tree", "damaged")
  names = [n for n in bucket.names("damaged") if "nm-01/000" in n]
  bucket.write(names[0], bucket.read(names[0])[:-9])
  bucket.write(names[-1], b"")
  data = builds.data_of("casiab", url, prepared=tmp_path / "p")
  line = builds.refusal(data)
  assert line.startswith("2 files are damaged or refused: ")
  for name, why in ((names[0], "is cut short"), (names[-1], "is empty")):
    assert f"{bucket.url}/{name}: {why}" in line
  data.skip_damaged = True
  found = builds.read(datasets.prepare(data))
  lengths = {len(f) for part in found.values() for f in part.values()}
  assert lengths == {2, 3}


def test_a_store_that_refuses_is_no_damaged_file(bucket, tmp_path):
  trees.write(tmp_path / "tree", "casiab", "raw", 2, 2)
  url = put(bucket, tmp_path / "tree", "refused")
  data = builds.data_of("casiab", url, prepared=tmp_path / "p")
  data.skip_damaged = True
  bucket.proxy.fail(403, "GET", "nm-05.*alt=media")
  assert "nm-05/000" in (line := builds.refusal(data))
  assert "cannot be read: " in line and "damaged" not in line
  assert not list((tmp_path / "p").rglob("dataset_info.json"))


def test_a_file_that_has_gone_is_damaged(bucket):
  found = remote.contents([f"{bucket.url}/x.png"])
  assert isinstance(found[0], FileNotFoundError)
  with pytest.raises(frames.DamagedFilesError, match="it is missing"):
    frames.read_images([f"{bucket.url}/x.png"], lambda raw: raw)
  line = mistakes.message(pickles.load_array, f"{bucket.url}/x.pkl")
  assert "x.pkl: cannot be read (it is missing)" in line


def test_pickles_are_read_within_bounds(bucket, monkeypatch):
  values = np.full((2, 64, 64), 255, np.uint8)
  bucket.write("a.pkl", pickle.dumps(values))
  bucket.write("empty.pkl", b"")
  np.testing.assert_array_equal(
    pickles.load_array(f"{bucket.url}/a.pkl"), values
  )
  line = mistakes.message(pickles.load_array, f"{bucket.url}/empty.pkl")
  assert "the file is empty" in line
  monkeypatch.setattr(pickles, "_MOST_BYTES", 100)
  bucket.proxy.requests.clear()
  line = mistakes.message(pickles.load_array, f"{bucket.url}/a.pkl")
  assert "bytes are too many" in line
  assert not bucket.proxy.seen("GET", "alt=media")


def test_a_partition(bucket, tmp_path):
  content = {"TRAIN_SET": ["001"], "TEST_SET": ["002"]}
  bucket.write("p.json", json.dumps(content).encode())
  place = f"{bucket.url}/p.json"
  assert partitions.read(place).train == ("001",)
  (tmp_path / "p.json").write_text(json.dumps(content))
  identities = [
    partitions.Request(str(file)).identity()
    for file in (place, tmp_path / "p.json")
  ]
  assert identities[0] == identities[1]
  line = mistakes.message(partitions.read, f"{bucket.url}/q.json")
  assert "q.json: cannot be read (it is missing)" in line


def test_records_and_batches_are_those_of_a_disk(bucket, store, records):
  there = records(cache_gib=0.0)
  assert there.read_all([3, 1, 3]) == [store.read(i) for i in (3, 1, 3)]
  assert there.names.tolist() == store.names.tolist()

  def batches(split):
    made = pipeline.train_batches(
      split,
      identities=2,
      sequences=2,
      clip=pipeline.Clip("fixed_unordered", 3),
      augment=pipeline.Augment(flip=0.5),
      seed=3,
    )
    found = [next(made) for _ in range(3)]
    made.close()
    return found + list(pipeline.eval_batches(split, batch_size=5))

  for one, other in zip(batches(there), batches(store), strict=True):
    assert one.keys() == other.keys()
    for key in one:
      np.testing.assert_array_equal(one[key], other[key])


def test_records_are_asked_for_at_once_and_kept(bucket, store, records):
  there = records()
  bucket.proxy.requests.clear()

  def asked():  # the log of the upload of the index may come only now
    return sum("alt=media" in r.target for r in bucket.proxy.requests)

  bucket.proxy.slow(0.3, "GET", "alt=media")
  start = time.monotonic()
  there.read_all(range(len(store)))
  assert time.monotonic() - start < 0.3 * len(store) / 2
  # A request a sequence, and none for what is kept. The log of an answer may
  # follow its arrival.
  until = time.monotonic() + 5
  while asked() < len(store) and time.monotonic() < until:
    time.sleep(0.01)
  assert asked() == len(store)
  there.read_all(range(len(store)))
  assert there.read(2) == store.read(2)
  assert asked() == len(store)


def test_what_passes_is_repeated(bucket, store, records):
  there = records()
  bucket.proxy.fail(503, "GET", "alt=media", times=2)
  assert there.read(0) == store.read(0)
  bucket.proxy.cut("download", "GET", "alt=media", times=1)
  assert there.read(1) == store.read(1)


def test_what_does_not_pass_is_one_line(bucket, records):
  there = records()
  bucket.proxy.fail(403, "GET", "alt=media")
  made = pipeline.eval_batches(there, batch_size=4)
  line = mistakes.message(list, made)
  assert f"{bucket.url}/records/a cannot be read: " in line
  bucket.proxy.clear()
  bucket.write("records/a", b"x" * 10**6)
  line = mistakes.message(there.read, 5)
  assert "records/a: cannot be read (it has changed)" in line
