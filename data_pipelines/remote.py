"""Reads files of an object store, many at once, and says why it cannot.

One request to a store takes some ten milliseconds, however little is read. What
belongs together is therefore asked for together.
"""

from __future__ import annotations

from collections.abc import Iterator
from collections.abc import Sequence
import contextlib
from typing import Any

from gaitkd_jax import errors
from gaitkd_jax import storage

# Requests that wait for answers at a time.
_AT_ONCE = 64


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
    raise refused(what, error) from error


def refused(what: str, error: BaseException) -> BaseException:
  """Returns the error to raise for one of a store; a bug stays as it is."""
  why = storage.refusal(error)
  if why is None:
    return error
  return errors.UserError(
    f"{what}: {why}; check the name and the access, and start again"
  )


def read_ranges(
  files: Sequence[str], offsets: Sequence[int], sizes: Sequence[int]
) -> list[bytes | BaseException]:
  """Reads parts of objects of one store at the same time.

  Args:
    files: their names, one a part.
    offsets: where the parts begin.
    sizes: bytes of each.

  Returns:
    Each part, or why it could not be read after all repetitions.
  """
  ends = [o + s for o, s in zip(offsets, sizes, strict=True)]
  return _filesystem(files).cat_ranges(
    list(files), list(offsets), ends, batch_size=_AT_ONCE, on_error="return"
  )


def read_all(files: Sequence[str]) -> list[bytes | BaseException]:
  """Reads whole objects of one store at the same time; see `read_ranges`."""
  if not files:
    return []
  return _filesystem(files).cat_ranges(
    list(files), None, None, batch_size=_AT_ONCE, on_error="return"
  )


def _filesystem(files: Sequence[str]) -> Any:
  return storage.filesystem(files[0])
