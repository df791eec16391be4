"""Prepares data for an object store: on the disk first, then copied there.

TensorFlow writes prepared data by file systems of its own, which know nothing
of the credentials and servers that everything else uses. The finished data are
therefore copied by `storage`, `dataset_info.json` last: data without it are not
prepared. What was copied is noted on the disk, so that a copy that was
interrupted goes on where it stopped.
"""

from __future__ import annotations

from collections.abc import Iterator
import contextlib
import errno
import fcntl
import hashlib
import json
import os
import pathlib
import shutil
import tempfile
from typing import TYPE_CHECKING
from typing import Any

from absl import logging
from fsspec import callbacks
import tqdm

from data_pipelines import record_index
from data_pipelines import remote
from gaitkd_jax import errors
from gaitkd_jax import storage

if TYPE_CHECKING:
  import tensorflow_datasets as tfds

LAST = "dataset_info.json"


def download_and_prepare(
  builder: tfds.core.DatasetBuilder,
  download_config: tfds.download.DownloadConfig | None = None,
) -> None:
  """Prepares what a builder describes, wherever its `data_dir` lies.

  Args:
    builder: of a data set.
    download_config: see `datasets.prepare`.

  Raises:
    errors.UserError: the store cannot be written, which is found before
      anything is read; the disk is full; or the data cannot be used.
  """
  root = os.fspath(builder.data_dir_root)
  if not storage.is_remote(root):
    builder.download_and_prepare(download_config=download_config)
    return
  with remote.explained(f"data.prepared {root} cannot be written"):
    if is_prepared(builder):
      return
    storage.check_writable(root, "data.prepared")
    with _locked(_folder(root)) as folder:
      if not is_prepared(builder):  # by whoever held the lock
        local = type(builder)(
          config=builder.builder_config, data_dir=os.fspath(folder)
        )
        _build(local, root, download_config)
        try:
          _copy(local, os.fspath(builder.data_dir))
        except errors.Stopped as stop:
          done = f"what is to be copied to {root} is in {folder}"
          raise stop.keeping(done) from None
      shutil.rmtree(folder)
    builder.info.read_from_directory(os.fspath(builder.data_dir))


def is_prepared(builder: tfds.core.DatasetBuilder) -> bool:
  """Whether all that a builder prepares is there, on the disk or in a store."""
  return (storage.path(builder.data_path) / LAST).exists()


def _build(
  local: tfds.core.DatasetBuilder,
  root: str,
  download_config: tfds.download.DownloadConfig | None,
) -> None:
  """Prepares data on the disk, unless that was done before the last copy."""
  folder = local.data_dir_root
  for stale in local.data_path.parent.glob("incomplete.*"):
    stale.rmtree()  # of a build that was killed: nobody else is here
  logging.warning("Preparing in %s, to be copied to %s", folder, root)
  try:
    local.download_and_prepare(download_config=download_config)
  except Exception as error:
    if not (isinstance(error, OSError) or _is_full(error)):
      raise
    why = "no space left" if _is_full(error) else error
    raise errors.UserError(
      f"data.prepared {root} is prepared on the disk first, in {folder}, "
      f"which cannot be written ({why}); set the variable TMPDIR to a folder "
      "that can, and has space"
    ) from error


def _copy(local: tfds.core.DatasetBuilder, target: str) -> None:
  """Copies finished data to a store, and an index of its records."""
  source = pathlib.Path(local.data_dir)
  files = [
    file.relative_to(source).as_posix() for file in storage.files(source)
  ]
  files = [name for name in files if name != LAST]
  done = _Done(source.with_name(f"{source.name}.copied.json"), target)
  total = sum((source / name).stat().st_size for name in files)
  with tqdm.tqdm(
    desc=f"Copying to {target}",
    total=total,
    unit="B",
    unit_scale=True,
    disable=None,  # shown on a terminal only
  ) as bar:
    for name in files:
      if done.holds(name):
        bar.update((source / name).stat().st_size)
        continue
      storage.filesystem(target).put_file(
        str(source / name), f"{target}/{name}", callback=_Progress(bar)
      )
      done.add(name)
  for split, info in local.info.splits.items():
    names = [pathlib.Path(path).name for path in info.filepaths]
    columns = record_index.find([str(source / n) for n in names], split, None)
    record_index.save(
      f"{target}/{record_index.name(split)}",
      [f"{target}/{name}" for name in names],
      columns,
    )
  storage.write_bytes(f"{target}/{LAST}", (source / LAST).read_bytes())


class _Done:
  """A note of the files that were copied, and of their state in the store."""

  def __init__(self, note: pathlib.Path, target: str):
    self._note, self._target = note, target
    self._states: dict[str, Any] = {}
    with contextlib.suppress(OSError, ValueError):
      self._states = json.loads(note.read_text())

  def holds(self, name: str) -> bool:
    """Whether a file was copied and is still there as it was copied."""
    if name not in self._states:
      return False
    with contextlib.suppress(FileNotFoundError):
      return self._state(name) == self._states[name]
    return False

  def add(self, name: str) -> None:
    """Notes that a file was copied."""
    self._states[name] = self._state(name)
    storage.write_text(self._note, json.dumps(self._states))

  def _state(self, name: str) -> list[Any]:
    return list(storage.state(f"{self._target}/{name}"))


class _Progress(callbacks.Callback):
  """Moves a bar by the bytes that a copy has sent."""

  def __init__(self, bar: tqdm.tqdm):
    super().__init__()
    self._bar, self._shown = bar, 0

  def call(self, hook_name: str | None = None, **kwargs: Any) -> None:
    """See base class."""
    del hook_name, kwargs
    self._bar.update(self.value - self._shown)
    self._shown = self.value


def _folder(root: str) -> pathlib.Path:
  """The folder in which data for a place in a store are prepared."""
  parent = pathlib.Path(tempfile.gettempdir()) / f"gaitkd_jax_{os.getuid()}"
  try:
    parent.mkdir(mode=0o700, exist_ok=True)
    if parent.stat().st_uid != os.getuid():
      raise PermissionError(errno.EACCES, "it belongs to somebody else")
  except OSError as error:
    raise errors.UserError(
      f"data.prepared {root} is prepared on the disk first, and {parent} "
      f"cannot be written ({error.strerror}); set the variable TMPDIR to a "
      "folder that can"
    ) from error
  return parent / f"prepared_{hashlib.sha256(root.encode()).hexdigest()[:12]}"


@contextlib.contextmanager
def _locked(folder: pathlib.Path) -> Iterator[pathlib.Path]:
  """Makes a folder for one process at a time; the others wait."""
  with open(f"{folder}.lock", "w") as lock:
    try:
      fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
      logging.warning(
        "Waiting for another process, which prepares in %s", folder
      )
      fcntl.flock(lock, fcntl.LOCK_EX)
    folder.mkdir(exist_ok=True)
    yield folder


def _is_full(error: BaseException) -> bool:
  """Whether the disk is full, by what an error was raised from."""
  cause: BaseException | None = error
  while cause is not None:
    if getattr(cause, "errno", None) in (errno.ENOSPC, errno.EDQUOT):
      return True
    if "No space left on device" in str(cause):  # TensorFlow's
      return True
    cause = cause.__cause__ or cause.__context__
  return False
