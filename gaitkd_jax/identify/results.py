"""Writes results into a folder: all files of a search, or none."""

from collections.abc import Iterator
import contextlib
import json
import os
import pathlib
import tempfile

from gaitkd_jax import errors
from gaitkd_jax import storage
from gaitkd_jax.hosts import stopping
from gaitkd_jax.identify import annotated
from gaitkd_jax.identify import found as found_lib
from gaitkd_jax.identify import page
from gaitkd_jax.identify import video as video_lib

RESULT, PAGE, VIDEO = "result.json", "page.html", "annotated.mp4"
FILES = (VIDEO, PAGE, RESULT)


def check(output: str) -> None:
  """Raises a UserError for a folder that results cannot be written to."""
  if not output:
    raise errors.UserError("--output is missing; give a folder for the results")
  if storage.is_remote(output):
    raise errors.UserError(
      f"--output {output} lies in an object store; give a folder of this "
      "machine's disk"
    )
  folder = pathlib.Path(output).expanduser()
  if folder.exists() and not folder.is_dir():
    raise errors.UserError(
      f"--output {output} is a file; give a folder, which may be new"
    )
  there = folder.absolute()
  while not there.exists():
    there = there.parent
  if not there.is_dir():
    raise errors.UserError(
      f"--output {output} lies below {there}, which is a file; give another "
      "folder"
    )
  if not os.access(there, os.W_OK | os.X_OK):
    raise errors.UserError(
      f"--output {output} cannot be written ({there} is not yours); give "
      "another folder"
    )


def write(
  found: found_lib.Found,
  pictures: video_lib.Video | None,
  output: str | os.PathLike[str],
  command: str = "",
) -> pathlib.Path:
  """Writes result.json, page.html and annotated.mp4.

  Args:
    found: what they show.
    pictures: the video; None: the silhouettes are shown.
    output: the folder. What it holds of the same names is replaced, and stays
      if anything goes wrong.
    command: shown in the page.

  Returns:
    The folder.

  Raises:
    errors.UserError: they cannot be written.
  """
  folder = pathlib.Path(output).expanduser()
  try:
    with _aside(folder) as new:
      shown = annotated.write(
        new / VIDEO, pictures, found.tracks, found.matches
      )
      text = page.write(found, shown, command)
      (new / PAGE).write_text(text, encoding="utf-8")
      content = json.dumps(found.to_json(), indent=1, ensure_ascii=False)
      (new / RESULT).write_text(content + "\n", encoding="utf-8")
      with stopping.held():
        _put(new, folder)
  except OSError as e:
    raise errors.UserError(
      f"--output {folder} cannot be written ({e.strerror or e}); make room, or "
      "give another folder"
    ) from e
  return folder


@contextlib.contextmanager
def _aside(folder: pathlib.Path) -> Iterator[pathlib.Path]:
  """A folder on the same disk, which is gone at the end."""
  folder = folder.absolute()
  folder.parent.mkdir(parents=True, exist_ok=True)
  with tempfile.TemporaryDirectory(
    prefix=f".{folder.name}-", dir=folder.parent
  ) as name:
    new = pathlib.Path(name, "new")
    new.mkdir()
    yield new


def _put(new: pathlib.Path, folder: pathlib.Path) -> None:
  """Moves all files to their place; what was there comes back on an error."""
  if not folder.exists():
    new.rename(folder)
    return
  old = new.with_name("old")
  old.mkdir()
  moved = []
  try:
    for name in FILES:
      if (folder / name).exists():
        (folder / name).rename(old / name)
      (new / name).rename(folder / name)
      moved.append(name)
  except OSError:
    for name in FILES:
      if name in moved:
        (folder / name).unlink(missing_ok=True)
      if (old / name).exists():
        (old / name).rename(folder / name)
    raise
