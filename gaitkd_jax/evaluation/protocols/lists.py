"""Probes and galleries given by name: Gait3D, and any data set."""

from collections.abc import Sequence
import csv
import dataclasses
import os

import numpy as np

from gaitkd_jax import errors
from gaitkd_jax.evaluation.protocols import ranks as ranks_lib
from gaitkd_jax.evaluation.protocols import retrieval
from gaitkd_jax.evaluation.protocols import searches as searches_lib

# Bad lines of a CSV that one message names.
_SHOWN = 5
_ROLES = {"probe": "probes", "gallery": "gallery"}


@dataclasses.dataclass(frozen=True)
class ProbeList:
  """Probes given by name; the gallery is all the rest, of all views.

  Rank-k, mAP and mINP as `retrieval.retrieval_figures`.

  Attributes:
    main_figure: the result by which checkpoints are compared.
    ranks: which Rank-k to report.
  """

  main_figure: str
  ranks: tuple[int, ...]
  options = ("probes",)

  def __call__(
    self,
    ranker: ranks_lib.Ranker,
    subjects: np.ndarray,
    conditions: np.ndarray,
    views: np.ndarray,
    probes: Sequence[str] | None = None,
  ) -> dict[str, float]:
    """See `evaluate.evaluate_embeddings`."""
    return _figures(
      ranker, self.trials(subjects, conditions, views, probes), self.ranks
    )

  def trials(
    self,
    subjects: np.ndarray,
    conditions: np.ndarray,
    views: np.ndarray,
    probes: Sequence[str] | None = None,
  ) -> list[searches_lib.Trial]:
    """What is compared: nothing is excluded.

    Args:
      subjects: str `[n]`.
      conditions: str `[n]`.
      views: str `[n]`.
      probes: names of the probes, "<subject>-<condition>-<view>".

    Raises:
      errors.UserError: no probes, names that are absent, given twice or shared
        by sequences, no gallery left.
    """
    names = searches_lib.names_of(subjects, conditions, views)
    rows = _rows(names, probes, "probes")
    if len(rows) == len(names):
      raise errors.UserError(
        f"all {len(names)} sequences are probes and none is left for the "
        "gallery; check the probe list"
      )
    gallery = np.setdiff1d(np.arange(len(names)), rows)
    return [searches_lib.Trial("all", rows, gallery)]


@dataclasses.dataclass(frozen=True)
class Lists:
  """Probes and gallery given by name; other sequences take no part.

  Rank-k, mAP and mINP as `retrieval.retrieval_figures`.

  Attributes:
    main_figure: the result by which checkpoints are compared.
    ranks: which Rank-k to report.
  """

  main_figure: str
  ranks: tuple[int, ...]
  options = ("probes", "gallery")

  def __call__(
    self,
    ranker: ranks_lib.Ranker,
    subjects: np.ndarray,
    conditions: np.ndarray,
    views: np.ndarray,
    probes: Sequence[str] | None = None,
    gallery: Sequence[str] | None = None,
  ) -> dict[str, float]:
    """See `evaluate.evaluate_embeddings`."""
    trials = self.trials(subjects, conditions, views, probes, gallery)
    return _figures(ranker, trials, self.ranks)

  def trials(
    self,
    subjects: np.ndarray,
    conditions: np.ndarray,
    views: np.ndarray,
    probes: Sequence[str] | None = None,
    gallery: Sequence[str] | None = None,
  ) -> list[searches_lib.Trial]:
    """What is compared: nothing is excluded. Rows are in the set's order.

    Args:
      subjects: str `[n]`.
      conditions: str `[n]`.
      views: str `[n]`.
      probes: names of the probes, "<subject>-<condition>-<view>".
      gallery: names of the gallery's sequences.

    Raises:
      errors.UserError: a list is missing, names that are absent, given twice,
        in both lists or shared by sequences.
    """
    names = searches_lib.names_of(subjects, conditions, views)
    rows = _rows(names, probes, "probes"), _rows(names, gallery, "gallery")
    both = np.intersect1d(*rows)
    if len(both):
      raise errors.UserError(
        f"{len(both)} names are both probe and gallery, the first "
        f"{names[both[0]]}; give each one role"
      )
    return [searches_lib.Trial("all", *rows)]


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
  result = {option: [] for option in _ROLES.values()}
  bad = []
  try:
    with open(path, newline="", encoding="utf-8-sig") as f:
      lines = csv.reader(f)
      header = [cell.strip() for cell in next(lines, [])]
      if any(header.count(column) != 1 for column in ("name", "role")):
        raise errors.UserError(
          f"{path}: line 1 is {','.join(header)!r}; it must name the columns: "
          "name,role"
        )
      columns = header.index("name"), header.index("role")
      seen = {}
      for cells in lines:
        if not any(cell.strip() for cell in cells):
          continue
        name, role = (
          cells[i].strip() if i < len(cells) else "" for i in columns
        )
        fault = _fault(name, role, seen)
        if fault:
          bad.append(f"line {lines.line_num}: {fault}")
        else:
          seen[name] = lines.line_num
          result[_ROLES[role]].append(name)
  except OSError as e:
    raise errors.UserError(
      f"the lists {path} cannot be read ({e.strerror}); give a CSV with the "
      "columns name,role"
    ) from e
  except (UnicodeDecodeError, csv.Error) as e:
    raise errors.UserError(
      f"{path} is not a CSV in UTF-8 ({e}); save it as one"
    ) from e
  if bad:
    more = f"; and {len(bad) - _SHOWN} more" if len(bad) > _SHOWN else ""
    raise errors.UserError(f"{path}: {'; '.join(bad[:_SHOWN])}{more}")
  for role, option in _ROLES.items():
    if not result[option]:
      raise errors.UserError(
        f"{path}: no line has the role {role}; give at least one"
      )
  return result


def _fault(name: str, role: str, seen: dict[str, int]) -> str:
  """What is wrong with a line; empty if nothing is."""
  if not name:
    return "no name"
  if role not in _ROLES:
    return f"the role of {name!r} is {role!r}, not probe or gallery"
  if name in seen:
    return f"{name!r} was given in line {seen[name]} already"
  return ""


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
  wanted = np.array(list(wanted)).astype(str)
  absent = wanted[~np.isin(wanted, names)]
  if len(absent):
    raise errors.UserError(
      f"{len(absent)} of {len(wanted)} {what} are not among the "
      f"{len(names)} sequences, the first {absent[0]}; check the list and the "
      "data set"
    )
  twice = _repeated(wanted)
  if len(twice):
    raise errors.UserError(
      f"{len(twice)} of {len(wanted)} {what} are given more than once, the "
      f"first {twice[0]}; give each once"
    )
  rows = np.flatnonzero(np.isin(names, wanted))
  shared = _repeated(names[rows])
  if len(shared):
    raise errors.UserError(
      f"{len(shared)} of {len(wanted)} {what} name several sequences each, the "
      f"first {shared[0]}; names of sequences must differ: check the data set"
    )
  return rows


def _repeated(names: np.ndarray) -> np.ndarray:
  """The names that occur more than once."""
  found, count = np.unique(names, return_counts=True)
  return found[count > 1]


def _figures(
  ranker: ranks_lib.Ranker,
  trials: Sequence[searches_lib.Trial],
  ranks: Sequence[int],
) -> dict[str, float]:
  """`retrieval.retrieval_figures` of the one trial."""
  (trial,) = trials
  figures = retrieval.retrieval_figures(
    ranker.all_matches(trial.probes, trial.gallery), ranks
  )
  if not figures:
    raise errors.UserError(
      f"none of the {len(trial.probes)} probes has its subject in the gallery; "
      "check the probe list and the data set"
    )
  return {f"{trial.name}/{k}": v for k, v in figures.items()}
