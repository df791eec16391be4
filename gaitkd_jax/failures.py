"""What a machine refuses, in one line: no bug, so no traceback."""

from collections.abc import Iterator
import errno
import os
import re
import sys
import traceback

from gaitkd_jax import storage

_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
_REFUSED = {
  errno.EACCES,
  errno.EPERM,
  errno.EROFS,
  errno.EIO,
  errno.EISDIR,
  errno.ENOTDIR,
  errno.EMFILE,
}
_LENGTH = 200  # of what a library says
_NO_DEVICE = ("Unable to initialize backend", "Unknown backend")


def reason(error: BaseException) -> str | None:
  """Returns what is wrong and what to do; None: the error may be a bug.

  Args:
    error: any; what it was raised from is looked at as well.
  """
  for cause in _causes(error):
    if text := (
      _store(cause) or _file(cause) or _memory(cause) or _devices(cause)
    ):
      return text
  return None


def short(error: BaseException) -> str:
  """What is wrong in a few words: those of the system, where it said them."""
  for cause in _causes(error):
    number = _number_and_path(cause)[0]
    if number is not None and not isinstance(cause, storage.StoreError):
      return os.strerror(number)
    if why := storage.refusal(cause):
      return why
  return first_line(error)


def first_line(error: BaseException) -> str:
  """The beginning of what a library says."""
  lines = str(error).strip().splitlines() or [type(error).__name__]
  return lines[0][:_LENGTH]


def _causes(error: BaseException) -> Iterator[BaseException]:
  cause: BaseException | None = error
  while cause is not None:
    yield cause
    cause = cause.__cause__ or cause.__context__


def _number_and_path(error: BaseException) -> tuple[int | None, str | None]:
  """The system's number of an error, and the file that it names."""
  number, path = getattr(error, "errno", None), getattr(error, "filename", "")
  if not isinstance(error, OSError):
    # Libraries in C++, such as TensorStore, write the number into their text.
    text = str(error)
    found = re.search(r"os_error_code='(\d+)'", text)
    if found is None and "No space left on device" in text:
      number = errno.ENOSPC
    elif found:
      number = int(found[1])
    found = re.search(r'local file "([^"]+)"', text)
    path = found[1] if found else ""
  return number, path


def _file(error: BaseException) -> str | None:
  number, path = _number_and_path(error)
  what = f"{path or 'a file'} cannot be written or read"
  if number in _FULL:
    return (
      f"{what} ({os.strerror(number)}): the disk is full, or a limit on files "
      "is reached; make room, or give other folders, then start again"
    )
  if number in _REFUSED and (path or number == errno.EMFILE):
    return f"{what} ({os.strerror(number)}); correct that, then start again"
  return None


def _store(error: BaseException) -> str | None:
  """What an object store refuses, or the way to it."""
  if why := storage.refusal(error):
    place = getattr(error, "filename", None) or "a file in an object store"
    return (
      f"{place} cannot be written or read ({why}); correct that, then start "
      "again"
    )
  return None


def _memory(error: BaseException) -> str | None:
  # Whoever has not imported JAX has none of its errors.
  jax = sys.modules.get("jax")
  if jax is not None and isinstance(error, jax.errors.JaxRuntimeError):
    if "RESOURCE_EXHAUSTED" in str(error) or "Out of memory" in str(error):
      return (
        f"the device has too little memory ({first_line(error)}); lower "
        "batch.identities, batch.sequences or the clip's frames in training, "
        "eval.batch_size or eval.max_frames in a test, set model.remat=True "
        "where the network has it, or use more devices"
      )
  elif isinstance(error, MemoryError):
    return (
      f"this machine has too little memory ({first_line(error)}); lower "
      "data.cache_gib, eval.memory_gib, eval.batch_size or the batch"
    )
  return None


def _devices(error: BaseException) -> str | None:
  said = isinstance(error, RuntimeError) and str(error).startswith(_NO_DEVICE)
  if isinstance(error, AssertionError):
    # What JAX raises where none of the platforms that are asked for is there.
    frames = traceback.extract_tb(error.__traceback__)
    said = bool(frames) and frames[-1].name == "backends"
  if said:
    asked = os.environ.get("JAX_PLATFORMS", "")
    why = first_line(error) if str(error) else "there are none"
    return (
      f"JAX cannot use the devices that JAX_PLATFORMS={asked} names ({why}); "
      "install the extra cuda or tpu, or set JAX_PLATFORMS=cpu"
    )
  return None
