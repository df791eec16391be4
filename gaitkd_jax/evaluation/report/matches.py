"""The best and the worst probes of an evaluation, with their matches."""

from collections.abc import Sequence
import dataclasses
import itertools

import numpy as np

from gaitkd_jax.evaluation.protocols import probe_gallery
from gaitkd_jax.evaluation.protocols import ranker as ranker_lib
from gaitkd_jax.evaluation.protocols import ranks as ranks_lib


@dataclasses.dataclass(frozen=True)
class Match:
  """A gallery item that is shown with a probe.

  Attributes:
    row: of the embeddings.
    rank: among all items that the probe is compared with, from 1.
    distance: to the probe.
  """

  row: int
  rank: int
  distance: float


@dataclasses.dataclass(frozen=True)
class Shown:
  """A probe that is shown.

  Attributes:
    condition: of the probe.
    row: of the embeddings.
    compared: gallery items it is compared with.
    right: its nearest right match.
    wrong: the nearest wrong ones, ascending.
  """

  condition: str
  row: int
  compared: int
  right: Match
  wrong: tuple[Match, ...]


@dataclasses.dataclass(frozen=True)
class Extremes:
  """The probes that are shown.

  Attributes:
    worst: by condition in turn, the worst first.
    best: likewise, the best first.
    unmatched: probes, by condition, that have no right item to find.
  """

  worst: tuple[Shown, ...]
  best: tuple[Shown, ...]
  unmatched: dict[str, int]


def find(
  ranker: ranker_lib.Ranker,
  ranks: Sequence[ranks_lib.Ranks],
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
    ranks: of the evaluation, one a condition.
    worst: how many to show, rounded up to as many of each condition.
    best: how many to show, likewise.
    wrong: wrong items that are shown of one probe, at most.
  """
  worst_lists, best_lists, unmatched = [], [], {}
  for one in ranks:
    found = nearest(ranker, one.compared, one.of_whole_gallery)
    lost = found.rank == ranks_lib.ABSENT
    if lost.any():
      unmatched[one.compared.condition] = int(lost.sum())
    worst_lists.append(_worst(one.compared, found))
    best_lists.append(_best(one.compared, found))
  compared = [one.compared for one in ranks]
  shown = []
  for lists, count in ((worst_lists, worst), (best_lists, best)):
    # The same number of each condition: rounded up to whole turns.
    turns = -(-count // len(compared))
    picked = _in_turn(lists, ranker.subjects, turns * len(compared))
    shown.append(_describe(ranker, compared, picked, wrong))
  return Extremes(shown[0], shown[1], unmatched)


@dataclasses.dataclass(frozen=True, eq=False)
class Nearest:
  """What is nearest to each probe of a condition.

  Attributes:
    rank: int32 `[a]`, of the nearest right item, from 1; `ranks.ABSENT` where
      there is no right item.
    right: float32 `[a]`, its distance; infinite where there is none.
    wrong: float32 `[a]`, that of the nearest wrong item, likewise.
  """

  rank: np.ndarray
  right: np.ndarray
  wrong: np.ndarray


def nearest(
  ranker: ranker_lib.Ranker,
  compared: probe_gallery.ProbeGallery,
  rank: np.ndarray | None = None,
) -> Nearest:
  """Finds the nearest right and the nearest wrong item of each probe.

  Args:
    ranker: of the embeddings.
    compared: the probes and the gallery.
    rank: int32 `[a]`, of the nearest right items, if it is known; None: it is
      counted as `ranker.Ranker` does.
  """
  probes, gallery = compared.probes, compared.gallery
  pairs = _Pairs(ranker.subjects, compared)
  right, wrong = np.full((2, len(probes)), np.inf, np.float32)
  place, ahead = np.zeros((2, len(probes)), np.int64)

  def find(
    p: slice, g: slice, distance: np.ndarray, same: np.ndarray, kept: np.ndarray
  ) -> None:
    masked = np.where(same & kept, distance, np.inf)
    first = masked.argmin(axis=1)
    value = masked[np.arange(len(first)), first]
    # Of equal distances, the first in the gallery counts.
    closer = value < right[p]
    place[p] = np.where(closer, g.start + first, place[p])
    right[p] = np.minimum(value, right[p])
    masked = np.where(~same & kept, distance, np.inf)
    wrong[p] = np.minimum(masked.min(axis=1), wrong[p])

  def count(p: slice, g: slice, distance: np.ndarray, kept: np.ndarray) -> None:
    before = np.arange(g.start, g.stop)[None, :] < place[p][:, None]
    limit = right[p][:, None]
    first = (distance < limit) | ((distance == limit) & before)
    ahead[p] += (first & kept).sum(axis=1)

  counts = rank is None
  one_block = False
  for p, g, distance in ranker.blocks(probes, gallery):
    same, kept = pairs(probes[p], gallery[g])
    find(p, g, distance, same, kept)
    # If the gallery is one block, its distances are computed only once.
    one_block = g.stop - g.start == len(gallery)
    if counts and one_block:
      count(p, g, distance, kept)
  if counts and not one_block:
    for p, g, distance in ranker.blocks(probes, gallery):
      count(p, g, distance, pairs(probes[p], gallery[g])[1])
  if rank is None:
    rank = np.where(np.isfinite(right), 1 + ahead, ranks_lib.ABSENT)
  return Nearest(rank.astype(np.int32), right, wrong)


class _Pairs:
  """Says which pairs are of one subject, and which are compared."""

  def __init__(
    self, subjects: np.ndarray, compared: probe_gallery.ProbeGallery
  ):
    """Takes the codes of all subjects, int32 `[n]`."""
    self._subjects = subjects
    # Numbers are compared much faster than names.
    codes = compared.view_codes()
    self._views = np.zeros_like(subjects) if codes is None else codes
    self._excluded = compared.excluded

  def __call__(
    self, probes: np.ndarray, gallery: np.ndarray
  ) -> tuple[np.ndarray, np.ndarray]:
    """Both as bool `[k, m]`, for rows of probes and of gallery items."""
    same, same_view = (
      codes[probes][:, None] == codes[gallery][None, :]
      for codes in (self._subjects, self._views)
    )
    return same, ~self._excluded.pairs(same, same_view)


def _worst(compared: probe_gallery.ProbeGallery, found: Nearest) -> list[int]:
  """Rows of the worst probes, the worst first."""
  late = np.flatnonzero((found.rank > 1) & (found.rank < ranks_lib.ABSENT))
  behind = found.right[late] - found.wrong[late]
  order = np.lexsort((-behind, -found.rank[late]))
  return list(compared.probes[late[order]])


def _best(compared: probe_gallery.ProbeGallery, found: Nearest) -> list[int]:
  """Rows of the best probes, the best first."""
  # A probe without any wrong item has no margin to be sorted by.
  first = np.flatnonzero((found.rank == 1) & np.isfinite(found.wrong))
  ahead = found.wrong[first] - found.right[first]
  return list(compared.probes[first[np.argsort(-ahead, kind="stable")]])


def _in_turn(
  lists: Sequence[Sequence[int]], subjects: np.ndarray, count: int
) -> list[tuple[int, int]]:
  """Takes rows from several lists in turn, each of a new subject if possible.

  Args:
    lists: rows, those to be taken first in front.
    subjects: codes of all rows, `[n]`.
    count: how many to take.

  Returns:
    The number of the list and the row, by list.
  """
  picked: list[tuple[int, int]] = []

  def take(new_subjects: bool) -> None:
    """Takes the next row of every list that has one, again and again."""
    queues = dict(enumerate(map(iter, lists)))
    while queues:
      for i, queue in list(queues.items()):
        if len(picked) == count:
          return
        row = next(filter(lambda row: is_new(row, new_subjects), queue), None)
        if row is None:
          del queues[i]
        else:
          picked.append((i, row))

  def is_new(row: int, new_subject: bool) -> bool:
    return all(
      row != other and not (new_subject and subjects[row] == subjects[other])
      for _, other in picked
    )

  take(new_subjects=True)
  take(new_subjects=False)
  return [p for i in range(len(lists)) for p in picked if p[0] == i]


def _describe(
  ranker: ranker_lib.Ranker,
  compared: Sequence[probe_gallery.ProbeGallery],
  picked: Sequence[tuple[int, int]],
  wrong: int,
) -> tuple[Shown, ...]:
  """Finds the matches of the probes that are shown, and of no other.

  Args:
    ranker: of the embeddings.
    compared: by condition.
    picked: of `_in_turn`.
    wrong: wrong items that are shown of one probe, at most.
  """
  result = []
  for i, group in itertools.groupby(picked, key=lambda p: p[0]):
    gallery, rows = compared[i].gallery, np.array([row for _, row in group])
    same, kept = _Pairs(ranker.subjects, compared[i])(rows, gallery)
    distance = np.zeros(same.shape, np.float32)
    for p, g, block in ranker.blocks(rows, gallery):
      distance[p, g] = block
    for k, row in enumerate(rows):
      columns = np.flatnonzero(kept[k])
      order = columns[np.argsort(distance[k, columns], kind="stable")]
      right, *others = [
        Match(
          int(gallery[order[place]]),
          int(place) + 1,
          float(distance[k, order[place]]),
        )
        for place in (
          np.argmax(same[k, order]),
          *np.flatnonzero(~same[k, order])[:wrong],
        )
      ]
      ahead = [item for item in others if item.rank < right.rank]
      # If the right match is at rank 1, the wrong item that comes next.
      shown = tuple(ahead or others[:1])
      result.append(
        Shown(compared[i].condition, int(row), len(order), right, shown)
      )
  return tuple(result)
