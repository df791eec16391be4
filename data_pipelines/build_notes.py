"""What is written beside prepared data: where they came from, what was odd.

`source.json` says which tree, subjects and modalities were read, so that
prepared data can be found again without the tree. `skipped.txt` lists the
sequences that hold nothing to be used, `mended.txt` those that had to be
mended, both with the reason.
"""

from __future__ import annotations

import collections
from collections.abc import Collection
from collections.abc import Mapping
from collections.abc import Sequence
import dataclasses
import json
import os
import pathlib
from typing import TYPE_CHECKING
from typing import Any

from absl import logging

from data_pipelines import plausibility
from gaitkd_jax import storage
from gaitkd_jax.errors import UserError

if TYPE_CHECKING:
  from data_pipelines import examples
  from data_pipelines import tree as tree_lib

SKIPPED_FILE = "skipped.txt"
MENDED_FILE = "mended.txt"
SOURCE_FILE = "source.json"
_NAMED = 10  # subjects that a warning names
_KINDS = 5  # reasons that a summary names
_LOGGED = 10  # sequences that are named in the log


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


class Notes:
  """What is found while a data set is read.

  Attributes:
    skipped: (path, reason) of sequences that are not used.
    mended: (path, what was done) of sequences that are.
    checks: what the silhouettes of those look like.
    clean: keys of the sequences that were read without an error.
  """

  def __init__(self, skipped: Sequence[tuple[str, str]] = ()):
    self.skipped = list(skipped)
    self.mended: list[tuple[str, str]] = []
    self.checks: list[plausibility.Check] = []
    self.clean: set[str] = set()

  def add(self, outcome: examples.Outcome) -> None:
    """Takes a note of a sequence; none if it was noted before."""
    folder = outcome.folder
    if outcome.refused or folder.key in self.clean:
      return
    self.clean.add(folder.key)
    if outcome.skipped:
      self.skipped.append((folder.path, outcome.skipped))
    self.mended += [(folder.path, what) for what in outcome.mended]
    if outcome.check:
      self.checks.append(outcome.check)

  def write(
    self, folder: str | os.PathLike[str], source: Mapping[str, Any]
  ) -> None:
    """Writes the files into a folder that is being built.

    Args:
      folder: of the prepared data.
      source: JSON, what the data were prepared from.
    """
    folder = pathlib.Path(folder)
    for name, found in (
      (SKIPPED_FILE, self.skipped),
      (MENDED_FILE, self.mended),
    ):
      lines = (f"{path}\t{reason}\n" for path, reason in sorted(found))
      (folder / name).write_text("".join(lines), errors="replace")
    if self.checks:
      lines = plausibility.Tally(self.checks).lines()
      source = {**source, "silhouettes": lines}
    (folder / SOURCE_FILE).write_text(json.dumps(source, indent=2))

  def log(self, folder: str | os.PathLike[str]) -> None:
    """Logs how many sequences were skipped or mended, and the first ones.

    Args:
      folder: of the prepared data.
    """
    for path, reason in sorted(self.skipped)[:_LOGGED]:
      logging.warning("Skipped %s: %s", _printable(path), reason)
    if self.skipped:
      logging.warning(
        "Skipped %d sequences in all; they are listed in %s",
        len(self.skipped),
        os.path.join(folder, SKIPPED_FILE),
      )
    if not self.mended:
      return
    counts = collections.Counter(what for _, what in self.mended)
    first = {what: path for path, what in sorted(self.mended, reverse=True)}
    for what, count in counts.most_common(_LOGGED):
      logging.warning(
        "%d sequences: %s (the first: %s)", count, what, _printable(first[what])
      )
    logging.warning(
      "What was mended is listed in %s", os.path.join(folder, MENDED_FILE)
    )


def _printable(path: str) -> str:
  """A name that is not UTF-8 cannot be printed as it is."""
  return path.encode("utf-8", "replace").decode()


def read_source(folder: str | os.PathLike[str]) -> dict[str, Any]:
  """Returns what `Notes.write` got as `source`.

  Raises:
    UserError: the file is missing or damaged.
  """
  path = storage.path(folder) / SOURCE_FILE
  try:
    return json.loads(path.read_text())
  except (OSError, ValueError) as error:
    raise UserError(
      f"{path}: cannot be read; delete {folder}, so that it is prepared again."
    ) from error


def summary(folder: str | os.PathLike[str]) -> list[str]:
  """What is noted beside prepared data: what was read, skipped and mended.

  Args:
    folder: of the prepared data; one without notes gives no lines.
  """
  lines = []
  if (storage.path(folder) / SOURCE_FILE).exists():
    lines += read_source(folder).get("silhouettes", [])
  for name, what in ((SKIPPED_FILE, "skipped"), (MENDED_FILE, "mended")):
    path = storage.path(folder) / name
    rows = path.read_text().splitlines() if path.exists() else []
    if not rows:
      continue
    found = [row.partition("\t")[::2] for row in rows]
    kinds = collections.Counter(reason for _, reason in found)
    text = "; ".join(f"{n}: {kind}" for kind, n in kinds.most_common(_KINDS))
    more = len(kinds) - _KINDS
    lines.append(
      f"{what}: {len(dict(found))} sequences ({text}"
      f"{f'; and {more} more reasons' if more > 0 else ''}), listed in {path}"
    )
  return lines


def log_tree(
  tree: tree_lib.Tree, missing: Sequence[str], unused: Collection[str]
) -> None:
  """Warns of what is not used of a tree.

  Args:
    tree: of `tree.scan`.
    missing: subjects that are listed but are not there.
    unused: subjects that are there, in neither split.
  """
  if missing:
    logging.warning(
      "Not in %s, though listed: subjects %s", tree.root, _some(missing)
    )
  if unused:
    logging.warning("In neither split: subjects %s", _some(sorted(unused)))
  if tree.ignored:
    logging.warning(
      "Ignored %d folders in %s whose names do not fit its layout",
      tree.ignored,
      tree.root,
    )


def _some(subjects: Sequence[str]) -> str:
  more = len(subjects) - _NAMED
  text = ", ".join(subjects[:_NAMED])
  return f"{text} and {more} others" if more > 0 else text
