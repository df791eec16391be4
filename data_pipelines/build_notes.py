"""What is written beside prepared data: where they came from, what was skipped.

`source.json` says which tree, subjects and modalities were read, so that
prepared data can be found again without the tree. `skipped.txt` lists the
sequences that hold nothing to be used, with the reason.
"""

from collections.abc import Mapping
from collections.abc import Sequence
import dataclasses
import json
import os
import pathlib
from typing import Any

from absl import logging

from gaitkd_jax.errors import UserError

SKIPPED_FILE = "skipped.txt"
SOURCE_FILE = "source.json"
_LOGGED = 10  # skipped sequences that are named in the log


@dataclasses.dataclass(frozen=True)
class Build:
  """Prepared data, as they are found without what they were read from.

  Attributes:
    modalities: what there is of a sequence.
    variant: of a data set that has several.
    request: what was asked for in place of the data set's own division, see
      `partitions.Request.identity`.
  """

  modalities: tuple[str, ...]
  variant: str = ""
  request: tuple[str, Sequence[str], Sequence[str]] = ("", (), ())

  @property
  def own_division(self) -> bool:
    """Whether subjects train and test as the data set says."""
    return not any(self.request)


def write(
  folder: str | os.PathLike[str],
  skipped: Sequence[tuple[str, str]],
  source: Mapping[str, Any],
) -> None:
  """Writes both files into a folder that is being built.

  Args:
    folder: of the prepared data.
    skipped: (path, reason) of sequences.
    source: JSON, what the data were prepared from.
  """
  folder = pathlib.Path(folder)
  lines = (f"{path}\t{reason}\n" for path, reason in sorted(skipped))
  (folder / SKIPPED_FILE).write_text("".join(lines), errors="replace")
  (folder / SOURCE_FILE).write_text(json.dumps(source, indent=2))


def read_source(folder: str | os.PathLike[str]) -> dict[str, Any]:
  """Returns what `write` got as `source`.

  Raises:
    UserError: the file is missing or damaged.
  """
  path = pathlib.Path(folder) / SOURCE_FILE
  try:
    return json.loads(path.read_text())
  except (OSError, ValueError) as error:
    raise UserError(
      f"{path}: cannot be read; delete {folder}, so that it is prepared again."
    ) from error


def log_skipped(
  folder: str | os.PathLike[str], skipped: Sequence[tuple[str, str]]
) -> None:
  """Logs how many sequences were skipped, and why the first ones were."""
  for path, reason in sorted(skipped)[:_LOGGED]:
    # A name that is not UTF-8 cannot be printed as it is.
    shown = path.encode("utf-8", "replace").decode()
    logging.warning("Skipped %s: %s", shown, reason)
  if skipped:
    logging.warning(
      "Skipped %d sequences in all; they are listed in %s",
      len(skipped),
      os.path.join(folder, SKIPPED_FILE),
    )
