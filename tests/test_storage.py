"""Files in stores that are emulated on this machine, and on the disk."""

import errno
import pathlib
import time

import fsspec
import pytest

from gaitkd_jax import errors
from gaitkd_jax import failures
from gaitkd_jax import storage


def test_files_are_written_and_read(any_bucket):
  root = any_bucket.url
  storage.write_text(f"{root}/run/a.json", "{}")
  storage.write_bytes(f"{root}/run/b/c", b"0123456789")
  assert any_bucket.names() == ["run/a.json", "run/b/c"]
  assert storage.read_text(f"{root}/run/a.json") == "{}"
  assert storage.read_range(f"{root}/run/b/c", 3, 4) == b"3456"
  assert sorted(storage.names(f"{root}/run")) == ["a.json", "b"]
  assert [str(file) for file in storage.files(f"{root}/run")] == [
    f"{root}/run/a.json",
    f"{root}/run/b/c",
  ]
  for name in ("run", "run/b", "run/b/c"):
    assert storage.exists(f"{root}/{name}")
  before = storage.state(f"{root}/run/a.json")
  assert before == storage.state(f"{root}/run/a.json")
  storage.write_text(f"{root}/run/a.json", "[]")
  assert before != storage.state(f"{root}/run/a.json")
  storage.remove(f"{root}/run/a.json")
  storage.remove(f"{root}/run/a.json")
  assert storage.names(f"{root}/run") == ["b"]


def test_what_is_not_there(any_bucket):
  root = any_bucket.url
  for place in (f"{root}/none", f"{root}-other/none"):
    assert not storage.exists(place) and not storage.names(place)
    with pytest.raises(FileNotFoundError, match="no such bucket or file"):
      storage.read_text(place)
    with pytest.raises(FileNotFoundError, match="there is no such"):
      storage.fetch(place)
  assert list(storage.files(f"{root}/none")) == []


def test_folders_are_copied(any_bucket, tmp_path):
  (tmp_path / "sub").mkdir()
  for name in ("a", "last", "sub/b", "z"):
    (tmp_path / name).write_text(name)
  (tmp_path / "sub" / "empty").write_text("")
  target = f"{any_bucket.url}/up"
  storage.upload(tmp_path, target, "last")
  end = time.monotonic() + 20  # the log is written after the answer
  while len(any_bucket.proxy.seen("POST|PUT")) < 5 and time.monotonic() < end:
    time.sleep(0.01)
  written = [r.target for r in any_bucket.proxy.seen("POST|PUT")]
  assert len(written) == 5 and "last" in written[-1]
  local = storage.fetch(target)
  assert {
    file.relative_to(local).as_posix(): file.read_text()
    for file in storage.files(local)
  } == {
    **{name: name for name in ("a", "last", "sub/b", "z")},
    "sub/empty": "",
  }
  one = storage.fetch(f"{target}/sub/b")
  assert (one.name, one.read_text()) == ("b", "sub/b")
  storage.remove_scratch()
  assert not local.exists() and not one.exists()
  assert storage.fetch(tmp_path) == tmp_path


def test_a_disk_that_is_full_is_no_refusal():
  assert storage.refusal(OSError(errno.ENOSPC, "No space", "/tmp/x")) is None
  assert storage.refusal(OSError(errno.EACCES, "denied", "/tmp/x")) is None
  assert storage.refusal(ValueError("NOT_FOUND: a bug")) is None


@pytest.mark.parametrize(
  "place, words",
  [
    ("gs:/gait/run", "gs:/gait/run: write it as gs://gait/run"),
    ("s3:/gait", "write it as s3://gait"),
    ("http://gait/run", "no way to files of http:"),
    ("gs://", "names no bucket"),
    ("s3:///run", "names no bucket"),
  ],
)
def test_mistaken_names(place, words, tmp_path, monkeypatch):
  monkeypatch.chdir(tmp_path)
  for function in (storage.path, storage.absolute, storage.exists):
    with pytest.raises(errors.UserError, match=words):
      function(place)
  with pytest.raises(errors.UserError, match=words):
    storage.check_writable(place, "--workdir")
  assert not list(tmp_path.iterdir())


def test_what_has_to_be_on_the_disk(tmp_path):
  for place in ("gs://gait/out", pathlib.Path("gs://gait/out"), "s3://a"):
    with pytest.raises(errors.UserError, match="--output .* on the disk"):
      storage.on_disk(place, "--output")
  assert storage.on_disk(tmp_path, "--output") == tmp_path


def test_an_extra_that_is_missing(monkeypatch):
  def missing(*unused, **also):
    raise ImportError("Please install gcsfs")

  monkeypatch.setattr(fsspec, "filesystem", missing)
  with pytest.raises(
    errors.UserError, match=r'pip install "gaitkd_jax\[gcs\]"'
  ):
    storage.path("gs://gait/run")


def test_what_can_be_written_is_left_empty(any_bucket, tmp_path):
  storage.check_writable(f"{any_bucket.url}/run", "--workdir")
  assert any_bucket.names() == []
  storage.check_writable(tmp_path / "a" / "b", "--workdir")
  assert list((tmp_path / "a" / "b").iterdir()) == []


def test_a_bucket_that_forbids_writing(any_bucket):
  any_bucket.proxy.fail(403, "POST|PUT")
  place = f"{any_bucket.url}/run"
  with pytest.raises(errors.UserError) as e:
    storage.check_writable(place, "--workdir")
  assert f"--workdir {place} cannot be written" in str(e.value)
  assert "\n" not in str(e.value)
  assert any(w in str(e.value) for w in ("does not have access", "denied"))


def test_a_bucket_that_is_missing(any_bucket):
  with pytest.raises(errors.UserError, match="no such bucket or file"):
    storage.check_writable(f"{any_bucket.url}-other/run", "--workdir")


def test_refusals_are_one_line(any_bucket):
  """Of our own functions, and of a library that asks the store itself."""
  place = f"{any_bucket.url}/a"
  storage.write_text(place, "a")
  any_bucket.proxy.fail(403)
  with pytest.raises(storage.StoreError) as e:
    storage.read_text(place)
  assert e.value.filename == place
  with pytest.raises(Exception) as other:
    storage.path(place).read_text()
  for error in (e.value, other.value):
    reason = failures.reason(error)
    assert "\n" not in reason and "cannot be written or read" in reason
    assert any(
      w in reason for w in ("does not have access", "denied", "Forbidden")
    ), reason
  assert failures.reason(e.value).startswith(place)


def test_a_store_that_is_away_for_a_moment(any_bucket):
  any_bucket.proxy.fail(503, times=2)
  storage.write_text(f"{any_bucket.url}/a", "a")
  any_bucket.proxy.cut("answer", times=1)
  assert storage.read_text(f"{any_bucket.url}/a") == "a"
