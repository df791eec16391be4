"""Finds the ranks of gallery items."""

from collections.abc import Callable
from collections.abc import Iterator
from collections.abc import Sequence
import math
from typing import Any

import jax
import numpy as np

from gaitkd_jax import errors
from gaitkd_jax.evaluation import search
from gaitkd_jax.evaluation.protocols import rank_blocks
from gaitkd_jax.evaluation.protocols import ranks as ranks_lib
from gaitkd_jax.hosts import together

# If a probe has more right items than this, distances are sorted instead of
# compared with each.
_MANY = 64
# Codes of the probes and of the items of a block: subjects and views.
_Codes = Callable[[search.Block], tuple[jax.Array, jax.Array]]


class Ranker:
  """Ranks some rows of a set of embeddings for other rows.

  Equal distances are ranked in the order of the gallery. The ranks are exact,
  though only blocks of distances are in memory: a right item's rank is one more
  than the number of items ahead of it, which adds up over blocks. Where the
  gallery is more than one block, distances of the right items are found first;
  blocks without any are not computed for that.

  Of several processes each ranks for a part of the probes, and all get all
  ranks: `first_matches`, `first_matches_by_view` and `all_matches` are to be
  called by all of them. Blocks are those of this process.

  Attributes:
    embeddings: finite, `[n, p, d]`.
    subjects: int32 `[n]`, codes from 0.
    metric: of `distances.METRICS`.
    memory_gib: bound of the blocks that are in memory at once.
    longest: no distance of the set is longer.
  """

  def __init__(
    self,
    embeddings: Any,
    subjects: np.ndarray,
    metric: str,
    memory_gib: float = 1.0,
    devices: Sequence[jax.Device] | None = None,
  ):
    """Measures the range of the embeddings.

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
      # In float64, since squares may be too large for float32.
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
    """The rank of the nearest gallery item of each probe's subject.

    Args:
      probes: int `[a]`, rows.
      gallery: int `[b]`, rows.

    Returns:
      int32 `[a]`, from 1; `ranks.ABSENT` where the gallery lacks the subject.
    """
    whole = np.zeros(len(gallery), np.int32)
    return self._first_matches(probes, gallery, whole, 1)[:, 0]

  def first_matches_by_view(
    self, probes: np.ndarray, gallery: np.ndarray, views: np.ndarray
  ) -> tuple[np.ndarray, np.ndarray]:
    """`first_matches` in each view of the gallery as if it were all of it.

    Args:
      probes: int `[a]`, rows.
      gallery: int `[b]`, rows.
      views: `[b]`, of the gallery.

    Returns:
      int32 `[a, w]`, and the w views, ascending.
    """
    names, codes = np.unique(views, return_inverse=True)
    codes = codes.astype(np.int32)
    return self._first_matches(probes, gallery, codes, len(names)), names

  def all_matches(
    self,
    probes: np.ndarray,
    gallery: np.ndarray,
    views: np.ndarray | None = None,
  ) -> list[np.ndarray]:
    """The ranks of all gallery items of each probe's subject.

    Args:
      probes: int `[a]`, rows.
      gallery: int `[b]`, rows.
      views: `[n]`; if given, gallery items of the probe's subject and view are
        left out before ranking.

    Returns:
      For each probe its ranks, ascending, from 1; none where the gallery lacks
      the subject.
    """
    if views is not None:
      views = np.unique(views, return_inverse=True)[1].astype(np.int32)
    matching = self._matching_items(probes, gallery, views)
    sizes = np.array([len(items) for items in matching], np.int64)
    mine = together.share(len(probes))
    ranks = self._all_matches(probes[mine], gallery, views, matching[mine])
    every = together.joined(
      np.concatenate([np.zeros(0, np.int32), *ranks]),
      [int(sizes[part].sum()) for part in together.shares(len(probes))],
    )
    return np.split(every, np.cumsum(sizes)[:-1]) if len(probes) else []

  def _all_matches(
    self,
    probes: np.ndarray,
    gallery: np.ndarray,
    views: np.ndarray | None,
    matching: list[np.ndarray],
  ) -> list[np.ndarray]:
    """`all_matches` of this process's probes.

    Args:
      probes: int `[a]`, rows.
      gallery: int `[b]`, rows.
      views: int32 `[n]`, codes, or None.
      matching: of `_matching_items`.
    """
    if not len(probes) or not len(gallery):
      return [np.zeros(0, np.int32) for _ in probes]
    if max(map(len, matching)) > _MANY:
      return self._many_matches(probes, gallery, views, matching)
    blocks, codes = self._blocks(probes, gallery, views)
    matches: rank_blocks.Matches = {}
    for p in blocks.probe_slices:
      positions = rank_blocks.padded(matching[p], blocks.probe_rows)
      unseen = np.full(positions.shape, np.inf, np.float32)
      matches[p.start] = unseen, positions

    def find(block: search.Block, distance: jax.Array) -> None:
      found, positions = matches[block.probes.start]
      found = rank_blocks.match_distances(
        found, positions, distance, np.int32(block.gallery.start)
      )
      matches[block.probes.start] = found, positions

    def has_match(p: slice, g: slice) -> bool:
      _, positions = matches[p.start]
      return bool(((positions >= g.start) & (positions < g.stop)).any())

    def count_ahead(block: search.Block, distance: jax.Array) -> jax.Array:
      return rank_blocks.count_ahead(
        distance,
        *matches[block.probes.start],
        *codes(block),
        np.int32(block.gallery.start),
      )

    ahead = rank_blocks.add_up(blocks, has_match, find, count_ahead, matches)
    result = []
    for p in blocks.probe_slices:
      ranks = 1 + ahead[p.start]
      result += [
        np.sort(ranks[i, : len(items)]) for i, items in enumerate(matching[p])
      ]
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
      yield block.probes, block.gallery, blocks.distances_on_host(block)

  def blocks_on_device(
    self,
    probes: np.ndarray,
    gallery: np.ndarray,
    views: np.ndarray | None = None,
  ) -> Iterator[tuple[jax.Array, jax.Array, jax.Array]]:
    """Blocks of distances on the device, with subjects and views.

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

  def _first_matches(
    self,
    probes: np.ndarray,
    gallery: np.ndarray,
    groups: np.ndarray,
    count: int,
  ) -> np.ndarray:
    """The rank of the nearest right item in each of some groups.

    Args:
      probes: int `[a]`, rows.
      gallery: int `[b]`, rows.
      groups: int32 `[b]`, codes from 0, of the gallery.
      count: of the groups.

    Returns:
      int32 `[a, count]`, from 1; `ranks.ABSENT` where there is no right item.
    """
    mine = probes[together.share(len(probes))]
    found = self._first_matches_of(mine, gallery, groups, count)
    return together.joined_shares(found, len(probes))

  def _first_matches_of(
    self,
    probes: np.ndarray,
    gallery: np.ndarray,
    groups: np.ndarray,
    count: int,
  ) -> np.ndarray:
    """`_first_matches` of this process's probes."""
    result = np.full((len(probes), count), ranks_lib.ABSENT, np.int32)
    if not len(probes) or not len(gallery):
      return result
    blocks, _ = self._blocks(probes, gallery)
    members = rank_blocks.Members(self.subjects[gallery])
    nothing = (
      np.full((blocks.probe_rows, count), np.inf, np.float32),
      np.zeros((blocks.probe_rows, count), np.int32),
    )
    nearest: rank_blocks.Matches = {}

    def groups_of(block: search.Block) -> jax.Array:
      return blocks.put_gallery(groups[block.gallery], fill=-1)

    def find(block: search.Block, distance: jax.Array) -> None:
      p, g = block.probes, block.gallery
      positions = members.within(self.subjects[probes[p]], g, blocks.probe_rows)
      nearest[p.start] = rank_blocks.nearest_matches(
        nearest.get(p.start, nothing),
        distance,
        positions,
        groups_of(block),
        np.int32(g.start),
      )

    def count_ahead(block: search.Block, distance: jax.Array) -> jax.Array:
      return rank_blocks.count_ahead_in_groups(
        distance,
        *nearest[block.probes.start],
        groups_of(block),
        np.int32(block.gallery.start),
      )

    def has_match(p: slice, g: slice) -> bool:
      return bool(
        np.isin(self.subjects[probes[p]], self.subjects[gallery[g]]).any()
      )

    ahead = rank_blocks.add_up(blocks, has_match, find, count_ahead, nearest)
    for p in blocks.probe_slices:
      if p.start in nearest:
        distance, _ = jax.device_get(nearest[p.start])
        rank = 1 + ahead[p.start]
        rank = np.where(np.isfinite(distance), rank, ranks_lib.ABSENT)
        result[p] = rank[: p.stop - p.start]
    return result

  def _many_matches(
    self,
    probes: np.ndarray,
    gallery: np.ndarray,
    views: np.ndarray | None,
    matching: list[np.ndarray],
  ) -> list[np.ndarray]:
    """`all_matches`, by sorting the distances of each probe.

    Args:
      probes: int `[a]`, rows.
      gallery: int `[b]`, rows.
      views: int32 `[n]`, codes, or None.
      matching: of `_matching_items`.
    """
    blocks, _ = self._blocks(probes, gallery, share=1 / 3)
    match_keys = [np.zeros(len(items), np.int64) for items in matching]
    ahead = [np.zeros(len(items), np.int64) for items in matching]

    def keys(block: search.Block) -> np.ndarray:
      return rank_blocks.sort_keys(
        blocks.distances_on_host(block), block.gallery.start
      )

    def find(block: search.Block, key: np.ndarray) -> None:
      g = block.gallery
      for i, line in enumerate(key, block.probes.start):
        here = (matching[i] >= g.start) & (matching[i] < g.stop)
        match_keys[i][here] = line[matching[i][here] - g.start]

    def count(block: search.Block, key: np.ndarray) -> None:
      p, items = block.probes, gallery[block.gallery]
      if views is not None:
        out = self._same_subject(probes[p], items)
        out &= views[probes[p]][:, None] == views[items][None, :]
        key[out] = np.iinfo(np.int64).max
      key.sort(axis=1)
      for i, line in enumerate(key, p.start):
        ahead[i] += np.searchsorted(line, match_keys[i])

    together = len(blocks.gallery_slices) == 1
    for block in () if together else blocks:
      find(block, keys(block))
    for block in blocks:
      key = keys(block)
      if together:
        find(block, key)
      count(block, key)
    return [np.sort(1 + n).astype(np.int32) for n in ahead]

  def _same_subject(
    self, probes: np.ndarray, gallery: np.ndarray
  ) -> np.ndarray:
    """Whether the subjects are the same: bool `[a, b]`."""
    return self.subjects[probes][:, None] == self.subjects[gallery][None, :]

  def _blocks(
    self,
    probes: np.ndarray,
    gallery: np.ndarray,
    views: np.ndarray | None = None,
    share: float = 1.0,
  ) -> tuple[search.Blocks, _Codes]:
    """The blocks, and the function that gives the codes of one.

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

    def codes(block: search.Block) -> tuple[jax.Array, jax.Array]:
      return (
        blocks.put_probes(labels[probes[block.probes]], fill=-2),
        blocks.put_gallery(labels[gallery[block.gallery]], fill=-1),
      )

    return blocks, codes

  def _matching_items(
    self, probes: np.ndarray, gallery: np.ndarray, views: np.ndarray | None
  ) -> list[np.ndarray]:
    """For each probe the positions of its subject in the gallery, ascending."""
    order = np.argsort(self.subjects[gallery], kind="stable")
    ordered = self.subjects[gallery][order]
    first = np.searchsorted(ordered, self.subjects[probes], "left")
    last = np.searchsorted(ordered, self.subjects[probes], "right")
    found = [order[i:j] for i, j in zip(first, last, strict=True)]
    if views is None:
      return found
    return [
      items[views[gallery[items]] != views[probe]]
      for items, probe in zip(found, probes, strict=True)
    ]
