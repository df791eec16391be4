"""Finds the sequences below `data.root` and takes their fingerprint."""

import concurrent.futures
import dataclasses
import hashlib
import os
import re

from gaitkd_jax.errors import UserError

_SUBJECT = re.compile(r"\d{3}")
_CONDITION = re.compile(r"(nm|bg|cl)-\d{2}")
_VIEW = re.compile(r"\d{3}")
LAYOUT = "<subject>/<condition>/<view>, such as 001/nm-01/090"


@dataclasses.dataclass(frozen=True)
class SequenceFolder:
  """The folder of one sequence.

  Attributes:
    subject: such as "001".
    condition: such as "nm-01".
    view: such as "090".
    path: the folder.
  """

  subject: str
  condition: str
  view: str
  path: str

  @property
  def key(self) -> str:
    """Such as "001-nm-01-090"; unique in a tree."""
    return f"{self.subject}-{self.condition}-{self.view}"


@dataclasses.dataclass(frozen=True)
class Tree:
  """What was found below a root.

  Attributes:
    root: the absolute folder.
    folders: all sequences, ordered by subject, condition and view.
    ignored: how many folders have a name that is not of the layout.
    fingerprint: hexadecimal; changes with the root and with the path, size or
      time of any file that a sequence is read from.
  """

  root: str
  folders: tuple[SequenceFolder, ...]
  ignored: int
  fingerprint: str


def _entries(path: str) -> list[os.DirEntry]:
  with os.scandir(path) as entries:
    return sorted(entries, key=lambda entry: entry.name)


def _folders(path: str, name: re.Pattern) -> tuple[list[os.DirEntry], int]:
  """Returns the folders of that name, in order, and the number of others."""
  folders = [entry for entry in _entries(path) if entry.is_dir()]
  fitting = [entry for entry in folders if name.fullmatch(entry.name)]
  return fitting, len(folders) - len(fitting)


def sequence_files(path: str) -> list[os.DirEntry]:
  """Lists the files of one sequence that count: PNG and pickles, by name.

  Gait energy images (`...gei.png`) and hidden files are no frames.
  """
  return [
    entry
    for entry in _entries(path)
    if entry.name.lower().endswith((".png", ".pkl"))
    and not entry.name.lower().endswith("gei.png")
    and not entry.name.startswith(".")
    and not entry.is_dir()
  ]


def _scan_subject(
  subject: str, path: str
) -> tuple[list[SequenceFolder], int, bytes]:
  digest = hashlib.sha256()
  found = []
  conditions, ignored = _folders(path, _CONDITION)
  for condition in conditions:
    views, others = _folders(condition.path, _VIEW)
    ignored += others
    for view in views:
      folder = SequenceFolder(subject, condition.name, view.name, view.path)
      found.append(folder)
      for file in sequence_files(view.path):
        status = file.stat()
        line = [folder.key, file.name, status.st_size, status.st_mtime_ns]
        digest.update(repr(line).encode("utf-8", "surrogateescape"))
  return found, ignored, digest.digest()


def scan(root: str | os.PathLike[str]) -> Tree:
  """Walks a tree of sequences; reads no file.

  Args:
    root: the folder that holds the subjects' folders.

  Returns:
    The tree.

  Raises:
    UserError: the root is missing, cannot be read or holds no sequence.
  """
  root = os.path.abspath(os.path.expanduser(root))
  if not os.path.isdir(root):
    raise UserError(
      f"data.root {root} is not a folder; give the one that holds {LAYOUT}."
    )
  try:
    subjects, ignored = _folders(root, _SUBJECT)
    # Network file systems answer many questions at a time.
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
      parts = list(
        pool.map(lambda entry: _scan_subject(entry.name, entry.path), subjects)
      )
  except OSError as error:
    raise UserError(
      f"{error.filename or root}: cannot be read ({error.strerror}); mend the "
      "file or its permissions."
    ) from error
  folders = tuple(folder for found, _, _ in parts for folder in found)
  ignored += sum(others for _, others, _ in parts)
  if not folders:
    raise UserError(
      f"data.root {root} holds no sequence ({ignored} other folders are "
      f"ignored); expected is {LAYOUT}, with PNG files or one pickle in it."
    )
  digest = hashlib.sha256(os.path.realpath(root).encode("utf-8", "replace"))
  for _, _, part in parts:
    digest.update(part)
  return Tree(root, folders, ignored, digest.hexdigest())
