"""Re-ranking with k-reciprocal neighbours (Zhong et al., CVPR 2017).

OpenGait's variant, to the bit: distances are not squared, those of an item are
divided by the largest of them, and weights and their sums are float16. Weights
are zero outside an item's neighbourhood, so they are kept sparse.
"""

from collections.abc import Iterator
import dataclasses
from typing import Any

import numpy as np

from gaitkd_jax import errors
from gaitkd_jax.evaluation.search import blocks as blocks_lib
from gaitkd_jax.evaluation.search import neighbours
from gaitkd_jax.hosts import together

# Values of the arrays that are made for a block of rows.
_VALUES = 1 << 22
_PROBES = 512


def rerank_distances(
  distance: np.ndarray,
  queries: int,
  k1: int = 6,
  k2: int = 6,
  lambda_value: float = 0.3,
) -> np.ndarray:
  """Re-ranks a matrix of distances; for embeddings see `rerank`.

  Args:
    distance: of all items to all items, `[n, n]`, the probes first.
    queries: how many items are probes, q.
    k1: two items are mutual neighbours if each is among the k1 nearest of the
      other.
    k2: how many nearest items' weights are averaged; 1 averages none.
    lambda_value: share of the distance in the result, the rest is the Jaccard
      distance of the neighbourhoods; from 0 to 1.

  Returns:
    float32 `[q, n - q]`.

  Raises:
    errors.UserError: not a square matrix of finite distances, no probe or no
      gallery, k1, k2 or lambda_value out of range.
  """
  distance = np.asarray(distance, np.float32)
  queries, k1, k2 = int(queries), int(k1), int(k2)
  if distance.ndim != 2 or distance.shape[0] != distance.shape[1]:
    raise errors.UserError(
      f"distances have the shape {list(distance.shape)}; give those of all "
      "items to all items, [n, n]"
    )
  _check(queries, len(distance) - queries, k1, k2, lambda_value)
  if not np.isfinite(distance).all():
    raise errors.UserError(
      "some distances are not finite; the network or its checkpoint is broken"
    )
  # The reference looks at columns: they are the distances to an item.
  distance = (distance / _positive(distance.max(axis=0))).T
  order = np.argsort(distance, axis=1, kind="stable")
  order = order[:, : max(k1 + 1, k2)].astype(np.int32)
  sets = _neighbourhoods(order, k1)
  sets.weigh(distance[sets.rows(), sets.items])
  sets = _averaged(sets, order, k2)
  gallery = slice(queries, len(distance))
  columns = _Columns(sets, gallery)
  result = np.empty((queries, len(distance) - queries), np.float32)
  for i in range(0, queries, _PROBES):
    probes = slice(i, min(i + _PROBES, queries))
    result[probes] = _mixed(
      columns.jaccard(sets, probes), distance[probes, gallery], lambda_value
    )
  return result


def rerank(
  probe: Any,
  gallery: Any,
  k1: int = 6,
  k2: int = 6,
  lambda_value: float = 0.3,
  metric: str = "euclidean",
  memory_gib: float = 1.0,
) -> Iterator[tuple[slice, slice, np.ndarray]]:
  """Re-ranks embeddings without ever holding a matrix of all items.

  All distances are computed twice (the neighbours; the largest of each item and
  those within neighbourhoods), those of probes to the gallery once more. Of
  several processes, which all have to call it, each computes those of a part of
  the items, and re-ranks for a part of the probes.

  Args:
    probe: finite, `[q, p, d]`, float16 or float32: an array, or what has a
      length, a shape, a dtype and slices.
    gallery: `[m, p, d]`, likewise.
    k1: see `rerank_distances`.
    k2: see `rerank_distances`.
    lambda_value: see `rerank_distances`.
    metric: of `distances.METRICS`.
    memory_gib: bound of the blocks that are in memory at once. The weights
      come on top: about 50 bytes each, some tens of them an item.

  Yields:
    A slice of the probes, a slice of the gallery and their distances, float32
    `[k, l]`: all of this process's probes (`together.share`) with the first
    items, then with the next.

  Raises:
    errors.UserError: no probe or no gallery, k1, k2 or lambda_value out of
      range, too small a budget, distances that are not finite.
    ValueError: unknown metric, or other shapes.
  """
  queries, k1, k2 = len(probe), int(k1), int(k2)
  _check(queries, len(gallery), k1, k2, lambda_value)
  items = _Joined(probe, gallery)
  sets, largest = _weighted(items, k1, k2, metric, memory_gib)
  mine = _Part(probe, together.share(queries))
  blocks = blocks_lib.Blocks(mine, gallery, metric, memory_gib / 2)
  before = None
  for block in blocks:
    p, g = mine.rows(block.probes), block.gallery
    if g != before:
      columns = _Columns(sets, slice(queries + g.start, queries + g.stop))
      before = g
    distance = blocks.distances_on_host(block) / largest[p, None]
    yield p, g, _mixed(columns.jaccard(sets, p), distance, lambda_value)


def _weighted(
  items: "_Joined", k1: int, k2: int, metric: str, memory_gib: float
) -> tuple["_Sets", np.ndarray]:
  """The neighbourhoods of all items, and the largest distance of each `[n]`."""
  wanted = min(max(k1 + 1, k2), len(items))
  mine = _Part(items, together.share(len(items)))
  _, order = together.at_once(
    lambda: neighbours.nearest(mine, items, wanted, metric, memory_gib),
    "find neighbours",
  )
  order = together.joined_shares(order, len(items))
  sets = _neighbourhoods(order, k1)
  # Half of the budget: matrices of a block are on the host, too.
  blocks = blocks_lib.Blocks(mine, items, metric, memory_gib / 2)
  largest = np.zeros(len(items), np.float32)
  inside = np.zeros(len(sets.items), np.float32)
  for block in blocks:
    p, g = mine.rows(block.probes), block.gallery
    distance = blocks.distances_on_host(block)
    np.maximum(largest[p], distance.max(axis=1), out=largest[p])
    entries = np.arange(sets.start[p.start], sets.start[p.stop])
    column = sets.items[entries]
    here = (column >= g.start) & (column < g.stop)
    row = sets.rows(p)[here] - p.start
    inside[entries[here]] = distance[row, column[here] - g.start]
  largest = together.joined_shares(largest[mine.part], len(items))
  first, last = sets.start[mine.part.start], sets.start[mine.part.stop]
  inside = together.joined(
    inside[first:last],
    [
      int(sets.start[part.stop] - sets.start[part.start])
      for part in together.shares(len(items))
    ],
  )
  largest = _positive(largest)
  sets.weigh(inside / largest[sets.rows()])
  return _averaged(sets, order, k2), largest


@dataclasses.dataclass(frozen=True)
class _Joined:
  """The probes, then the gallery; sliced like an array."""

  probe: Any
  gallery: Any

  @property
  def shape(self) -> tuple[int, ...]:
    if tuple(self.probe.shape[1:]) != tuple(self.gallery.shape[1:]):
      raise ValueError(
        f"probes are {list(self.probe.shape)} and the gallery is "
        f"{list(self.gallery.shape)}; give both the same parts and channels"
      )
    return (len(self), *self.probe.shape[1:])

  @property
  def dtype(self) -> np.dtype:
    return np.promote_types(self.probe.dtype, self.gallery.dtype)

  def __len__(self) -> int:
    return len(self.probe) + len(self.gallery)

  def __getitem__(self, part: slice) -> np.ndarray:
    first, last, _ = part.indices(len(self))
    q = len(self.probe)
    pieces = (
      self.probe[min(first, q) : min(last, q)],
      self.gallery[max(first - q, 0) : max(last - q, 0)],
    )
    return np.concatenate([np.asarray(x) for x in pieces if len(x)])


@dataclasses.dataclass(frozen=True)
class _Part:
  """A part of some items; sliced like an array.

  Attributes:
    whole: the items.
    part: of them.
  """

  whole: Any
  part: slice

  @property
  def shape(self) -> tuple[int, ...]:
    return (len(self), *self.whole.shape[1:])

  @property
  def dtype(self) -> np.dtype:
    return self.whole.dtype

  def __len__(self) -> int:
    return self.part.stop - self.part.start

  def __getitem__(self, part: slice) -> np.ndarray:
    return self.whole[self.rows(part)]

  def rows(self, part: slice) -> slice:
    """The rows of the whole that are rows of this part."""
    first, last, _ = part.indices(len(self))
    return slice(self.part.start + first, self.part.start + last)


class _Sets:
  """A set of items for every item, with weights.

  Attributes:
    start: int64 `[n + 1]`; the set of i is from `start[i]` to `start[i + 1]`.
    items: int `[z]`, ascending within a set.
    values: float16 `[z]`, the weights.
  """

  def __init__(self, keys: np.ndarray, n: int, values: Any = None):
    """Keys are row * n + item, ascending."""
    self.start = np.searchsorted(keys, np.arange(n + 1) * n)
    self.items = keys % n
    self.values = values

  def rows(self, part: slice = slice(None)) -> np.ndarray:
    """For every member of the sets of a slice, the item whose set it is in."""
    first, last, _ = part.indices(len(self.start) - 1)
    sizes = np.diff(self.start[first : last + 1])
    return np.repeat(np.arange(first, last), sizes)

  def weigh(self, distance: np.ndarray) -> None:
    """Sets the weights, of float32 distances `[z]`."""
    weight = np.exp(-distance)
    sizes = np.diff(self.start)
    total = np.ones(len(sizes), np.float32)
    for size in np.unique(sizes[sizes > 0]):
      # Rows of one length: each is summed as the reference sums it.
      of = np.flatnonzero(sizes == size)
      total[of] = weight[self.start[of, None] + np.arange(size)].sum(axis=1)
    self.values = (weight / np.repeat(total, sizes)).astype(np.float16)


class _Columns:
  """Finds the sets, of a slice of the items, that contain a given item."""

  def __init__(self, sets: _Sets, part: slice):
    n = len(sets.start) - 1
    entries = slice(sets.start[part.start], sets.start[part.stop])
    items = sets.items[entries]
    order = np.argsort(items, kind="stable")
    self._start = np.searchsorted(items[order], np.arange(n + 1))
    self._rows = (sets.rows(part) - part.start)[order]
    self._values = sets.values[entries][order]
    self._count = part.stop - part.start

  def jaccard(self, sets: _Sets, probes: slice) -> np.ndarray:
    """Jaccard distances of the sets of probes, float16 `[k, l]`."""
    start = sets.start[probes]
    sizes = sets.start[probes.start + 1 : probes.stop + 1] - start
    common = np.zeros((len(sizes), self._count), np.float16)
    # In the order of the items: float16 sums depend on it.
    for i in range(np.max(sizes, initial=0)):
      row = np.flatnonzero(sizes > i)
      at = start[row] + i
      item = sets.items[at]
      first, count = self._start[item], np.diff(self._start)[item]
      there = _ragged(first, count)
      common[np.repeat(row, count), self._rows[there]] += np.minimum(
        np.repeat(sets.values[at], count), self._values[there]
      )
    return 1 - common / (2 - common)


def _neighbourhoods(order: np.ndarray, k1: int) -> _Sets:
  """Mutual neighbours of every item, and those of its close neighbours.

  Args:
    order: the nearest of every item, int32 `[n, k]`, k > k1 unless k is n.
    k1: see `rerank_distances`.
  """
  n = len(order)
  near = order[:, : k1 + 1]
  close = order[:, : int(np.around(k1 / 2)) + 1]
  near_mutual, close_mutual = _mutual(near), _mutual(close)
  result = [np.zeros(0, np.int64)]
  for rows in _parts(n, near.shape[1] ** 2 * close.shape[1]):
    items, kept = near[rows], near_mutual[rows]
    added, mutual = close[items], close_mutual[items]
    shared = (added[..., None] == items[:, None, None, :]) & (
      kept[:, None, None, :]
    )
    count = np.sum(shared.any(axis=-1) & mutual, axis=-1)
    # Added if two thirds of a neighbour's neighbours are in the set already.
    taken = kept & (count > 2 / 3 * mutual.sum(axis=-1))
    key = np.arange(n)[rows] * n
    keys = (
      (key[:, None] + items)[kept],
      (key[:, None, None] + added)[mutual & taken[..., None]],
    )
    result.append(np.unique(np.concatenate(keys)))
  return _Sets(np.concatenate(result), n)


def _mutual(near: np.ndarray) -> np.ndarray:
  """Which neighbours `[n, k]` are mutual: the item is among their nearest."""
  result = np.zeros(near.shape, bool)
  for rows in _parts(len(near), near.shape[1] ** 2):
    item = np.arange(len(near))[rows, None, None]
    result[rows] = (near[near[rows]] == item).any(axis=-1)
  return result


def _averaged(sets: _Sets, order: np.ndarray, k2: int) -> _Sets:
  """The mean of the weights of the k2 nearest."""
  if k2 == 1:
    return sets
  n = len(order)
  near = order[:, :k2]
  sizes = np.diff(sets.start)
  keys, values = [np.zeros(0, np.int64)], [np.zeros(0, np.float16)]
  most = near.shape[1] * max(int(np.max(sizes, initial=0)), 1)
  for rows in _parts(n, most):
    parts = []
    for of in near[rows].T:
      members = _ragged(sets.start[of], sizes[of])
      row = np.repeat(np.arange(n)[rows], sizes[of])
      parts.append((row * n + sets.items[members], sets.values[members]))
    found, where = np.unique(
      np.concatenate([key for key, _ in parts]), return_inverse=True
    )
    total = np.zeros(len(found), np.float32)
    first = 0
    for key, value in parts:  # the nearest first: sums depend on the order
      total[where[first : first + len(key)]] += value
      first += len(key)
    keys.append(found)
    values.append((total / near.shape[1]).astype(np.float16))
  return _Sets(np.concatenate(keys), n, np.concatenate(values))


def _mixed(
  jaccard: np.ndarray, distance: np.ndarray, lambda_value: float
) -> np.ndarray:
  """The result: float16 and float32 shares, as the reference adds them."""
  share = float(lambda_value)
  return jaccard * (1 - share) + distance * share


def _positive(largest: np.ndarray) -> np.ndarray:
  """Divisors: 1 for items that are all the same and have no distance."""
  return np.where(largest > 0, largest, np.float32(1))


def _parts(n: int, values: int) -> Iterator[slice]:
  """Slices of n rows that make no more than `_VALUES` values.

  Args:
    n: number of rows.
    values: that are made for one row.
  """
  step = max(_VALUES // values, 1)
  for i in range(0, n, step):
    yield slice(i, min(i + step, n))


def _ragged(first: np.ndarray, count: np.ndarray) -> np.ndarray:
  """Joins ranges: count[i] numbers from first[i] on, for every i."""
  before = np.cumsum(count) - count
  return np.repeat(first - before, count) + np.arange(count.sum())


def _check(
  queries: int, gallery: int, k1: int, k2: int, lambda_value: float
) -> None:
  if queries < 1 or gallery < 1:
    raise errors.UserError(
      f"re-ranking {max(queries, 0)} probes in a gallery of {max(gallery, 0)} "
      "items; give at least one of each"
    )
  if k1 < 1 or k2 < 1 or not 0 <= lambda_value <= 1:
    raise errors.UserError(
      f"re-ranking has k1 {k1}, k2 {k2} and lambda {lambda_value:g}; give k1 "
      "and k2 of 1 or more and a lambda from 0 to 1"
    )
