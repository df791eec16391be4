"""Files on a disk or in an object store: named, read and written alike.

A path that begins with gs:// (Google Cloud) or s3:// lies in a store; the extra
gcs or s3 brings what that takes. All others are on the disk. A store has no
folders, cannot append, and replaces an object whole or not at all.

`STORAGE_EMULATOR_HOST` and `AWS_ENDPOINT_URL` name another server than Google's
and Amazon's.
"""

from __future__ import annotations

from collections.abc import Iterator
import logging
import os
import pathlib
import re
from typing import Any

from etils import epath

from gaitkd_jax import errors

Place = str | os.PathLike[str]
# What both kinds of path can do: `/`, name, parent, exists, is_dir, iterdir,
# glob, mkdir, open("rb" or "wb"), read_*, write_*, unlink. A store's path has
# no use for resolve().
Path = pathlib.Path | epath.Path

# By scheme, the extra that brings what is needed to reach the store.
EXTRAS = {"gs": "gcs", "s3": "s3"}
_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]+):/")

# TensorFlow's own access to stores needs TensorFlow, and knows no emulator.
os.environ.setdefault("EPATH_USE_TF", "false")
# Orbax reaches Google's store by a library of its own, TensorStore.
if "STORAGE_EMULATOR_HOST" in os.environ:
  os.environ.setdefault(
    "TENSORSTORE_GCS_HTTP_URL", os.environ["STORAGE_EMULATOR_HOST"]
  )
# They print the tracebacks of what they raise as well.
for _name in ("gcsfs", "aiobotocore", "botocore", "fsspec"):
  logging.getLogger(_name).setLevel(logging.CRITICAL)


def is_remote(place: Place) -> bool:
  """Whether a path lies in an object store.

  Raises:
    errors.UserError: it begins with a scheme that is unknown, as in http://.
  """
  text = os.fspath(place)
  found = _SCHEME.match(text)
  if not found:
    return False
  if found[1] not in EXTRAS or not text.startswith(f"{found[1]}://"):
    raise errors.UserError(
      f"{text}: there is no way to files of {found[1]}:; give a folder, or "
      f"{' or '.join(f'{scheme}://<bucket>/...' for scheme in EXTRAS)}"
    )
  if not text.removeprefix(f"{found[1]}://").strip("/"):
    raise errors.UserError(f"{text} names no bucket; give {found[1]}://<name>")
  return True


def path(place: Place) -> Path:
  """A path to work with; ~ is expanded.

  Raises:
    errors.UserError: see `is_remote`; or the extra is not installed.
  """
  if is_remote(place):
    filesystem(place)
    return epath.Path(place)
  return pathlib.Path(place).expanduser()


def absolute(place: Place) -> Path:
  """A path that means the same in any folder."""
  found = path(place)
  return found if is_remote(found) else found.resolve()


def filesystem(place: Place) -> Any:
  """What fsspec reaches a store by.

  Raises:
    errors.UserError: the extra is not installed.
  """
  import fsspec

  scheme = os.fspath(place).partition(":")[0]
  # Without a memory of listings: other processes, and Orbax, write as well.
  # The other option is what epath gives, so that both share connections.
  options = {"gs": dict(finalize_on_close=True), "s3": {}}[scheme]
  fsspec.config.conf.setdefault(
    {"gs": "gcs", "s3": "s3"}[scheme], {}
  ).setdefault("use_listings_cache", False)
  try:
    return fsspec.filesystem({"gs": "gcs", "s3": "s3"}[scheme], **options)
  except ImportError as e:
    raise errors.UserError(
      f"{os.fspath(place)}: the extra {EXTRAS[scheme]} is not installed ({e}); "
      f'pip install "gaitkd_jax[{EXTRAS[scheme]}]"'
    ) from e


def write_text(place: Place, text: str) -> None:
  """Writes the whole file or nothing; makes its folder."""
  write_bytes(place, text.encode())


def write_bytes(place: Place, content: bytes) -> None:
  """Writes the whole file or nothing; makes its folder."""
  if is_remote(place):
    filesystem(place).pipe_file(os.fspath(place), content)
    return
  file = pathlib.Path(place)
  file.parent.mkdir(parents=True, exist_ok=True)
  new = file.with_name(f".{file.name}.tmp")
  new.write_bytes(content)
  new.replace(file)


def read_range(place: Place, offset: int, size: int) -> bytes:
  """Reads a part of an object of a store."""
  return filesystem(place).cat_file(
    os.fspath(place), start=offset, end=offset + size
  )


def state(place: Place) -> tuple[int, str]:
  """The size of a file, and a text that changes when it is written anew."""
  if not is_remote(place):
    found = os.stat(place)
    return found.st_size, str(found.st_mtime_ns)
  info = filesystem(place).info(os.fspath(place))
  for key in ("generation", "etag", "ETag", "mtime", "LastModified"):
    if info.get(key):
      return int(info["size"]), str(info[key])
  return int(info["size"]), ""


def files(folder: Place) -> Iterator[Path]:
  """The files below a folder, sorted; none if it does not exist."""
  if is_remote(folder):
    scheme = os.fspath(folder).partition(":")[0]
    found = filesystem(folder).find(os.fspath(folder))
    yield from (epath.Path(f"{scheme}://{name}") for name in sorted(found))
  else:
    found = pathlib.Path(folder).rglob("*")
    yield from sorted(file for file in found if file.is_file())


def upload(folder: Place, target: Place, last: str) -> None:
  """Copies a folder into a store.

  Args:
    folder: on the disk.
    target: in the store.
    last: the file that is copied after all others: whoever finds it finds all.
  """
  source = pathlib.Path(folder)
  names = [file.relative_to(source).as_posix() for file in files(source)]
  for name in sorted(names, key=lambda name: name == last):
    filesystem(target).put_file(
      str(source / name), f"{os.fspath(target)}/{name}"
    )


def download(folder: Place, target: Place) -> None:
  """Copies a folder of a store to the disk, each file whole or not at all."""
  prefix = f"{os.fspath(folder).rstrip('/')}/"
  for file in files(folder):
    local = pathlib.Path(target) / os.fspath(file).removeprefix(prefix)
    local.parent.mkdir(parents=True, exist_ok=True)
    new = local.with_name(f".{local.name}.tmp")
    filesystem(folder).get_file(os.fspath(file), str(new))
    new.replace(local)


def check_writable(folder: Place, name: str) -> None:
  """Makes a folder and tries to write to it, before any work is done.

  Args:
    folder: on the disk or in a store.
    name: of what the user gave, such as "--workdir".

  Raises:
    errors.UserError: it cannot be written.
  """
  place = path(folder)
  try:
    if not is_remote(folder):
      place.mkdir(parents=True, exist_ok=True)
    probe = place / f".writable.{os.getpid()}"
    write_bytes(probe, b"")
    probe.unlink()
  except Exception as e:
    why = e.strerror if isinstance(e, OSError) and e.strerror else refusal(e)
    if why is None:
      raise
    raise errors.UserError(
      f"{name} {os.fspath(folder)} cannot be written ({why}); give another"
    ) from e


def refusal(error: BaseException) -> str | None:
  """What a store or the way to it says, in a few words; None: it may be a bug.

  Args:
    error: of `epath`, fsspec, or the libraries below them.
  """
  code = getattr(error, "code", None) or getattr(error, "status", None)
  first = " ".join(str(error).split())[:200]
  if isinstance(error, FileNotFoundError):
    return "there is no such bucket or file"
  if isinstance(error, PermissionError) or str(code) in ("401", "403"):
    return f"access is denied: {first}"
  names = {kind.__module__.partition(".")[0] for kind in type(error).__mro__}
  if isinstance(error, OSError) or names & _LIBRARIES:
    return first or type(error).__name__
  return None


_LIBRARIES = {"gcsfs", "s3fs", "aiohttp", "botocore", "aiobotocore", "google"}
