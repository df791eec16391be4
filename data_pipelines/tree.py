"""Finds the sequences below `data.root` and computes their fingerprint."""

from collections.abc import Callable
from collections.abc import Iterable
from collections.abc import Iterator
from collections.abc import Sequence
from concurrent import futures
import dataclasses
import functools
import hashlib
import itertools
import os
import pathlib
import re
from typing import Any

from data_pipelines import images
from data_pipelines import remote
from gaitkd_jax import storage
from gaitkd_jax.errors import UserError

# Network file systems answer many requests at a time, stores still more.
_THREADS = 16
_STORE_THREADS = 64


@dataclasses.dataclass(frozen=True)
class Layout:
  """One way in which the folders of a data set are named.

  Attributes:
    pattern: regular expressions of the folders' names from the root to a
      sequence, joined by "/" (which none of them may contain), with named
      groups.
    text: the same for people, such as "<subject>/<condition>/<view>".
    subject: format string of the named groups and of `rank`, the place (from 1)
      of the sequence's folder among its siblings that fit, sorted by name.
    condition: likewise.
    view: likewise.
    inside: regular expression of the subfolder that holds the frames if the
      folder of the sequence holds none; "" if there is no such subfolder.
  """

  pattern: str
  text: str
  subject: str = "{subject}"
  condition: str = "{condition}"
  view: str = "{view}"
  inside: str = ""

  def part(self, depth: int) -> re.Pattern:
    """The pattern of the names at a depth, 0 below the root."""
    # ASCII: digits of other scripts do not number subjects.
    return re.compile(self.pattern.split("/")[depth], re.ASCII)

  @property
  def depth(self) -> int:
    """How many folders lead to a sequence."""
    return self.pattern.count("/") + 1


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
    root: absolute path.
    folders: all sequences, ordered by subject, condition and view.
    ignored: how many folders have a name that fits no layout.
    unusable: (path, reason) of what is named like a sequence but cannot be one.
    fingerprint: hexadecimal; changes with the root and with the name, size or
      time of any file that a sequence is read from.
  """

  root: str
  folders: tuple[SequenceFolder, ...]
  ignored: int
  unusable: tuple[tuple[str, str], ...]
  fingerprint: str


@dataclasses.dataclass(frozen=True)
class _Branch:
  """A folder on the way to sequences.

  Attributes:
    path: the folder.
    live: the layouts that its path fits so far, each with the groups of its
      pattern that were found in it.
  """

  path: str
  live: tuple[tuple[Layout, dict[str, Any]], ...]


@dataclasses.dataclass
class _Found:
  """The subfolders of one folder; see `Tree`."""

  branches: list[_Branch] = dataclasses.field(default_factory=list)
  leaves: list[tuple[SequenceFolder, Layout]] = dataclasses.field(
    default_factory=list
  )
  ignored: int = 0
  unusable: list[tuple[str, str]] = dataclasses.field(default_factory=list)


def _entries(path: str) -> list[os.DirEntry] | list[remote.Entry]:
  if storage.is_remote(path):
    return remote.entries(path)
  with os.scandir(path) as entries:
    return sorted(entries, key=lambda entry: entry.name)


def _broken_link(entry: os.DirEntry) -> str:
  """Says why a link leads nowhere; "" if it is no such link."""
  if not entry.is_symlink():
    return ""
  try:
    entry.stat()
  except OSError as error:
    return f"the link leads nowhere ({error.strerror})"
  return ""


def natural_key(name: str) -> tuple[Any, ...]:
  """A key that sorts names as people count: 2.png before 10.png."""
  parts = re.split(r"(\d+)", name, flags=re.ASCII)
  parts[1::2] = [int(number) for number in parts[1::2]]
  return tuple(parts), name  # "1" and "01" are told apart


_DECIMAL = re.compile(r"-?\d+(\.\d*[1-9])?", re.ASCII)


def frame_order(names: Iterable[str]) -> list[str]:
  """Sorts the names of a sequence's images as people count.

  Where all of them are numbers, as seconds are ("0.96.png", "1.png"), they are
  sorted as numbers. A last zero, as in "1.10.png", says that they are not.
  """
  names = sorted(names, key=natural_key)
  stems = [os.path.splitext(name)[0] for name in names]
  if all(map(_DECIMAL.fullmatch, stems)):
    order = sorted(range(len(names)), key=lambda i: float(stems[i]))
    return [names[i] for i in order]
  return names


def is_frame(name: str) -> bool:
  """Whether a file is one of the images of a sequence.

  Gait energy images (`...gei.png`) and hidden files are none.
  """
  stem, suffix = os.path.splitext(name.lower())
  if suffix not in images.SUFFIXES or stem.startswith("."):
    return False
  return not stem.endswith("gei")


def sequence_files(path: str) -> list[os.DirEntry]:
  """Lists the images of one sequence as people count, and its pickles by name.

  The pickles come first, in the order in which OpenGait counts them.
  """
  files = [
    entry
    for entry in _entries(path)
    if (is_frame(entry.name) or _is_pickle(entry.name))
    and (_broken_link(entry) or not entry.is_dir())
  ]
  frames = {file.name: file for file in files if is_frame(file.name)}
  return [file for file in files if _is_pickle(file.name)] + [
    frames[name] for name in frame_order(frames)
  ]


def _is_pickle(name: str) -> bool:
  return name.lower().endswith(".pkl") and not name.startswith(".")


def _look(branch: _Branch, depth: int) -> _Found:
  """Finds out which layouts the subfolders of a folder fit."""
  found = _Found()
  ranks = {layout: itertools.count(1) for layout, _ in branch.live}
  for entry in _entries(branch.path):
    live = []
    for layout, groups in branch.live:
      if match := layout.part(depth).fullmatch(entry.name):
        live.append((layout, groups | match.groupdict()))
    if reason := _broken_link(entry):
      if live:
        found.unusable.append((entry.path, reason))
      continue
    if not entry.is_dir():
      continue
    if not live:
      found.ignored += 1
      continue
    for layout, groups in live:
      if layout.depth != depth + 1:
        continue
      groups = groups | {"rank": next(ranks[layout])}
      folder = SequenceFolder(
        layout.subject.format(**groups),
        layout.condition.format(**groups),
        layout.view.format(**groups),
        entry.path,
      )
      try:
        folder.key.encode()
      except UnicodeEncodeError:
        found.unusable.append((entry.path, "its name is not UTF-8"))
        break
      found.leaves.append((folder, layout))
      break
    live = [(layout, g) for layout, g in live if layout.depth > depth + 1]
    if live:
      found.branches.append(_Branch(entry.path, tuple(live)))
  return found


def _walk(
  start: _Branch,
  depth: int,
  look_at_all: Callable[[Sequence[_Branch], int], Iterable[_Found]],
) -> Iterator[_Found]:
  """Goes down level by level, no deeper than a layout: loops of links end."""
  branches = [start]
  while branches:
    level = list(look_at_all(branches, depth))
    yield from level
    branches = [branch for found in level for branch in found.branches]
    depth += 1


def _finish(
  leaf: tuple[SequenceFolder, Layout],
) -> tuple[SequenceFolder, bytes]:
  """Returns the folder that holds the frames, and their fingerprint."""
  folder, layout = leaf
  files = sequence_files(folder.path)
  if not files and layout.inside:
    inside = [
      entry
      for entry in _entries(folder.path)
      if re.fullmatch(layout.inside, entry.name) and entry.is_dir()
    ]
    if len(inside) > 1:
      raise UserError(
        f"{folder.path}: {len(inside)} folders in it may hold the silhouettes "
        f"({', '.join(entry.name for entry in inside)}); keep one."
      )
    if inside:
      folder = dataclasses.replace(folder, path=inside[0].path)
      files = sequence_files(folder.path)
  digest = hashlib.sha256(folder.key.encode())
  for file in files:
    try:
      status = file.stat()
      line = [file.name, status.st_size, status.st_mtime_ns]
    except OSError:  # A link that leads nowhere is reported when it is read.
      line = [file.name]
    digest.update(repr(line).encode("utf-8", "surrogateescape"))
  return folder, digest.digest()


def _holds_sequences(branch: _Branch, depth: int = 0) -> bool:
  def look_at_all(branches: Sequence[_Branch], depth: int) -> Iterator[_Found]:
    for branch in branches[:100]:
      try:
        yield _look(branch, depth)
      except OSError:
        continue

  return any(found.leaves for found in _walk(branch, depth, look_at_all))


def _hint(root: str, layouts: Sequence[Layout]) -> str:
  """Names the folder above or below that should be given, if one fits."""
  live = tuple((layout, {}) for layout in layouts)
  for entry in _entries(root)[:100]:
    try:
      below = entry.is_dir() and _holds_sequences(_Branch(entry.path, live))
    except OSError:
      continue
    if below:
      return f"; {entry.path} holds such folders: give that one"
  if storage.is_remote(root):
    return ""
  path = pathlib.Path(root)
  for parent in list(path.parents)[:3]:
    names = path.relative_to(parent).parts
    live = tuple(
      (layout, {})
      for layout in layouts
      if layout.depth > len(names)
      # Where any name fits, folders above would fit for no reason.
      and not layout.part(0).fullmatch("any name")
      and all(layout.part(i).fullmatch(name) for i, name in enumerate(names))
    )
    # Names are not wanted, and would need groups from above the root.
    live = tuple(
      (dataclasses.replace(f, subject="", condition="", view=""), groups)
      for f, groups in live
    )
    # Where any name fits, the only folder of a parent is hardly a subject.
    others = sum(entry.is_dir() for entry in _entries(str(parent)))
    if (
      live and others > 1 and _holds_sequences(_Branch(root, live), len(names))
    ):
      return f"; the folder above, {parent}, seems to be meant"
  return ""


def _innermost(
  leaves: Sequence[tuple[SequenceFolder, Layout]],
) -> list[tuple[SequenceFolder, Layout]]:
  """Decides between folders that fit a layout and lie in one another.

  The outer one is the sequence if it holds files, else the inner ones are:
  `probe/<sequence>` or `probe/<type>/<view>`.
  """
  parents = {folder.path for folder, _ in leaves}
  parents &= {os.path.dirname(folder.path) for folder, _ in leaves}
  full = {path for path in parents if sequence_files(path)}
  return [
    (folder, layout)
    for folder, layout in leaves
    if folder.path not in parents - full
    and os.path.dirname(folder.path) not in full
  ]


def _check_duplicates(folders: Sequence[SequenceFolder]) -> None:
  for one, other in itertools.pairwise(folders):
    if one.key == other.key:
      raise UserError(
        f"{one.path} and {other.path} are both sequence {one.key}; keep one of "
        "them."
      )


def scan(root: str | os.PathLike[str], layouts: Sequence[Layout]) -> Tree:
  """Walks through a tree of sequences without reading their files.

  Links to folders and to files are followed. A folder that fits several
  layouts belongs to the first of them.

  Args:
    root: the folder that holds the data set.
    layouts: how its folders may be named.

  Returns:
    The tree.

  Raises:
    UserError: the root is missing, cannot be read or holds no sequence, or two
      folders are the same sequence.
  """
  if storage.is_remote(root):
    # A run asks several times, and a store takes minutes to list a large tree.
    return _scan_store(os.fspath(root).rstrip("/"), tuple(layouts))
  return _scan(os.path.abspath(os.path.expanduser(root)), layouts)


@functools.lru_cache(maxsize=8)
def _scan_store(root: str, layouts: tuple[Layout, ...]) -> Tree:
  return _scan(root, layouts)


def _scan(root: str, layouts: Sequence[Layout]) -> Tree:
  expected = " or ".join(layout.text for layout in layouts)
  is_remote = storage.is_remote(root)
  if is_remote:
    with remote.explained(f"data.root {root} cannot be read"):
      place = storage.path(root)
      is_folder = place.is_dir()
      is_file = not is_folder and place.exists()
  else:
    is_folder, is_file = os.path.isdir(root), os.path.isfile(root)
  if is_file:
    raise UserError(
      f"data.root {root} is a file; unpack it, and give the folder that holds "
      f"{expected}."
    )
  if not is_folder:
    raise UserError(
      f"data.root {root} is not a folder; give the one that holds {expected}."
    )
  ignored, unusable, leaves = 0, [], []
  threads = _STORE_THREADS if is_remote else _THREADS
  try:
    with futures.ThreadPoolExecutor(threads) as pool:

      def look_at_all(
        branches: Sequence[_Branch], depth: int
      ) -> Iterable[_Found]:
        return pool.map(lambda branch: _look(branch, depth), branches)

      start = _Branch(root, tuple((layout, {}) for layout in layouts))
      for found in _walk(start, 0, look_at_all):
        ignored += found.ignored
        unusable += found.unusable
        leaves += found.leaves
      leaves = _innermost(leaves)
      finished = list(pool.map(_finish, leaves))
    if not finished:
      raise UserError(
        f"data.root {root} holds no sequence ({ignored} other folders are "
        f"ignored); expected is {expected}, with PNG files or pickles in it"
        f"{_hint(root, layouts)}."
      )
  except OSError as error:
    raise UserError(
      f"{error.filename or root}: cannot be read ({error.strerror}); repair "
      "the file or its permissions."
    ) from error
  finished.sort(
    key=lambda item: (item[0].subject, item[0].condition, item[0].view)
  )
  folders = tuple(folder for folder, _ in finished)
  _check_duplicates(folders)
  place = root if is_remote else os.path.realpath(root)
  digest = hashlib.sha256(place.encode("utf-8", "replace"))
  for _, part in finished:
    digest.update(part)
  unusable.sort()
  digest.update(repr(unusable).encode("utf-8", "surrogateescape"))
  return Tree(root, folders, ignored, tuple(unusable), digest.hexdigest())
