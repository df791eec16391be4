"""The stores that tests run against behave as stores do, and fail when told."""

import json
import os
import subprocess
import sys
import time

import pytest

from tests.helpers import object_store

# The environment of a program decides which store it finds, so what talks to a
# store here is a program as well.
_USE = """
import sys
import fsspec

url = sys.argv[1]
files, _ = fsspec.core.url_to_fs(url)
files.pipe_file(f"{url}/a/small", b"0123456789")
assert files.cat_file(f"{url}/a/small") == b"0123456789"
assert files.cat_file(f"{url}/a/small", start=2, end=5) == b"234"
assert files.cat_file(f"{url}/a/small", start=-3) == b"789"
with files.open(f"{url}/a/large", "wb", block_size=5 * 2**20) as f:
  for i in range(13):
    f.write(bytes([i]) * 2**20)
with files.open(f"{url}/a/large", "rb", cache_type="none") as f:
  f.seek(7 * 2**20)
  assert f.read(3) == b"\\7\\7\\7"
assert files.info(f"{url}/a/large")["size"] == 13 * 2**20
files.mv(f"{url}/a/small", f"{url}/b/moved")
files.invalidate_cache()
assert not files.exists(f"{url}/a/small")
assert files.exists(f"{url}/b") and files.isdir(f"{url}/b")
names = files.ls(url, detail=False)
assert [name.split("/")[-1] for name in names] == ["a", "b"]
files.rm(f"{url}/a", recursive=True)
files.invalidate_cache()
assert [e.split("/", 1)[1] for e in files.find(url)] == ["b/moved"]
try:
  files.cat_file(f"{url}/absent")
except FileNotFoundError:
  pass
else:
  raise AssertionError("read what is not there")
"""

# A checkpoint is saved and restored; the manager deletes the oldest of three.
_ORBAX = """
import sys
from etils import epath
import jax
import numpy as np
from orbax import checkpoint as ocp
import tensorstore

url = sys.argv[1]
tree = {"a": np.arange(6.0), "b": {"c": np.ones((2, 3), np.float32)}}
folder = epath.Path(url) / "run" / "checkpoints"
with ocp.CheckpointManager(
  folder, options=ocp.CheckpointManagerOptions(max_to_keep=2)
) as manager:
  for step in range(3):
    manager.save(step, args=ocp.args.StandardSave(tree))
with ocp.CheckpointManager(folder) as manager:
  assert manager.all_steps() == [1, 2], manager.all_steps()
  jax.tree.map(np.testing.assert_array_equal, manager.restore(2), tree)

bucket = url.removeprefix("gs://")
store = tensorstore.KvStore.open({"driver": "gcs", "bucket": bucket}).result()
first = store.write("k", b"first").result()
assert store.read("k").result().stamp.generation == first.generation
second = store.write("k", b"second", if_equal=first.generation).result()
assert second.generation not in (b"", first.generation)
lost = store.write("k", b"third", if_equal=first.generation).result()
assert lost.generation == b"", lost
assert store["k"] == b"second"
store.write("l", b"other").result()
store.delete_range(tensorstore.KvStore.KeyRange("k", "l")).result()
assert store["l"] == b"other" and store.read("k").result().state == "missing"
"""

_READ = """
import sys
import fsspec

files, _ = fsspec.core.url_to_fs(sys.argv[1])
print(len(files.cat_file(f"{sys.argv[1]}/name")))
"""

_WRITE = """
import sys
import fsspec

files, _ = fsspec.core.url_to_fs(sys.argv[1])
files.pipe_file(f"{sys.argv[1]}/name", bytes(300_000))
"""


_S3 = pytest.param("s3", marks=pytest.mark.slow)


@pytest.fixture(scope="module", params=["gcs", _S3])
def running(request):
  with getattr(object_store, request.param)() as store:
    yield store


@pytest.fixture
def store(running):
  yield running
  running.proxy.clear()


def _start(program, store):
  return subprocess.Popen(
    [sys.executable, "-c", program, store.url],
    env={**os.environ, "JAX_PLATFORMS": "cpu", **store.environment},
    stdout=subprocess.PIPE,
    stderr=subprocess.PIPE,
    text=True,
  )


def _run(program, store):
  process = _start(program, store)
  out, err = process.communicate(timeout=120)
  return process.returncode, out, err


def test_a_store_does_what_fsspec_asks(store):
  status, _, err = _run(_USE, store)
  assert status == 0, err
  assert store.names() == ["b/moved"]
  assert store.read("b/moved") == b"0123456789"
  ranges = [r.range for r in store.proxy.seen("GET", "a/large")]
  assert ranges.count("bytes=7340032-7340034") == 1


def test_the_test_reads_and_writes_past_the_log(store):
  before = len(store.proxy.requests)
  for i in range(3):
    store.write(f"some name/{i}?", bytes([i]))
  names = [f"some name/{i}?" for i in range(3)]
  assert store.names("some name/") == names
  assert store.read(names[2]) == b"\2"
  assert store.read("some name") is None
  for name in names:
    store.remove(name)
  assert store.names("some name/") == []
  assert len(store.proxy.requests) == before


def test_orbax_and_conditional_writes():
  with object_store.gcs() as store:
    status, _, err = _run(_ORBAX, store)
    assert status == 0, err
    assert not [n for n in store.names("run/checkpoints/0")]
    assert store.proxy.seen("POST", "manifest.ocdbt&ifGenerationMatch=0", 200)
    assert store.proxy.seen("POST", "name=k&ifGenerationMatch", 412)


def test_lists_come_in_pages():
  with object_store.gcs() as store:
    for name in ("a", "b/1", "b/2", "c", "d/1"):
      store.write(name, b"")
    target, pages = "/storage/v1/b/gait/o?maxResults=2&delimiter=/", []
    token = ""
    while token is not None:
      page = json.loads(store.proxy.ask("GET", target + token).body)
      pages.append(
        [i["name"] for i in page.get("items", ())] + page.get("prefixes", [])
      )
      token = page.get("nextPageToken")
      token = token and f"&pageToken={token}"
    assert pages == [["a", "b/"], ["c", "d/"]]


def test_a_fault_lasts_as_often_as_it_says(store):
  store.write("name", b"0123")
  fault = store.proxy.fail(503, method="GET|HEAD", target="name", times=2)
  status, out, err = _run(_READ, store)
  assert (status, out) == (0, "4\n"), err
  assert fault.met.is_set()
  assert len(store.proxy.seen("GET|HEAD", "name", 503)) == 2


def test_a_refusal_is_an_error_of_the_program(store):
  store.write("name", b"0123")
  store.proxy.fail(403, target="name")
  status, _, err = _run(_READ, store)
  assert status == 1
  assert "Forbidden" in err, err


def test_a_cut_upload_leaves_nothing_and_a_cut_answer_the_whole(store):
  if "name" in store.names():
    store.remove("name")
  for where, left in (("upload", None), ("answer", bytes(300_000))):
    fault = store.proxy.cut(where, "POST|PUT", "name")
    process = _start(_WRITE, store)
    assert fault.met.wait(60)
    process.kill()
    process.communicate()
    store.proxy.clear()
    assert store.read("name") == left
  assert _run(_WRITE, store)[0] == 0


def test_a_cut_download_is_no_short_file(store):
  store.write("name", bytes(300_000))
  store.proxy.cut("download", "GET", "name", times=1)
  status, out, err = _run(_READ, store)
  assert (status, out) == (0, "300000\n") or status == 1, err
  assert store.proxy.seen("GET", "name")[-1].fault in ("", "download")


def test_a_held_request_waits_and_a_slow_one_is_late(store):
  store.write("name", bytes(3000))
  fault = store.proxy.hold("GET", "name")
  process = _start(_READ, store)
  assert fault.met.wait(60)
  time.sleep(0.2)
  assert process.poll() is None
  fault.release()
  assert process.communicate(timeout=60)[0] == "3000\n"
  store.proxy.slow(0.3, 3000, "GET", "name")
  start = time.monotonic()
  assert _run(_READ, store)[1] == "3000\n"
  assert time.monotonic() - start > 1.3
