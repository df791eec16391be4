"""Who trains, who tests and which sequences are probes."""

from collections.abc import Collection
from collections.abc import Sequence
import dataclasses
import functools
import hashlib
import json
import os
import pathlib
from typing import Any

from absl import logging

from data_pipelines import remote
from gaitkd_jax import storage
from gaitkd_jax.errors import UserError

HALVES = "halves"
_SUBJECTS = ("TRAIN_SET", "TEST_SET")
_NAMES = ("PROBE_SET", "GALLERY_SET")
# The largest list known, GREW's, takes 0.4 MB.
_MOST_BYTES = 2**26
_SHOWN = 5  # unknown keys that are named


@dataclasses.dataclass(frozen=True)
class Partition:
  """A division of subjects.

  Attributes:
    train: subjects of the split "train"; None: all that do not test.
    test: subjects of the split "test".
    probes: names of the test sequences that the benchmark searches for, if it
      lists them.
    gallery: names of the test sequences among which it searches, if it lists
      them. If it lists these alone, all others are probes.
  """

  train: tuple[str, ...] | None
  test: tuple[str, ...]
  probes: tuple[str, ...] = ()
  gallery: tuple[str, ...] = ()


@dataclasses.dataclass(frozen=True)
class Request:
  """What a user asks for in place of the benchmark's division.

  Attributes:
    partition: "", "halves", or the path of a JSON file.
    train_subjects: who trains; empty: as the partition says.
    test_subjects: who tests; empty: as the partition says.
  """

  partition: str = ""
  train_subjects: tuple[str, ...] = ()
  test_subjects: tuple[str, ...] = ()

  def identity(self) -> list[Any]:
    """JSON that is equal for equal requests; a file counts by its contents."""
    partition = self.partition
    if partition not in ("", HALVES):
      partition = hashlib.sha256(_read_bytes(partition)).hexdigest()
    return [partition, list(self.train_subjects), list(self.test_subjects)]


def ids(
  ranges: Sequence[int | Sequence[int]], digits: int, suffix: str = ""
) -> tuple[str, ...]:
  """Lists the names of subjects that are numbers.

  Args:
    ranges: numbers and inclusive ranges of them, such as (1, (4, 6)).
    digits: to how many digits numbers are padded with zeros.
    suffix: what follows each number.

  Returns:
    Such as ("001", "004", "005", "006").
  """
  numbers = []
  for item in ranges:
    first, last = (item, item) if isinstance(item, int) else item
    numbers += range(first, last + 1)
  return tuple(f"{number:0{digits}d}{suffix}" for number in numbers)


def _read_bytes(path: str) -> bytes:
  path = os.path.expanduser(path)
  try:
    if storage.is_remote(path):
      return remote.read(path, _MOST_BYTES)
    with open(path, "rb") as file:
      data = file.read(_MOST_BYTES + 1)
  except OSError as error:
    raise UserError(
      f"data.partition {path}: cannot be read ({error.strerror}); leave it "
      "empty, or give halves or a JSON file with TRAIN_SET and TEST_SET."
    ) from error
  if len(data) > _MOST_BYTES:
    raise UserError(
      f"data.partition {path}: is far too large for lists of subjects; give a "
      "JSON file with TRAIN_SET and TEST_SET."
    )
  return data


def read(path: str) -> Partition:
  """Reads a partition in OpenGait's format.

  Where a file lists probes and gallery, sequences in neither list take no part.
  OpenGait reads PROBE_SET alone then, as FreeGait's, and puts them into the
  gallery.

  Args:
    path: a JSON file that holds an object. Its keys TRAIN_SET and TEST_SET are
      lists of subjects; PROBE_SET and GALLERY_SET, which may be left out, are
      lists of names `<id>-<type>-<view>`. Other keys are named in the log.

  Returns:
    The partition.

  Raises:
    UserError: the file cannot be read, is not JSON, or holds something else.
  """
  what = f"data.partition {os.path.expanduser(path)}"
  data = _read_bytes(path)
  try:
    content = json.loads(data)
  except (ValueError, RecursionError) as error:
    raise UserError(
      f"{what}: is not JSON ({' '.join(str(error).split())}); give an object "
      "with TRAIN_SET and TEST_SET."
    ) from None
  if not isinstance(content, dict):
    raise UserError(
      f"{what}: holds a {type(content).__name__}; give an object with "
      "TRAIN_SET and TEST_SET."
    )
  lists = {}
  for key in (*_SUBJECTS, *_NAMES):
    if key not in content and key in _SUBJECTS:
      raise UserError(f"{what}: has no {key}; give a list of subjects.")
    values = content.get(key, [])
    if not isinstance(values, list) or not all(
      isinstance(value, str) for value in values
    ):
      raise UserError(f"{what}: {key} is not a list of texts; make it one.")
    lists[key] = tuple(dict.fromkeys(values))
  for one, other in (_SUBJECTS, _NAMES):
    if both := sorted(set(lists[one]) & set(lists[other])):
      raise UserError(
        f"{what}: {one} and {other} both name {both[0]}; remove it from one "
        "of them."
      )
  if unused := sorted(set(content) - set(lists)):
    # JSON escapes whatever a terminal should not be sent.
    keys = ", ".join(json.dumps(key[:40])[1:-1] for key in unused[:_SHOWN])
    _log_once(
      f"{what}: not used: {keys}{', ...' if len(unused) > _SHOWN else ''}; "
      f"used are {', '.join(lists)}"
    )
  if all(lists[key] for key in _NAMES):
    _log_once(
      f"{what}: test sequences in neither PROBE_SET nor GALLERY_SET take no "
      "part (OpenGait puts them into the gallery; for its figures, remove "
      "GALLERY_SET)"
    )
  return Partition(*lists.values())


@functools.cache
def _log_once(line: str) -> None:
  """Logs a line; a run reads its partition several times."""
  logging.warning("%s", line)


def load(path: str | os.PathLike[str]) -> dict[str, Any]:
  """Reads the lists of a data set from a JSON file in its package."""
  return json.loads(pathlib.Path(path).read_text())


def resolve(
  benchmark: Partition, request: Request, subjects: Collection[str]
) -> tuple[Partition, tuple[str, ...]]:
  """Divides the subjects that are there.

  If the user lists only who trains, or only who tests, the partition gives the
  other list, without the subjects of the first. "halves" keeps the benchmark's
  division unless that leaves nobody to train or to test; then the first half of
  the sorted subjects trains.

  Args:
    benchmark: the division that the benchmark prescribes.
    request: what the user asks for.
    subjects: those that are there.

  Returns:
    The partition, in whose lists are only `subjects`; and the subjects that the
    user names although they are not there.

  Raises:
    UserError: a subject would both train and test, or the JSON file is bad.
  """
  train, test = (
    tuple(dict.fromkeys(given))
    for given in (request.train_subjects, request.test_subjects)
  )
  if both := sorted(set(train) & set(test)):
    raise UserError(
      f"data.train_subjects and data.test_subjects both name {both[0]}; remove "
      "it from one of them."
    )
  base, named = benchmark, [*train, *test]
  if request.partition not in ("", HALVES):
    base = read(request.partition)
    named += [*base.train, *base.test]
    if not (base.probes or base.gallery):
      # A file without probes keeps those of the benchmark.
      base = dataclasses.replace(
        base, probes=benchmark.probes, gallery=benchmark.gallery
      )
  there = set(subjects)

  def present(wanted: Sequence[str], other: Sequence[str]) -> tuple[str, ...]:
    """The wanted subjects that are there and not in the other list."""
    return tuple(i for i in wanted if i in there and i not in set(other))

  rest = base.train
  if rest is None:
    rest = sorted(there - set(base.test))
  divided = present(train or rest, test), present(test or base.test, train)
  if (
    request.partition == HALVES
    and not (train or test)
    and there
    and not all(divided)
  ):
    order = sorted(there)
    half = len(order) // 2
    divided = tuple(order[:half]), tuple(order[half:])
  missing = tuple(sorted(set(named) - there))
  return Partition(*divided, base.probes, base.gallery), missing


def probes(
  partition: Partition,
  request: Request,
  names: Sequence[tuple[str, str]],
) -> tuple[str, ...]:
  """Lists the probes of prepared data.

  Args:
    partition: as `resolve` returns it.
    request: what the user asked for.
    names: (subject, name) of every test sequence that can be used, in order.

  Returns:
    The names of the benchmark's probes that are there; if it lists its gallery
    instead, all that are not of the gallery. If none is and the user asked for
    "halves": the first sequence of every subject that has two or more. Empty if
    the benchmark lists neither.
  """
  if partition.gallery and not partition.probes:
    listed = set(partition.gallery)
    return tuple(name for _, name in names if name not in listed)
  there = {name for _, name in names}
  found = tuple(name for name in partition.probes if name in there)
  if found or not partition.probes or request.partition != HALVES:
    return found
  first: dict[str, list[str]] = {}
  for subject, name in names:
    first.setdefault(subject, []).append(name)
  return tuple(group[0] for group in first.values() if len(group) > 1)


def gallery(
  partition: Partition, names: Sequence[tuple[str, str]]
) -> tuple[str, ...] | None:
  """Lists the gallery of prepared data.

  Args:
    partition: as `resolve` returns it.
    names: (subject, name) of every test sequence that can be used, in order.

  Returns:
    The names of the benchmark's gallery that are there, which may be none; None
    if the benchmark does not list its gallery.
  """
  if not partition.gallery:
    return None
  there = {name for _, name in names}
  return tuple(name for name in partition.gallery if name in there)
