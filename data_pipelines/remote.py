"""Reads files of an object store, many at once, and says why it cannot.

One request to a store takes some ten milliseconds, however little is read. What
belongs together is therefore asked for together.
"""

from __future__ import annotations

from collections.abc import Iterator
from collections.abc import Sequence
import contextlib
import dataclasses
import errno
import posixpath
from typing import NoReturn

from gaitkd_jax import errors
from gaitkd_jax import storage

# Requests that wait for answers at a time.
_AT_ONCE = 64


class RefusalError(errors.UserError):
  """A store that refuses, or does not answer: no fault of any file."""


@dataclasses.dataclass(frozen=True)
class Entry:
  """What lies in a folder of a store, as `os.DirEntry` describes a disk's.

  Attributes:
    name: without its folder.
    path: the whole of it.
    folder: whether it is a folder.
    st_size: bytes.
    st_mtime_ns: a text that changes when it is written anew.
  """

  name: str
  path: str
  folder: bool
  st_size: int
  st_mtime_ns: str

  def is_dir(self) -> bool:
    """See `os.DirEntry`."""
    return self.folder

  def is_symlink(self) -> bool:
    """See `os.DirEntry`; stores have no links."""
    return False

  def stat(self) -> Entry:
    """See `os.DirEntry`."""
    return self


def entries(folder: str) -> list[Entry]:
  """Lists a folder of a store, sorted by name.

  Raises:
    errors.UserError: the store refuses.
  """
  scheme, _, place = folder.partition("://")
  found = []
  with explained(f"{folder} cannot be listed"):
    for info in storage.filesystem(folder).ls(folder, detail=True):
      full = info["name"].rstrip("/")
      # Some programs make folders visible by an empty object of their name.
      if full == place.rstrip("/"):
        continue
      below = info["type"] == "directory"
      state = (0, "") if below else storage.state_of(info)
      name = posixpath.basename(full)
      found.append(Entry(name, f"{scheme}://{full}", below, *state))
  return sorted(found, key=lambda entry: entry.name)


@contextlib.contextmanager
def explained(what: str) -> Iterator[None]:
  """Makes one line of what a store, or the way to it, refuses.

  Args:
    what: could not be done, for the message.

  Raises:
    errors.UserError: in place of an error of a store.
  """
  try:
    yield
  except errors.UserError:
    raise
  except Exception as error:
    _raise(what, error)


def explained_if(place: str, name: str) -> contextlib.AbstractContextManager:
  """Is `explained` for a place in a store, and nothing for one on the disk.

  Args:
    place: what the user gave.
    name: of it, such as "data.prepared".
  """
  if storage.is_remote(place):
    # Sets how `epath` reaches the store, too, which TFDS uses.
    storage.filesystem(place)
    return explained(f"{name} {place} cannot be used")
  return contextlib.nullcontext()


def _raise(what: str, error: BaseException) -> NoReturn:
  """Raises in place of an error of a store; a bug stays as it is."""
  why = getattr(error, "strerror", None) or storage.refusal(error)
  if why is None:
    raise error
  raise RefusalError(
    f"{what}: {why}; check the name and the access, and start again"
  ) from error


def read(file: str, most: int) -> bytes:
  """Reads an object.

  Args:
    file: its path.
    most: bytes that it may have.

  Raises:
    OSError: it is missing or larger.
    errors.UserError: the store refuses.
  """
  try:
    size, _ = storage.state(file)
    if 0 < size <= most:  # of nothing no range can be asked for
      return storage.read_range(file, 0, size)
  except FileNotFoundError as error:
    raise _missing(file) from error
  except Exception as error:
    _raise(f"{file} cannot be read", error)
  if size:
    raise OSError(errno.EFBIG, f"{size} bytes are too many", file)
  return b""


def contents(files: Sequence[str]) -> list[bytes | OSError | None]:
  """Reads whole objects of a store at the same time.

  Args:
    files: their paths; or paths on a disk, of which nothing is read.

  Returns:
    The bytes of each, or why there are none; None for files on a disk.

  Raises:
    errors.UserError: the store refuses.
  """
  if not files or not storage.is_remote(files[0]):
    return [None] * len(files)
  found = storage.filesystem(files[0]).cat_ranges(
    list(files), None, None, batch_size=_AT_ONCE, on_error="return"
  )
  for i, content in enumerate(found):
    if isinstance(content, FileNotFoundError):
      found[i] = _missing(files[i])
    elif isinstance(content, BaseException):
      _raise(f"{files[i]} cannot be read", content)
  return found


def _missing(file: str) -> OSError:
  return FileNotFoundError(errno.ENOENT, "it is missing", file)


def read_ranges(
  files: Sequence[str], offsets: Sequence[int], sizes: Sequence[int]
) -> list[bytes]:
  """Reads parts of objects of one store at the same time.

  Args:
    files: their names, one a part.
    offsets: where the parts begin.
    sizes: bytes of each.

  Returns:
    Each part.

  Raises:
    errors.UserError: one could not be read, after all repetitions.
  """
  ends = [o + s for o, s in zip(offsets, sizes, strict=True)]
  found = storage.filesystem(files[0]).cat_ranges(
    list(files), list(offsets), ends, batch_size=_AT_ONCE, on_error="return"
  )
  for file, part in zip(files, found, strict=True):
    if isinstance(part, BaseException):
      _raise(f"{file} cannot be read", part)
  return found
