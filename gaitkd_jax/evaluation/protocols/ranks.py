"""Ranks of the right gallery items; the only place that sees distances."""

from collections.abc import Iterator
from collections.abc import Sequence
import math

import jax
import jax.numpy as jnp
import numpy as np

from gaitkd_jax import errors
from gaitkd_jax.evaluation import search

# With more right items than this a block is sorted, not compared with each.
_MANY = 64
# The rank of a subject who is not in the gallery: beyond every rank.
ABSENT = np.iinfo(np.int32).max


class Ranker:
  """Searches rows of a set of embeddings in other rows.

  Equal distances are ranked in the order of the gallery. The ranks are exact,
  though only blocks of distances are in memory: a right item's rank is one more
  than the number of items ahead of it, which adds up over blocks. Where the
  gallery is more than one block, distances of the right items are found first;
  blocks without any are not computed for that.
  """

  def __init__(
    self,
    embeddings: np.ndarray,
    subjects: np.ndarray,
    metric: str,
    memory_gib: float = 1.0,
    devices: Sequence[jax.Device] | None = None,
  ):
    """Keeps the set.

    Args:
      embeddings: finite, `[n, p, d]`.
      subjects: str `[n]`.
      metric: of `distances.METRICS`.
      memory_gib: bound of the blocks that are in memory at once.
      devices: by default those of this process.

    Raises:
      errors.UserError: distances are beyond float32.
    """
    self.embeddings = embeddings
    self.subjects = np.unique(subjects, return_inverse=True)[1].astype(np.int32)
    self.metric = metric
    self.memory_gib = memory_gib
    self._devices = devices
    largest = 0.0
    for i in range(0, len(embeddings), 4096):
      block = np.asarray(embeddings[i : i + 4096], np.float32)
      # Squares may be too large for float32; that is what is found out here.
      squares = np.einsum("npd,npd->np", block, block, dtype=np.float64)
      largest = max(largest, float(squares.max(initial=0.0)))
    if 4 * largest > float(np.finfo(np.float32).max):
      raise errors.UserError(
        f"distances are beyond float32 (embeddings reach {largest**0.5:.3g}); "
        "the network or its checkpoint is broken"
      )
    # No distance is longer, by the triangle inequality. A power of two, so
    # that rounding of the embeddings does not move it.
    bound = 1.0 if metric == "cosine" else max(largest, 1e-30) ** 0.5
    self.longest = 2.0 ** (1 + math.ceil(math.log2(bound)))

  def first_matches(
    self, probes: np.ndarray, gallery: np.ndarray
  ) -> np.ndarray:
    """The rank of the nearest gallery item of each probe's own subject.

    Args:
      probes: int `[a]`, rows.
      gallery: int `[b]`, rows.

    Returns:
      int32 `[a]`, from 1; `ABSENT` where the gallery lacks the subject.
    """
    result = np.full(len(probes), ABSENT, np.int32)
    if not len(probes) or not len(gallery):
      return result
    blocks, codes = self._blocks(probes, gallery)
    nearest = {}

    def find(block, distance):
      own, items = codes(block)
      start = block.probes.start
      nearest[start] = _nearest_own(
        nearest.get(start, _nothing(len(own), 1)),
        distance,
        own,
        items,
        np.int32(block.gallery.start),
      )

    def has_own(p, g):
      return bool(
        np.isin(self.subjects[probes[p]], self.subjects[gallery[g]]).any()
      )

    ahead = self._count(blocks, codes, has_own, find, nearest)
    for p in blocks.probe_slices:
      if p.start in nearest:
        found, _ = jax.device_get(nearest[p.start])
        rank = 1 + np.asarray(ahead[p.start])
        rank = np.where(np.isfinite(found), rank, ABSENT)
        result[p] = rank[: p.stop - p.start, 0]
    return result

  def all_matches(
    self,
    probes: np.ndarray,
    gallery: np.ndarray,
    views: np.ndarray | None = None,
  ) -> list[np.ndarray]:
    """The ranks of all gallery items of each probe's own subject.

    Args:
      probes: int `[a]`, rows.
      gallery: int `[b]`, rows.
      views: `[n]`; if given, gallery items of the probe's own subject and view
        are left out before ranking.

    Returns:
      For each probe its ranks, ascending, from 1; none where the gallery lacks
      the subject.
    """
    if not len(probes) or not len(gallery):
      return [np.zeros(0, np.int32) for _ in probes]
    if views is not None:
      views = np.unique(views, return_inverse=True)[1].astype(np.int32)
    blocks, codes = self._blocks(probes, gallery, views)
    rows = self._own_items(probes, gallery, views)
    if max(map(len, rows)) > _MANY:
      return self._many_matches(probes, gallery, views, rows)
    positions = {
      p.start: _padded(rows[p], blocks.probe_rows) for p in blocks.probe_slices
    }
    own = {
      start: (np.full(at.shape, np.inf, np.float32), at)
      for start, at in positions.items()
    }

    def find(block, distance):
      start = block.probes.start
      found, at = own[start]
      own[start] = (
        _own_distances(found, at, distance, np.int32(block.gallery.start)),
        at,
      )

    def has_own(p, g):
      at = positions[p.start]
      return bool(((at >= g.start) & (at < g.stop)).any())

    ahead = self._count(blocks, codes, has_own, find, own)
    result = []
    for p in blocks.probe_slices:
      ranks = 1 + np.asarray(ahead.get(p.start, positions[p.start]))
      result += [np.sort(ranks[i, : len(at)]) for i, at in enumerate(rows[p])]
    return result

  def blocks(
    self, probes: np.ndarray, gallery: np.ndarray
  ) -> Iterator[tuple[slice, slice, np.ndarray]]:
    """Distances float32 `[k, m]` of slices of the probes and of the gallery.

    The blocks take a third of the budget: what is made of a matrix on the host
    is some times its size.
    """
    blocks, _ = self._blocks(probes, gallery, share=1 / 3)
    for block in blocks:
      p, g = block.probes, block.gallery
      distance = np.asarray(blocks.distances(block))
      yield p, g, distance[: p.stop - p.start, : g.stop - g.start]

  def blocks_on_device(
    self,
    probes: np.ndarray,
    gallery: np.ndarray,
    views: np.ndarray | None = None,
  ) -> Iterator[tuple[jax.Array, jax.Array, jax.Array]]:
    """Blocks as `search.Blocks` computes them, and whose they are.

    Args:
      probes: int `[a]`, rows.
      gallery: int `[b]`, rows.
      views: int32 `[n]`, codes from 0; None: -1 everywhere.

    Yields:
      Distances float32 `[k, m]`, and codes int32 `[k, 2]` of the probes and
      `[m, 2]` of the items: subject and view. What only fills up a block is of
      subject -2 (probes) or -1 (items).
    """
    blocks, codes = self._blocks(probes, gallery, views)
    for block in blocks:
      yield blocks.distances(block), *codes(block)

  def _many_matches(self, probes, gallery, views, rows) -> list[np.ndarray]:
    """`all_matches`, by sorting the distances of each probe.

    Args:
      probes: int `[a]`, rows.
      gallery: int `[b]`, rows.
      views: int32 `[n]`, codes, or None.
      rows: of `_own_items`.
    """
    blocks, _ = self._blocks(probes, gallery, share=1 / 3)
    own = [np.zeros(len(at), np.int64) for at in rows]
    ahead = [np.zeros(len(at), np.int64) for at in rows]

    def keys(block):
      p, g = block.probes, block.gallery
      distance = np.asarray(blocks.distances(block))
      return _sort_keys(
        distance[: p.stop - p.start, : g.stop - g.start], g.start
      )

    def find(block, key):
      g = block.gallery
      for i, line in enumerate(key, block.probes.start):
        here = (rows[i] >= g.start) & (rows[i] < g.stop)
        own[i][here] = line[rows[i][here] - g.start]

    def count(block, key):
      p, items = block.probes, gallery[block.gallery]
      if views is not None:
        out = self._same(probes[p], items)
        out &= views[probes[p]][:, None] == views[items][None, :]
        key[out] = np.iinfo(np.int64).max
      key.sort(axis=1)
      for i, line in enumerate(key, p.start):
        ahead[i] += np.searchsorted(line, own[i])

    together = len(blocks.gallery_slices) == 1
    for block in () if together else blocks:
      find(block, keys(block))
    for block in blocks:
      key = keys(block)
      if together:
        find(block, key)
      count(block, key)
    return [np.sort(1 + n).astype(np.int32) for n in ahead]

  def _same(self, probes: np.ndarray, gallery: np.ndarray) -> np.ndarray:
    """Whether the subjects are the same: bool `[a, b]`."""
    return self.subjects[probes][:, None] == self.subjects[gallery][None, :]

  def _blocks(self, probes, gallery, views=None, share=1.0):
    """The blocks, and the function that gives one's codes.

    Codes are int32 `[k, 2]` of the probes and `[m, 2]` of the items: subject,
    and view or -1; what only fills up is of subject -2 and -1.
    """
    blocks = search.Blocks(
      search.Rows(self.embeddings, probes),
      search.Rows(self.embeddings, gallery),
      self.metric,
      self.memory_gib * share,
      self._devices,
    )
    if views is None:
      views = np.full(len(self.subjects), -1, np.int32)
    labels = np.stack([self.subjects, views], axis=1)

    def codes(block):
      return (
        blocks.put_probes(labels[probes[block.probes]], fill=-2),
        blocks.put_gallery(labels[gallery[block.gallery]], fill=-1),
      )

    return blocks, codes

  def _own_items(self, probes, gallery, views) -> list[np.ndarray]:
    """For each probe the positions of its subject in the gallery, ascending."""
    order = np.argsort(self.subjects[gallery], kind="stable")
    ordered = self.subjects[gallery][order]
    first = np.searchsorted(ordered, self.subjects[probes], "left")
    last = np.searchsorted(ordered, self.subjects[probes], "right")
    rows = [order[i:j] for i, j in zip(first, last, strict=True)]
    if views is not None:
      rows = [
        own[views[gallery[own]] != views[probe]]
        for own, probe in zip(rows, probes, strict=True)
      ]
    return rows

  @staticmethod
  def _count(blocks, codes, has_own, find, own):
    """Counts what is ahead of the right items, which `find` finds.

    Returns:
      By the first row of a block of probes, int32 `[k, matches]`.
    """
    together = len(blocks.gallery_slices) == 1
    if not together:
      for block in blocks.where(has_own):
        find(block, blocks.distances(block))
    ahead = {}
    for block in blocks:
      distance = blocks.distances(block)
      start = block.probes.start
      if together:
        find(block, distance)
      if start not in own:  # none of these probes has its subject there
        continue
      probe_codes, item_codes = codes(block)
      more = _ahead(
        distance,
        *own[start],
        probe_codes,
        item_codes,
        np.int32(block.gallery.start),
      )
      # Waits, so that no more than two blocks are in memory.
      ahead[start] = ahead.get(start, 0) + np.asarray(more)
    return ahead


def _sort_keys(distance: np.ndarray, start: int) -> np.ndarray:
  """Numbers in the order of (distance, position): int64 `[k, m]`."""
  # As integers, floats are in order; those below zero in the reverse one.
  bits = (distance + np.float32(0)).view(np.int32)
  bits = np.where(bits < 0, bits ^ np.int32(0x7FFFFFFF), bits).astype(np.int64)
  return (bits << 32) | (start + np.arange(distance.shape[1]))[None, :]


def _nothing(rows: int, matches: int):
  return (
    np.full((rows, matches), np.inf, np.float32),
    np.zeros((rows, matches), np.int32),
  )


def _padded(rows: list[np.ndarray], count: int) -> np.ndarray:
  """Positions int32 `[count, matches]`, -1 where there are fewer."""
  most = max([1, *map(len, rows)])
  # Few numbers of matches, so that few programs are compiled.
  result = np.full((count, 1 << (most - 1).bit_length()), -1, np.int32)
  for i, row in enumerate(rows):
    result[i, : len(row)] = row
  return result


@jax.jit
def _nearest_own(before, distance, probe_codes, item_codes, start):
  """The nearest own item and its position, `[k, 1]` each."""
  same = probe_codes[:, :1] == item_codes[:, 0][None, :]
  own = jnp.where(same, distance, jnp.inf)
  column = jnp.argmin(own, axis=1)[:, None]
  value = jnp.min(own, axis=1)[:, None]
  closer = value < before[0]
  return (
    jnp.where(closer, value, before[0]),
    jnp.where(closer, start + column.astype(jnp.int32), before[1]),
  )


@jax.jit
def _own_distances(found, positions, distance, start):
  """Takes the distances of items at positions `[k, matches]` of the gallery."""
  column = start + jnp.arange(distance.shape[1], dtype=jnp.int32)

  def one(match, found):
    here = column[None, :] == positions[:, match][:, None]
    value = jnp.min(jnp.where(here, distance, jnp.inf), axis=1)
    return found.at[:, match].min(value)

  return jax.lax.fori_loop(0, positions.shape[1], one, jnp.asarray(found))


@jax.jit
def _ahead(distance, own, positions, probe_codes, item_codes, start):
  """Items of a block that are ahead of each right one: int32 `[k, matches]`."""
  column = start + jnp.arange(distance.shape[1], dtype=jnp.int32)
  # Items that fill up are of subject -1; views of -1 leave nothing out.
  out = (probe_codes[:, :1] == item_codes[:, 0][None, :]) & (
    (probe_codes[:, 1:] == item_codes[:, 1][None, :])
    & (probe_codes[:, 1:] >= 0)
  )
  kept = ~out & (item_codes[:, 0] >= 0)[None, :]

  def one(match, count):
    of, at = own[:, match][:, None], positions[:, match][:, None]
    first = (distance < of) | ((distance == of) & (column[None, :] < at))
    return count.at[:, match].set(
      jnp.sum(first & kept, axis=1, dtype=jnp.int32)
    )

  count = jnp.zeros(own.shape, jnp.int32)
  return jax.lax.fori_loop(0, own.shape[1], one, count)
