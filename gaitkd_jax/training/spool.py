"""Logs of a run whose workdir is in an object store, which cannot append.

They grow in a folder on the disk; a thread copies what has changed to the store
whenever metrics were written. A run that is killed loses what came since the
last copy: one interval of its log, or a second where that is shorter.
"""

from collections.abc import Mapping
import pathlib
import shutil
import tempfile
import threading
import time

import tqdm

from gaitkd_jax import errors
from gaitkd_jax import storage

# Stores take a write a second to the same object.
_SECONDS = 1.0


class Spool:
  """A folder whose files are copied to a store in the background: a `Writer`.

  It has to be the last of several, since what it copies is what they wrote.

  Attributes:
    folder: on the disk; it is removed at the end.
  """

  name = "the copy of the logs"

  def __init__(self, target: storage.Path):
    """Makes the folder.

    Args:
      target: folder in the store.
    """
    self.folder = pathlib.Path(tempfile.mkdtemp(prefix="gaitkd_jax-logs-"))
    self._target = target
    # Of each file what of it is in the store: size and time of writing.
    self._copied: dict[str, tuple[int, int]] = {}
    self._warned = False
    self._changed, self._closed = threading.Event(), threading.Event()
    self._thread = threading.Thread(target=self._run, daemon=True)

  def start(self) -> None:
    """Begins to copy."""
    self._changed.set()
    self._thread.start()

  def write(self, step: int, scalars: Mapping[str, float]) -> None:
    """Tells the thread that there is more; it does not wait."""
    del step, scalars
    self._changed.set()

  def close(self) -> None:
    """Copies what is left, and removes the folder.

    Raises:
      errors.UserError: the store refuses it; it is kept on the disk.
    """
    self._closed.set()
    self._changed.set()
    self._thread.join()
    try:
      self._copy()
    except OSError as e:
      raise errors.UserError(
        f"the logs in {self._target} are not up to date ({e.strerror or e}); "
        f"{', '.join(sorted(self._names()))} are kept in {self.folder}: copy "
        "them there"
      ) from e
    shutil.rmtree(self.folder, ignore_errors=True)

  def _run(self) -> None:
    """What the thread does until the end."""
    while self._changed.wait() and not self._closed.is_set():
      self._changed.clear()
      began = time.monotonic()
      try:
        self._copy()
      except OSError as e:
        if not self._warned:
          tqdm.tqdm.write(
            f"the logs cannot be copied to {self._target} "
            f"({e.strerror or e}); it is tried again with each line"
          )
        self._warned = True
      self._closed.wait(max(0.0, began + _SECONDS - time.monotonic()))

  def _names(self) -> list[str]:
    return [file.name for file in self.folder.iterdir() if file.is_file()]

  def _copy(self) -> None:
    """Copies the files that have changed.

    Raises:
      OSError: the store refuses one of them.
    """
    for name in self._names():
      found = (self.folder / name).stat()
      state = found.st_size, found.st_mtime_ns
      if self._copied.get(name) != state:
        content = (self.folder / name).read_bytes()
        storage.write_bytes(self._target / name, content)
        self._copied[name] = state
