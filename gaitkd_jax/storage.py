"""Files on a disk or in an object store: named, read and written alike.

A path that begins with gs:// (Google Cloud) or s3:// lies in a store; the extra
gcs or s3 brings what that takes. All others are on the disk. A store has no
folders, cannot append, and replaces an object whole or not at all.

`STORAGE_EMULATOR_HOST` and `AWS_ENDPOINT_URL` name another server than Google's
and Amazon's.
"""

from __future__ import annotations

import atexit
from collections.abc import Iterator
from collections.abc import Mapping
import contextlib
import errno
import logging
import os
import pathlib
import re
import secrets
import shutil
import tempfile
import traceback
from typing import Any
from typing import TypeAlias

from etils import epath

from gaitkd_jax import errors

Place = str | os.PathLike[str]
# What both kinds of path can do: `/`, name, parent, exists, is_dir, iterdir,
# glob, mkdir, open("rb" or "wb"), read_*, write_*, unlink. A store's path has
# no use for resolve().
Path: TypeAlias = pathlib.Path | epath.Path

# By scheme, the extra that brings what is needed to reach the store.
EXTRAS = {"gs": "gcs", "s3": "s3"}
_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]+):/")

# Folders that are to be removed.
_SCRATCH: list[pathlib.Path] = []

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
  if found[1] in EXTRAS and not text.startswith(f"{found[1]}://"):
    rest = text.removeprefix(f"{found[1]}:/").lstrip("/")
    raise errors.UserError(f"{text}: write it as {found[1]}://{rest}")
  if found[1] not in EXTRAS:
    raise errors.UserError(
      f"{text}: there is no way to files of {found[1]}:; give a folder, or "
      f"{' or '.join(f'{scheme}://<bucket>/...' for scheme in EXTRAS)}"
    )
  if not text.removeprefix(f"{found[1]}://").partition("/")[0]:
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


def on_disk(place: Place, name: str) -> pathlib.Path:
  """A path of what cannot be in a store.

  Args:
    place: that the user gave.
    name: of it, such as "--output".

  Raises:
    errors.UserError: it is in one.
  """
  if _SCHEME.match(os.fspath(place)):
    raise errors.UserError(
      f"{name} {os.fspath(place)} has to be on the disk; give a folder there, "
      "and copy it"
    )
  return pathlib.Path(place)


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


class StoreError(OSError):
  """What a store, or the way to it, refuses; strerror says why in one line."""


@contextlib.contextmanager
def told(place: Place) -> Iterator[None]:
  """What a store or the network raises inside becomes an OSError.

  Args:
    place: that is read or written. Nothing is changed of the disk's errors.

  Raises:
    FileNotFoundError: there is no such file, or no such bucket.
    StoreError: anything else.
  """
  try:
    yield
  except Exception as e:
    known = isinstance(e, StoreError) or not is_remote(place)
    why = None if known else refusal(e)
    if why is None:
      raise
    missing = isinstance(e, FileNotFoundError)
    kind, number = (
      (FileNotFoundError, errno.ENOENT) if missing else (StoreError, errno.EIO)
    )
    raise kind(number, why, os.fspath(place)) from e


def exists(place: Place) -> bool:
  """Whether there is a file or a folder."""
  with told(place):
    return path(place).exists()


def names(folder: Place) -> list[str]:
  """The names of what is in a folder; none if there is no such folder."""
  with told(folder):
    try:
      return [found.name for found in path(folder).iterdir()]
    except (FileNotFoundError, NotADirectoryError):
      return []


def read_bytes(place: Place) -> bytes:
  """Reads a file."""
  with told(place):
    if is_remote(place):
      return filesystem(place).cat_file(os.fspath(place))
    return path(place).read_bytes()


def read_text(place: Place, damaged: str = "strict") -> str:
  """Reads a file in UTF-8; `damaged` says what becomes of other bytes."""
  return read_bytes(place).decode(errors=damaged)


def remove(place: Place) -> None:
  """Deletes a file, if there is one."""
  with told(place):
    path(place).unlink(missing_ok=True)


def remove_folder(folder: Place) -> None:
  """Deletes a folder and all that is in it, if there is one."""
  with told(folder), contextlib.suppress(FileNotFoundError):
    if is_remote(folder):
      filesystem(folder).rm(os.fspath(folder), recursive=True)
    else:
      shutil.rmtree(folder)


def write_text(place: Place, text: str) -> None:
  """Writes the whole file or nothing; makes its folder."""
  write_bytes(place, text.encode())


def write_bytes(place: Place, content: bytes) -> None:
  """Writes the whole file or nothing; makes its folder."""
  if is_remote(place):
    with told(place):
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
  return state_of(filesystem(place).info(os.fspath(place)))


def state_of(info: Mapping[str, Any]) -> tuple[int, str]:
  """The state of an object, see `state`, from what a listing says of it."""
  for key in ("generation", "etag", "ETag", "mtime", "LastModified"):
    if info.get(key):
      return int(info["size"]), str(info[key])
  return int(info["size"]), ""


def files(folder: Place) -> Iterator[Path]:
  """The files below a folder, sorted; none if it does not exist."""
  if is_remote(folder):
    scheme = os.fspath(folder).partition(":")[0]
    with told(folder):
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
  found = [file.relative_to(source).as_posix() for file in files(source)]
  first = [name for name in found if name != last]
  with told(target):
    for part in filter(None, (first, [last])):
      filesystem(target).put(
        [str(source / name) for name in part],
        [f"{os.fspath(target)}/{name}" for name in part],
      )


def download(folder: Place, target: Place) -> None:
  """Copies a folder of a store to the disk, each file whole or not at all."""
  prefix = f"{os.fspath(folder).rstrip('/')}/"
  with told(folder):
    found = [os.fspath(file) for file in files(folder)]
    local = [pathlib.Path(target) / name.removeprefix(prefix) for name in found]
    new = [file.with_name(f".{file.name}.tmp") for file in local]
    if found:
      filesystem(folder).get(found, [str(file) for file in new])
  for written, file in zip(new, local, strict=True):
    written.replace(file)


def scratch() -> pathlib.Path:
  """A new folder on the disk that is removed when the program ends."""
  folder = pathlib.Path(tempfile.mkdtemp(prefix="gaitkd_jax-"))
  _SCRATCH.append(folder)
  return folder


def keep(folder: pathlib.Path) -> None:
  """Lets a folder of `scratch` stay when the program ends."""
  _SCRATCH.remove(folder)


@atexit.register
def remove_scratch() -> None:
  """Removes the folders of `scratch`."""
  while _SCRATCH:
    shutil.rmtree(_SCRATCH.pop(), ignore_errors=True)


def fetch(place: Place) -> pathlib.Path:
  """A copy of a file or folder of a store in `scratch`; of a disk, itself.

  Raises:
    FileNotFoundError: there is neither.
  """
  if not is_remote(place):
    return pathlib.Path(place).expanduser()
  local = scratch() / path(place).name
  with told(place):
    if filesystem(place).isfile(os.fspath(place)):
      filesystem(place).get_file(os.fspath(place), str(local))
      return local
  download(place, local)
  if not local.exists():
    text = "there is no such file or folder"
    raise FileNotFoundError(errno.ENOENT, text, os.fspath(place))
  return local


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
    if is_remote(folder):
      probe = place / f".writable.{secrets.token_hex(8)}"
      write_bytes(probe, b"")
      with told(probe):
        filesystem(probe).rm_file(os.fspath(probe))
    else:
      place.mkdir(parents=True, exist_ok=True)
      tempfile.TemporaryFile(dir=place).close()
  except OSError as e:
    raise errors.UserError(
      f"{name} {os.fspath(folder)} cannot be written ({e.strerror or e}); give "
      "another"
    ) from e


def refusal(error: BaseException) -> str | None:
  """What a store or the way to it says, in a few words; None: it may be a bug.

  Args:
    error: of this module, or of the libraries that reach stores.
  """
  number, place = getattr(error, "errno", None), getattr(error, "filename", "")
  if isinstance(error, StoreError) or (number and "://" in str(place)):
    return error.strerror  # type: ignore[attr-defined]
  if number in _OF_DISK:
    return None
  text = " ".join(str(error).split())
  if isinstance(error, ValueError) and (found := _TENSORSTORE.match(text)):
    return f"{found[1].lower().replace('_', ' ')}: {found[2]}"[:_LENGTH]
  modules = {kind.__module__ for kind in type(error).__mro__}
  if isinstance(error, OSError):  # gcsfs and s3fs raise plain ones, too
    frames = traceback.walk_tb(error.__traceback__)
    modules |= {frame.f_globals.get("__name__", "") for frame, _ in frames}
  if not {name.partition(".")[0] for name in modules} & _LIBRARIES:
    return None
  if isinstance(error, FileNotFoundError):
    return "there is no such bucket or file"
  text = getattr(error, "strerror", None) or text or type(error).__name__
  if isinstance(error, PermissionError):
    text = f"access is denied: {text}"
  return text[:_LENGTH]


# A disk that is full, or of a limit, to which something is copied.
_OF_DISK = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS}
_LENGTH = 300
_LIBRARIES = {"gcsfs", "s3fs", "aiohttp", "botocore", "aiobotocore", "google"}
# The status, and what follows it without its details in brackets.
_TENSORSTORE = re.compile(r"([A-Z_]+): (.*?gs://.*?|Error .*?)(?: \[\w+='.*)?$")
