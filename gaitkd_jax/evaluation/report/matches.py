"""The best and the worst probes of an evaluation, with their matches."""

from collections.abc import Iterable
from collections.abc import Iterator
from collections.abc import Sequence
import dataclasses
import itertools
from typing import Any

import numpy as np

from gaitkd_jax.evaluation.protocols import ranks


@dataclasses.dataclass(frozen=True)
class Match:
  """A gallery item of a shown probe.

  Attributes:
    row: of the embeddings.
    rank: among all that the probe is compared with, from 1.
    distance: to the probe.
  """

  row: int
  rank: int
  distance: float


@dataclasses.dataclass(frozen=True)
class Shown:
  """A probe that is shown.

  Attributes:
    trial: its condition.
    row: of the embeddings.
    compared: gallery items it is compared with.
    right: its nearest right match.
    wrong: the nearest wrong ones, ascending.
  """

  trial: str
  row: int
  compared: int
  right: Match
  wrong: tuple[Match, ...]


@dataclasses.dataclass(frozen=True)
class Extremes:
  """Result of `find`.

  Attributes:
    worst: by condition in turn, the worst first.
    best: likewise, the best first.
    unmatched: probes, by condition, that have no right item to find.
  """

  worst: tuple[Shown, ...]
  best: tuple[Shown, ...]
  unmatched: dict[str, int]


class RememberingRanker(ranks.Ranker):
  """A ranker that finds the ranks of the same rows only once.

  A table by pairs of views and a CMC are two readings of the same ranks.
  """

  def __init__(self, *args, **kwargs):
    """As `ranks.Ranker`."""
    super().__init__(*args, **kwargs)
    self._found = {}

  def first_matches(
    self, probes: np.ndarray, gallery: np.ndarray
  ) -> np.ndarray:
    """As `ranks.Ranker.first_matches`."""
    key = "first", _key(probes), _key(gallery)
    if key not in self._found:
      self._found[key] = super().first_matches(probes, gallery)
    return self._found[key]

  def all_matches(
    self,
    probes: np.ndarray,
    gallery: np.ndarray,
    views: np.ndarray | None = None,
  ) -> list[np.ndarray]:
    """As `ranks.Ranker.all_matches`."""
    seen = None if views is None else "\n".join(views)
    key = "all", _key(probes), _key(gallery), seen
    if key not in self._found:
      self._found[key] = super().all_matches(probes, gallery, views)
    return self._found[key]


def find(
  ranker: ranks.Ranker,
  trials: Sequence[Any],
  *,
  worst: int = 6,
  best: int = 3,
  wrong: int = 3,
) -> Extremes:
  """Finds the probes to show.

  The worst have the highest rank of their first right match; of equal ranks,
  the one that is farther behind its nearest wrong item. The best are found at
  rank 1 with the nearest wrong item farthest behind. The conditions take turns,
  and a subject is shown again only when there is no other.

  Args:
    ranker: of the embeddings.
    trials: `protocols.searches.Trial`, one a condition.
    worst: how many to show, rounded up to as many of each condition.
    best: how many to show, likewise.
    wrong: wrong items that are shown of one probe, at most.
  """
  worst_lists, best_lists, unmatched = [], [], {}
  trials = [_with_codes(trial) for trial in trials]
  for trial in trials:
    found = rank(ranker, trial)
    lost = found.rank == ranks.ABSENT
    if lost.any():
      unmatched[trial.name] = int(lost.sum())
    worst_lists.append(_worst(trial, found))
    best_lists.append(_best(trial, found))
  subjects = ranker.subjects
  chosen = [
    # As many of each condition: rounded up to whole turns.
    _in_turn(lists, subjects, -(-count // len(trials)) * len(trials))
    for lists, count in ((worst_lists, worst), (best_lists, best))
  ]
  shown = [_describe(ranker, trials, picked, wrong) for picked in chosen]
  return Extremes(shown[0], shown[1], unmatched)


@dataclasses.dataclass(frozen=True)
class Ranked:
  """Where each probe of a trial finds its nearest right item.

  Attributes:
    rank: int32 `[a]`, from 1; `ranks.ABSENT` where there is no right item.
    right: float32 `[a]`, its distance; infinite where there is none.
    wrong: float32 `[a]`, that of the nearest wrong item, likewise.
  """

  rank: np.ndarray
  right: np.ndarray
  wrong: np.ndarray


def rank(ranker: ranks.Ranker, trial: Any) -> Ranked:
  """Ranks as `ranks.Ranker` does, by the same distances, and the margins.

  Args:
    ranker: of the embeddings.
    trial: `protocols.searches.Trial`.
  """
  probes, gallery = trial.probes, trial.gallery
  right, wrong = np.full((2, len(probes)), np.inf, np.float32)
  place, ahead = np.zeros((2, len(probes)), np.int64)

  def find(p, g, distance, own, kept):
    masked = np.where(own & kept, distance, np.inf)
    first = masked.argmin(axis=1)
    nearest = masked[np.arange(len(first)), first]
    # Of equal distances the first in the gallery counts.
    closer = nearest < right[p]
    place[p] = np.where(closer, g.start + first, place[p])
    right[p] = np.minimum(nearest, right[p])
    masked = np.where(~own & kept, distance, np.inf)
    wrong[p] = np.minimum(masked.min(axis=1), wrong[p])

  def count(p, g, distance, own, kept):
    before = np.arange(g.start, g.stop)[None, :] < place[p][:, None]
    nearest = right[p][:, None]
    first = (distance < nearest) | ((distance == nearest) & before)
    ahead[p] += (first & kept).sum(axis=1)

  passes = [[find], [count]]
  while passes:
    tasks = passes.pop(0)
    for p, g, distance in ranker.blocks(probes, gallery):
      if passes and g.stop - g.start == len(gallery):
        # The gallery is one block: no need to compute its distances again.
        tasks += passes.pop()
      pair = _own_and_kept(ranker, trial, probes[p], gallery[g])
      for task in tasks:
        task(p, g, distance, *pair)
  found = np.where(np.isfinite(right), 1 + ahead, ranks.ABSENT)
  return Ranked(found.astype(np.int32), right, wrong)


def _worst(trial, found: Ranked) -> list[int]:
  """Rows of the worst probes, the worst first."""
  late = np.flatnonzero((found.rank > 1) & (found.rank < ranks.ABSENT))
  behind = found.right[late] - found.wrong[late]
  order = np.lexsort((-behind, -found.rank[late]))
  return list(trial.probes[late[order]])


def _best(trial, found: Ranked) -> list[int]:
  """Rows of the best probes, the best first."""
  # Without a wrong item to be ahead of, there is nothing to show.
  first = np.flatnonzero((found.rank == 1) & np.isfinite(found.wrong))
  ahead = found.wrong[first] - found.right[first]
  return list(trial.probes[first[np.argsort(-ahead, kind="stable")]])


def _with_codes(trial: Any) -> Any:
  """With numbers for views: they are compared much faster than names."""
  if trial.views is None:
    return trial
  codes = np.unique(trial.views, return_inverse=True)[1]
  return dataclasses.replace(trial, views=codes)


def _own_and_kept(
  ranker, trial, probes: np.ndarray, gallery: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
  """Whether subjects are the same, and whether pairs count: bool `[k, m]`."""
  subjects, views = ranker.subjects, trial.views
  own = subjects[probes][:, None] == subjects[gallery][None, :]
  if not trial.excluded:
    return own, np.ones_like(own)
  same_view = views[probes][:, None] == views[gallery][None, :]
  return own, ~(same_view & own if trial.excluded == "own_view" else same_view)


def _in_turn(
  lists: Sequence[Iterable[int]], subjects: np.ndarray, count: int
) -> list[tuple[int, int]]:
  """Takes rows from several lists in turn, as many subjects as there are.

  Returns:
    The number of the list and the row, by list.
  """
  lists = [list(rows) for rows in lists]
  picked, rows_seen, subjects_seen = [], set(), set()

  def take(new_subjects: bool) -> None:
    queues = [iter(rows) for rows in lists]
    while queues_left := [i for i, q in enumerate(queues) if q is not None]:
      for i in queues_left:
        if len(picked) == count:
          return
        row = next(_new(queues[i], new_subjects), None)
        if row is None:
          queues[i] = None
          continue
        picked.append((i, row))
        rows_seen.add(row)
        subjects_seen.add(subjects[row])

  def _new(queue: Iterator[int], new_subjects: bool) -> Iterator[int]:
    for row in queue:
      if row not in rows_seen and not (
        new_subjects and subjects[row] in subjects_seen
      ):
        yield row

  take(new_subjects=True)
  take(new_subjects=False)
  return [p for i in range(len(lists)) for p in picked if p[0] == i]


def _describe(
  ranker, trials, picked: list[tuple[int, int]], wrong: int
) -> tuple[Shown, ...]:
  """Finds the matches of the probes that are shown, and of no other."""
  result = []
  for i, group in itertools.groupby(picked, key=lambda p: p[0]):
    trial, rows = trials[i], np.array([row for _, row in group])
    own, kept = _own_and_kept(ranker, trial, rows, trial.gallery)
    distance = np.zeros(own.shape, np.float32)
    for p, g, block in ranker.blocks(rows, trial.gallery):
      distance[p, g] = block
    for k, row in enumerate(rows):
      columns = np.flatnonzero(kept[k])
      order = columns[np.argsort(distance[k, columns], kind="stable")]
      right, *others = [
        Match(
          int(trial.gallery[order[place]]),
          int(place) + 1,
          float(distance[k, order[place]]),
        )
        for place in (
          np.argmax(own[k, order]),
          *np.flatnonzero(~own[k, order])[:wrong],
        )
      ]
      ahead = [item for item in others if item.rank < right.rank]
      # Behind a right match at rank 1, the one that comes next.
      near = tuple(ahead or others[:1])
      result.append(Shown(trial.name, int(row), len(order), right, near))
  return tuple(result)


def _key(rows: np.ndarray) -> bytes:
  return np.asarray(rows, np.int64).tobytes()
