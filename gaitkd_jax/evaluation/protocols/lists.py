"""Probes and galleries given by name: Gait3D, and any data set."""

from collections.abc import Callable
from collections.abc import Mapping
from collections.abc import Sequence
import csv
import dataclasses
import io
import os
from typing import Any

import numpy as np

from gaitkd_jax import errors
from gaitkd_jax import storage
from gaitkd_jax.evaluation import embedded as embedded_lib
from gaitkd_jax.evaluation import metrics as metrics_lib
from gaitkd_jax.evaluation.protocols import left_out as left_out_lib
from gaitkd_jax.evaluation.protocols import probe_gallery
from gaitkd_jax.evaluation.protocols import protocol
from gaitkd_jax.evaluation.protocols import ranker as ranker_lib
from gaitkd_jax.evaluation.protocols import ranks as ranks_lib
from gaitkd_jax.evaluation.protocols import retrieval

# A message names no more bad lines of a CSV than this.
_SHOWN = 5
_ROLES = {"probe": "probes", "gallery": "gallery"}


@dataclasses.dataclass(frozen=True, kw_only=True)
class _ByName(protocol.ScoredProtocol):
  """Rank-k, mAP and mINP as `retrieval.retrieval_metrics` has them.

  Attributes:
    name: see `protocol.ScoredProtocol`.
    primary_metric: see there.
    reported_ranks: see there.
  """

  no_role = "they are in neither list"

  def left_out(
    self,
    labels: embedded_lib.Labels,
    compared: Sequence[probe_gallery.ProbeGallery],
  ) -> list[left_out_lib.LeftOut]:
    """Sequences in neither list, and probes without a match."""
    found = super().left_out(labels, compared)
    for one in compared:
      found += left_out_lib.without_match(labels, one, "rank*, mAP and mINP")
    return found

  def rank(
    self,
    ranker: ranker_lib.Ranker,
    compared: probe_gallery.ProbeGallery,
  ) -> ranks_lib.Ranks:
    """The ranks of all matches in the whole gallery."""
    return ranks_lib.Ranks.of_matches(
      compared, ranker.all_matches(compared.probes, compared.gallery)
    )

  def condition_metrics(
    self, ranks: ranks_lib.Ranks, reported_ranks: Sequence[int]
  ) -> list[metrics_lib.Metric]:
    """Rank-k, mAP and mINP.

    Raises:
      errors.UserError: no probe has its subject in the gallery.
    """
    found = retrieval.retrieval_metrics(ranks.matches, reported_ranks)
    if not found:
      raise errors.UserError(
        f"none of the {len(ranks.compared.probes)} probes has its subject in "
        "the gallery; check the probe list and the data set"
      )
    return [
      metrics_lib.Metric(ranks.compared.condition, name, value)
      for name, value in found.items()
    ]


class ProbeList(_ByName):
  """Probes given by name; the gallery is all the rest, of all views.

  A gallery may be given by name too; then sequences in neither list take no
  part. OpenGait, which has FreeGait's list of the gallery and does not read it,
  puts them into the gallery.

  Metrics are those of `retrieval.retrieval_metrics`. In a config the lists are
  those of the data set.
  """

  listed_by_data = True
  options = ("probes", "gallery")

  def probe_galleries(
    self,
    labels: embedded_lib.Labels,
    options: Mapping[str, Any] = embedded_lib.NO_OPTIONS,
  ) -> list[probe_gallery.ProbeGallery]:
    """The listed probes, the listed gallery or all the rest; nothing excluded.

    Args:
      labels: of the whole set.
      options: "probes", their names, "<subject>-<condition>-<view>"; "gallery",
        likewise, if it is not all the rest.

    Raises:
      errors.UserError: no probes, names that are absent, given twice, in both
        lists or shared by sequences, no gallery left.
    """
    names = labels.names
    if options.get("gallery") is not None:
      return _by_two_lists(names, options)
    probes = _rows(names, options.get("probes"), "probes")
    if len(probes) == len(names):
      raise errors.UserError(
        f"all {len(names)} sequences are probes and none is left for the "
        "gallery; check the probe list"
      )
    gallery = np.setdiff1d(np.arange(len(names)), probes)
    return [probe_gallery.ProbeGallery("all", probes, gallery)]

  def roles(
    self,
    config: Any,
    data_roles: Callable[[], Mapping[str, Sequence[str]]],
  ) -> dict[str, Sequence[str]]:
    """The probes that the data set lists, and the gallery if it does.

    Raises:
      errors.UserError: it lists no probes, or its gallery is not there.
    """
    found = {**super().roles(config, data_roles), **data_roles()}
    for role, names in found.items():
      if not names:
        raise errors.UserError(
          f"protocol {self.name} needs {role} by name, and the data set lists "
          "none that is there; give its whole test set, a data.partition with "
          "PROBE_SET or GALLERY_SET, or --config.eval.protocol=lists"
        )
    return found


class Lists(_ByName):
  """Probes and gallery given by name; other sequences take no part.

  Metrics are those of `retrieval.retrieval_metrics`. In a config `eval.lists`
  is a CSV of the names, see `read`.
  """

  options = ("probes", "gallery")

  def probe_galleries(
    self,
    labels: embedded_lib.Labels,
    options: Mapping[str, Any] = embedded_lib.NO_OPTIONS,
  ) -> list[probe_gallery.ProbeGallery]:
    """The one pair of lists, nothing excluded. Rows are in the set's order.

    Args:
      labels: of the whole set.
      options: "probes" and "gallery", names "<subject>-<condition>-<view>".

    Raises:
      errors.UserError: a list is missing, names that are absent, given twice,
        in both lists or shared by sequences.
    """
    return _by_two_lists(labels.names, options)

  def roles(
    self,
    config: Any,
    data_roles: Callable[[], Mapping[str, Sequence[str]]],
  ) -> dict[str, Sequence[str]]:
    """The lists of the CSV `eval.lists`."""
    del data_roles
    if not config.lists:
      raise errors.UserError(
        f"protocol {self.name} needs probes and a gallery; give a CSV of "
        "name,role as --config.eval.lists=<file>"
      )
    return {**read(config.lists)}


def read(path: str | os.PathLike[str]) -> dict[str, list[str]]:
  """Reads the lists of `Lists` from a CSV.

  Args:
    path: its first line names the columns, "name" and "role" among them; a
      role is "probe" or "gallery". Other columns and empty lines are ignored.

  Returns:
    The names by option: "probes" and "gallery".

  Raises:
    errors.UserError: not such a file; bad lines are named by their numbers.
  """
  try:
    text = storage.read_bytes(path).decode("utf-8-sig")
    lines = csv.reader(io.StringIO(text, newline=""))
    result, faults = _read_lines(lines, path)
  except OSError as e:
    raise errors.UserError(
      f"the lists {path} cannot be read ({e.strerror}); give a CSV with the "
      "columns name,role"
    ) from e
  except (UnicodeDecodeError, csv.Error) as e:
    raise errors.UserError(
      f"{path} is not a CSV in UTF-8 ({e}); save it as one"
    ) from e
  if faults:
    left = len(faults) - _SHOWN
    more = f"; and {left} more" if left > 0 else ""
    raise errors.UserError(f"{path}: {'; '.join(faults[:_SHOWN])}{more}")
  for role, option in _ROLES.items():
    if not result[option]:
      raise errors.UserError(
        f"{path}: no line has the role {role}; give at least one"
      )
  return result


def _read_lines(
  lines: Any, path: str | os.PathLike[str]
) -> tuple[dict[str, list[str]], list[str]]:
  """Reads the names by option, and what is wrong with lines.

  Args:
    lines: a `csv.reader`.
    path: of the file, for messages.
  """
  header = [cell.strip() for cell in next(lines, [])]
  if any(header.count(column) != 1 for column in ("name", "role")):
    raise errors.UserError(
      f"{path}: line 1 is {','.join(header)!r}; it must name the columns: "
      "name,role"
    )
  columns = header.index("name"), header.index("role")
  result: dict[str, list[str]] = {option: [] for option in _ROLES.values()}
  line_of: dict[str, int] = {}
  faults = []
  for cells in lines:
    if not any(cell.strip() for cell in cells):
      continue
    name, role = (cells[i].strip() if i < len(cells) else "" for i in columns)
    if fault := _fault(name, role, line_of):
      faults.append(f"line {lines.line_num}: {fault}")
    else:
      line_of[name] = lines.line_num
      result[_ROLES[role]].append(name)
  return result, faults


def _fault(name: str, role: str, line_of: dict[str, int]) -> str:
  """What is wrong with a line; empty if nothing is.

  Args:
    name: of a sequence.
    role: what the line gives it.
    line_of: the lines of names that were given before.
  """
  if not name:
    return "no name"
  if role not in _ROLES:
    return f"the role of {name!r} is {role!r}, not probe or gallery"
  if name in line_of:
    return f"{name!r} was given in line {line_of[name]} already"
  return ""


def _by_two_lists(
  names: np.ndarray, options: Mapping[str, Any]
) -> list[probe_gallery.ProbeGallery]:
  """The one pair of lists, nothing excluded.

  Args:
    names: of the sequences, str `[n]`.
    options: "probes" and "gallery".
  """
  probes, gallery = (
    _rows(names, options.get(option), option)
    for option in ("probes", "gallery")
  )
  both = np.intersect1d(probes, gallery)
  if len(both):
    raise errors.UserError(
      f"{len(both)} names are both probe and gallery, the first "
      f"{names[both[0]]}; give each one role"
    )
  return [probe_gallery.ProbeGallery("all", probes, gallery)]


def _rows(
  names: np.ndarray, wanted: Sequence[str] | None, option: str
) -> np.ndarray:
  """The rows of the wanted names, ascending.

  Args:
    names: of the sequences, str `[n]`.
    wanted: the list.
    option: its name.
  """
  if wanted is None or isinstance(wanted, str) or not len(wanted):
    whose = "its probes" if option == "probes" else "its gallery"
    raise errors.UserError(
      f"the protocol needs the list of {whose}; give "
      f'{option}=["<subject>-<condition>-<view>", ...]'
    )
  what = "probes" if option == "probes" else "gallery names"
  listed = np.array(list(wanted)).astype(str)
  absent = listed[~np.isin(listed, names)]
  if len(absent):
    raise errors.UserError(
      f"{len(absent)} of {len(listed)} {what} are not among the "
      f"{len(names)} sequences, the first {absent[0]}; check the list and the "
      "data set"
    )
  twice = _repeated(listed)
  if len(twice):
    raise errors.UserError(
      f"{len(twice)} of {len(listed)} {what} are given more than once, the "
      f"first {twice[0]}; give each once"
    )
  rows = np.flatnonzero(np.isin(names, listed))
  shared = _repeated(names[rows])
  if len(shared):
    raise errors.UserError(
      f"{len(shared)} of {len(listed)} {what} name several sequences each, the "
      f"first {shared[0]}; names of sequences must differ: check the data set"
    )
  return rows


def _repeated(names: np.ndarray) -> np.ndarray:
  """The names that occur more than once."""
  found, count = np.unique(names, return_counts=True)
  return found[count > 1]
