"""Prepared data in an object store, whatever goes wrong on the way there."""

import pathlib
import re
import tempfile

import pytest

from data_pipelines import datasets
from data_pipelines import inspect
from data_pipelines import prepare
from data_pipelines import record_index
from data_pipelines import staging
from data_pipelines import store as store_lib
from gaitkd_jax import errors
from gaitkd_jax import storage
from tests.helpers import builds
from tests.helpers import mistakes
from tests.helpers import trees

UPLOAD = "/upload/"
SHARD = "casiab-test.tfrecord"
DENIED = "(Forbidden|access is denied)"


@pytest.fixture
def tree(tmp_path):
  """Two subjects of CASIA-B: one trains, one tests."""
  trees.write(tmp_path / "tree", "casiab", "pickle", 2, 2)
  return tmp_path / "tree"


@pytest.fixture
def data(bucket, tree):
  return builds.data_of("casiab", tree, prepared=f"{bucket.url}/prepared")


def records(builder):
  """All records, as they lie in the files."""
  splits = [
    store_lib.SequenceStore.from_builder(builder, split)
    for split in ("train", "test")
  ]
  return [s.read_all(range(len(s))) for s in splits]


def staged():
  """The files that are kept on the disk for a store."""
  folders = pathlib.Path(tempfile.gettempdir()).glob("gaitkd_jax_*/prepared_*/")
  return [file for folder in folders for file in storage.files(folder)]


def kept(bucket):
  """What lies in the bucket, without the names of folders."""
  return {name.rpartition("/")[2] for name in bucket.names()}


def test_prepared_once_and_read_as_from_a_disk(
  bucket, tree, data, tmp_path, monkeypatch
):
  monkeypatch.chdir(tmp_path)
  builder = datasets.prepare(data)
  assert str(builder.data_path).startswith(f"{bucket.url}/prepared/casiab/")
  assert records(builder) == records(
    datasets.prepare(builds.data_of("casiab", tree))
  )
  names = bucket.names()
  bucket.proxy.requests.clear()
  again = datasets.prepare(data)
  assert records(again) == records(builder)
  assert again.info.splits["train"].num_examples == 8
  assert not bucket.proxy.seen("POST|PUT|DELETE") and bucket.names() == names
  # Nothing stays on the disk, and nothing is named after the store.
  assert not staged()
  assert sorted(p.name for p in tmp_path.iterdir()) == [
    "staging",
    "tree",
    "tree_prepared",
  ]


def test_found_without_the_tree(bucket, data):
  builder = datasets.prepare(data)
  (name,) = datasets.builder_class("casiab").builds(data.prepared)
  assert name == builder.builder_config.name
  data.root = ""
  assert datasets.prepare(data).data_dir == builder.data_dir
  data.prepared = f"{bucket.url}/elsewhere"
  assert "holds 0 prepared" in builds.refusal(data)


def test_a_copy_that_was_interrupted_goes_on(bucket, data):
  bucket.proxy.fail(403, "POST", f"{UPLOAD}.*dataset_info.json")
  line = builds.refusal(data)
  assert f"{data.prepared} cannot be written: " in line
  assert re.search(DENIED, line)
  assert SHARD in " ".join(kept(bucket))
  assert staging.LAST not in kept(bucket)
  assert not datasets.builder_class("casiab").builds(data.prepared)
  assert staged()
  bucket.proxy.clear()
  bucket.proxy.requests.clear()
  records(datasets.prepare(data))
  assert staging.LAST in kept(bucket) and not staged()
  assert not bucket.proxy.seen("POST", f"{UPLOAD}.*tfrecord")


def test_a_copy_that_was_changed_meanwhile_is_made_again(bucket, data):
  bucket.proxy.fail(403, "POST", f"{UPLOAD}.*dataset_info.json")
  builds.refusal(data)
  (name,) = [name for name in bucket.names() if SHARD in name]
  whole = bucket.read(name)
  bucket.write(name, b"x" * len(whole))
  bucket.proxy.clear()
  datasets.prepare(data)
  assert bucket.read(name) == whole


@pytest.mark.parametrize("where", ["missing", "forbidden"])
def test_a_store_that_cannot_be_written_is_found_first(
  bucket, data, where, monkeypatch
):
  if where == "missing":
    data.prepared = "gs://nothing/prepared"
  bucket.proxy.fail(403, "POST|PUT")
  monkeypatch.setattr(staging, "_build", None)  # is not called
  line = builds.refusal(data)
  assert line.startswith(f"data.prepared {data.prepared} cannot be written (")
  assert re.search(DENIED, line) or where == "missing"
  assert not staged() and not bucket.names()


def test_beam_needs_a_folder(data):
  line = mistakes.message(
    prepare.main,
    [
      "--dataset=casiab",
      f"--prepared={data.prepared}",
      "--beam_pipeline_options=runner=DirectRunner",
    ],
  )
  assert line.startswith(f"--prepared {data.prepared}: Beam's workers")


def test_the_inspection_reads_and_writes_there(bucket, tree, data, capsys):
  for file in storage.files(tree):
    bucket.write(f"tree/{file.relative_to(tree)}", file.read_bytes())
  arguments = [
    "--dataset=casiab",
    f"--root={bucket.url}/tree",
    f"--prepared={data.prepared}",
  ]
  inspect.main([*arguments, f"--output={bucket.url}/sheet.png"])
  assert "sequences   8" in capsys.readouterr().out
  assert bucket.read("sheet.png").startswith(b"\x89PNG")
  line = mistakes.message(inspect.main, [*arguments, "--output=gs://no/a.png"])
  assert line.startswith("--output gs://no/a.png cannot be used: there is no")


def test_a_folder_is_not_named_after_a_store(data):
  for wrong in ("gs:/bucket/x", "http://bucket/x", "gs://"):
    data.prepared = wrong
    assert wrong in builds.refusal(data)


def test_a_full_disk_is_named(bucket, data, monkeypatch):
  def full(*args, **kwargs):
    raise OSError(28, "No space left on device")

  monkeypatch.setattr(datasets.builder_class("casiab"), "_read", full)
  line = builds.refusal(data)
  assert "no space left" in line and "TMPDIR" in line
  assert tempfile.gettempdir() in line


def test_what_a_killed_build_left_is_removed(bucket, data):
  bucket.proxy.fail(403, "POST", f"{UPLOAD}.*features.json")
  builds.refusal(data)
  bucket.proxy.clear()
  (info,) = [file for file in staged() if file.name == staging.LAST]
  left = info.parent.rename(info.parent.with_name("incomplete.ABC_1.2.0"))
  assert left.exists()
  datasets.prepare(data)
  assert not staged()


def test_who_may_only_read_needs_no_index(bucket, data, caplog):
  whole = records(datasets.prepare(data))
  for name in bucket.names():
    if name.endswith(".npz"):
      bucket.remove(name)
  bucket.proxy.fail(403, "POST|PUT|DELETE")
  assert records(datasets.prepare(data)) == whole
  assert re.search(
    rf"index_train.npz cannot be written \({DENIED}", caplog.text
  )
  assert not [name for name in bucket.names() if name.endswith(".npz")]


def test_an_index_fits_the_files_that_it_was_made_from(bucket, data):
  builder = datasets.prepare(data)
  whole = records(builder)
  (shard,) = [name for name in bucket.names() if SHARD in name]
  index = f"{builder.data_path}/{record_index.name('test')}"
  before = storage.state(index)
  assert records(builder) == whole and storage.state(index) == before
  bucket.write(shard, bucket.read(shard))
  assert records(builder) == whole and storage.state(index) != before
  bucket.remove(shard)
  line = mistakes.message(records, builder)
  assert f"{SHARD}-00000-of-00001: cannot be read (it is missing)" in line


def test_amazons_store_and_the_command(tree, s3_bucket, capsys):
  store = s3_bucket
  arguments = ["--dataset=casiab", f"--root={tree}"]
  prepare.main([*arguments, f"--prepared={store.url}/p"])
  printed = capsys.readouterr().out
  assert "train: 8 sequences in 1 files" in printed
  assert f"prepared: {store.url}/p/casiab/" in printed
  assert "share of white pixels" in printed
  assert {staging.LAST, "index_train.npz", f"{SHARD}-00000-of-00001"} <= kept(
    store
  )
  data = builds.data_of("casiab", prepared=f"{store.url}/p")
  there = records(datasets.prepare(data))
  here = records(datasets.prepare(builds.data_of("casiab", tree)))
  assert there == here
  line = mistakes.message(
    prepare.main, [*arguments, "--prepared=s3://nothing/p"]
  )
  assert "s3://nothing/p cannot be written" in line


def test_a_stop_while_copying_goes_on(bucket, data, monkeypatch):
  add, copied = staging._Done.add, []

  def stop(self, name):
    add(self, name)
    copied.append(name)
    if len(copied) == 2:
      raise errors.Stopped("stopped by SIGTERM")

  monkeypatch.setattr(staging._Done, "add", stop)
  with pytest.raises(
    errors.Stopped, match="SIGTERM; what is to be copied"
  ) as e:
    datasets.prepare(data)
  assert e.value.saved and staging.LAST not in kept(bucket)
  first = list(copied)
  records(datasets.prepare(data))
  assert staging.LAST in kept(bucket)
  assert len(copied) == len(set(copied)) and first == copied[:2]
