"""Checkpoints in an object store that Orbax cannot reach, such as s3://.

Orbax writes them to a folder on the disk, which gives a step its name when it
is whole; a thread copies every such step to the store, and deletes there what
Orbax deletes. A step of the store counts if it has the file that is copied
last.
"""

import shutil
import threading

from gaitkd_jax import errors
from gaitkd_jax import storage

# Orbax writes it last as well; on a disk it is there for nothing.
FINISHED = "commit_success.txt"
_SECONDS = 0.5


class Mirror:
  """A folder of checkpoints on the disk, and its copy in a store.

  Attributes:
    folder: on the disk.
  """

  def __init__(self, target: storage.Path):
    """Brings the finished steps of the store to the disk.

    Args:
      target: folder in the store.

    Raises:
      OSError: the store cannot be read, or the disk is full.
    """
    self.folder = storage.scratch()
    self._target = target
    steps = {name for name in storage.names(target) if name.isdecimal()}
    self._copied = {
      step for step in steps if storage.exists(target / step / FINISHED)
    }
    for step in sorted(steps):
      if step in self._copied:
        storage.download(target / step, self.folder / step)
      else:
        self._delete(step)
    self._error: OSError | None = None
    self._closed = threading.Event()
    self._thread = threading.Thread(target=self._run, daemon=True)
    self._thread.start()

  def check(self) -> None:
    """Raises an OSError if steps could not be copied at the last try."""
    if self._error:
      raise self._error

  def again(self, step: int) -> None:
    """Copies a step once more, of which files were added."""
    self._copied.discard(str(step))

  def close(self) -> None:
    """Copies what is left, after Orbax has finished.

    Raises:
      errors.UserError: the store refuses it; it is kept on the disk.
    """
    self._closed.set()
    self._thread.join()
    try:
      self._copy()
    except OSError as e:
      storage.keep(self.folder)
      raise errors.UserError(
        f"the checkpoints cannot be copied to {self._target} "
        f"({e.strerror or e}); those of this run are kept in {self.folder}: "
        "copy them there, then start again"
      ) from e
    shutil.rmtree(self.folder, ignore_errors=True)

  def _run(self) -> None:
    while not self._closed.wait(_SECONDS):
      try:
        self._copy()
        self._error = None
      except OSError as e:
        self._error = e

  def _copy(self) -> None:
    """Makes the store hold the steps of the disk, the new ones first."""
    steps = {path.name for path in self.folder.iterdir()}
    steps = {step for step in steps if step.isdecimal()}
    for step in sorted(steps - self._copied, key=int):
      try:
        storage.upload(self.folder / step, self._target / step, FINISHED)
      except FileNotFoundError:
        if (self.folder / step).exists():
          raise
        continue  # Orbax has just deleted it
      self._copied.add(step)
    for step in sorted(self._copied - steps, key=int):
      self._delete(step)
      self._copied.discard(step)

  def _delete(self, step: str) -> None:
    """Deletes a step of the store; from the first moment it is not whole."""
    storage.remove(self._target / step / FINISHED)
    for file in storage.files(self._target / step):
      storage.remove(file)
