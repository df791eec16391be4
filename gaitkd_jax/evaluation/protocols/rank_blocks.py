"""Ranks within one block of distances, and how `ranker.Ranker` adds them up."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from gaitkd_jax.evaluation import search

# By the first row of a block of probes: distances of right items and their
# positions in the gallery.
Matches = dict[int, tuple[Any, Any]]


def sort_keys(distance: np.ndarray, start: int) -> np.ndarray:
  """Numbers in the order of (distance, position): int64 `[k, m]`.

  Args:
    distance: float32 `[k, m]`.
    start: position of the first item in the gallery.
  """
  # As integers, floats are in order; those below zero in the reverse one.
  bits = (distance + np.float32(0)).view(np.int32)
  bits = np.where(bits < 0, bits ^ np.int32(0x7FFFFFFF), bits).astype(np.int64)
  return (bits << 32) | (start + np.arange(distance.shape[1]))[None, :]


class Members:
  """Where in a gallery the members of each subject are."""

  def __init__(self, subjects: np.ndarray):
    """Sorts the subjects of the gallery, int `[b]`, codes from 0."""
    self._count = len(subjects)
    self._order = np.argsort(subjects, kind="stable").astype(np.int32)
    # Ascending: by subject, then by position.
    self._keys = self._key(subjects[self._order], self._order)

  def within(self, subjects: np.ndarray, part: slice, rows: int) -> np.ndarray:
    """The positions of subjects in a part of the gallery.

    Args:
      subjects: int `[k]`.
      part: of the gallery.
      rows: of the result, k or more.

    Returns:
      int32 `[rows, r]`, ascending, then -1 where there are fewer; r is a power
      of two, so that few programs are compiled.
    """
    first = np.searchsorted(self._keys, self._key(subjects, part.start))
    last = np.searchsorted(self._keys, self._key(subjects, part.stop))
    most = max(1, np.max(last - first, initial=0))
    place = first[:, None] + np.arange(1 << int(most - 1).bit_length())
    result = np.full((rows, place.shape[1]), -1, np.int32)
    result[: len(subjects)] = np.where(
      place < last[:, None], self._order.take(place, mode="clip"), -1
    )
    return result

  def _key(self, subjects: np.ndarray, positions: Any) -> np.ndarray:
    return subjects.astype(np.int64) * (self._count + 1) + positions


def padded(positions: list[np.ndarray], count: int) -> np.ndarray:
  """Positions int32 `[count, matches]`, -1 where there are fewer."""
  most = max([1, *map(len, positions)])
  # Powers of two, so that few programs are compiled.
  result = np.full((count, 1 << (most - 1).bit_length()), -1, np.int32)
  for i, row in enumerate(positions):
    result[i, : len(row)] = row
  return result


@jax.jit
def nearest_matches(
  before: tuple[jax.Array, jax.Array],
  distance: jax.Array,
  positions: jax.Array,
  groups: jax.Array,
  start: jax.Array,
) -> tuple[jax.Array, jax.Array]:
  """The nearest match of each probe in each group of items, so far.

  Args:
    before: what earlier blocks found: distances float32 `[k, w]` and positions
      int32 `[k, w]` in the gallery, for each of w groups.
    distance: of the block, `[k, m]`.
    positions: int32 `[k, r]`, of the matches in this block, ascending; -1 for
      none.
    groups: int32 `[m]`, of the block's items, from 0.
    start: position of the block's first item.

  Returns:
    As `before`.
  """
  there = positions >= 0
  column = jnp.where(there, positions - start, 0)
  value = jnp.take_along_axis(distance, column, axis=1)
  group = groups[column]

  def of_group(wanted: jax.Array) -> tuple[jax.Array, jax.Array]:
    here = there & (group == wanted)
    candidates = jnp.where(here, value, jnp.inf)
    nearest = jnp.min(candidates, axis=1)
    # Of equal distances the first counts.
    tied = here & (candidates == nearest[:, None])
    last = jnp.iinfo(jnp.int32).max
    return nearest, jnp.min(jnp.where(tied, positions, last), axis=1)

  # In turn: where subjects are few, a probe's matches are a good part of all.
  found = jax.lax.map(of_group, jnp.arange(before[0].shape[1]))
  nearest, position = (x.T for x in found)
  closer = nearest < before[0]
  return (
    jnp.where(closer, nearest, before[0]),
    jnp.where(closer, position, before[1]),
  )


@jax.jit
def count_ahead_in_groups(
  distance: jax.Array,
  match_distance: jax.Array,
  positions: jax.Array,
  groups: jax.Array,
  start: jax.Array,
) -> jax.Array:
  """Counts the items of a block that are ahead of the match in their group.

  Args:
    distance: of the block, `[k, m]`.
    match_distance: float32 `[k, w]`, of one match in each group.
    positions: int32 `[k, w]`, of these in the gallery.
    groups: int32 `[m]`, of the block's items, from 0; -1 only fills up.
    start: position of the block's first item.

  Returns:
    int32 `[k, w]`.
  """
  limit = jnp.take(match_distance, groups, axis=1, mode="clip")
  place = jnp.take(positions, groups, axis=1, mode="clip")
  column = start + jnp.arange(distance.shape[1], dtype=jnp.int32)
  first = (distance < limit) | ((distance == limit) & (column[None, :] < place))
  # A product of zeros and ones adds up exactly, in any precision of the
  # factors, and takes less time than a sum for each group.
  members = jax.nn.one_hot(groups, match_distance.shape[1])
  count = jnp.dot(
    first.astype(jnp.float32), members, preferred_element_type=jnp.float32
  )
  return count.astype(jnp.int32)


@jax.jit
def match_distances(
  found: jax.Array, positions: jax.Array, distance: jax.Array, start: jax.Array
) -> jax.Array:
  """Fills in the distances of the matches that lie in a block.

  Args:
    found: float32 `[k, matches]`, infinite where a match was not seen yet.
    positions: int32 `[k, matches]`, of the matches in the gallery; -1 for none.
    distance: of the block, `[k, m]`.
    start: position of the block's first item.
  """
  column = start + jnp.arange(distance.shape[1], dtype=jnp.int32)

  def one(match: jax.Array, found: jax.Array) -> jax.Array:
    here = column[None, :] == positions[:, match][:, None]
    value = jnp.min(jnp.where(here, distance, jnp.inf), axis=1)
    return found.at[:, match].min(value)

  return jax.lax.fori_loop(0, positions.shape[1], one, jnp.asarray(found))


@jax.jit
def count_ahead(
  distance: jax.Array,
  match_distance: jax.Array,
  positions: jax.Array,
  probe_codes: jax.Array,
  item_codes: jax.Array,
  start: jax.Array,
) -> jax.Array:
  """Counts the items of a block that are ahead of each match.

  Args:
    distance: of the block, `[k, m]`.
    match_distance: float32 `[k, matches]`.
    positions: int32 `[k, matches]`, of the matches in the gallery.
    probe_codes: int32 `[k, 2]`: subjects, and views or -1. Items of the same
      subject and view are not counted; views of -1 leave nothing out.
    item_codes: int32 `[m, 2]`; subjects of -1 only fill up the block.
    start: position of the block's first item.

  Returns:
    int32 `[k, matches]`.
  """
  column = start + jnp.arange(distance.shape[1], dtype=jnp.int32)
  out = (probe_codes[:, :1] == item_codes[:, 0][None, :]) & (
    (probe_codes[:, 1:] == item_codes[:, 1][None, :])
    & (probe_codes[:, 1:] >= 0)
  )
  kept = ~out & (item_codes[:, 0] >= 0)[None, :]

  def one(match: jax.Array, count: jax.Array) -> jax.Array:
    limit = match_distance[:, match][:, None]
    place = positions[:, match][:, None]
    first = (distance < limit) | (
      (distance == limit) & (column[None, :] < place)
    )
    return count.at[:, match].set(
      jnp.sum(first & kept, axis=1, dtype=jnp.int32)
    )

  count = jnp.zeros(match_distance.shape, jnp.int32)
  return jax.lax.fori_loop(0, match_distance.shape[1], one, count)


def add_up(
  blocks: search.Blocks,
  has_match: Callable[[slice, slice], bool],
  find: Callable[[search.Block, jax.Array], None],
  count_ahead: Callable[[search.Block, jax.Array], jax.Array],
  matches: Matches,
) -> dict[int, np.ndarray]:
  """Counts what is ahead of the right items in the whole gallery.

  Args:
    blocks: all of them.
    has_match: whether a block has a right item.
    find: brings the right items of a block into `matches`.
    count_ahead: counts the items of a block that are ahead of these.
    matches: those that were found.

  Returns:
    By the first row of a block of probes, int32 `[k, matches]`.
  """
  together = len(blocks.gallery_slices) == 1
  before: Any = None
  for block in () if together else blocks.where(has_match):
    find(block, blocks.distances(block))
    jax.block_until_ready(before)  # two blocks at most are under way
    before = matches[block.probes.start]
  ahead: dict[int, Any] = {}
  for block in blocks:
    distance = blocks.distances(block)
    start = block.probes.start
    if together:
      find(block, distance)
    if start not in matches:  # none of these probes has its subject there
      continue
    more = count_ahead(block, distance)
    ahead[start] = ahead[start] + more if start in ahead else more
    jax.block_until_ready(before)
    before = more
  return {start: np.asarray(count) for start, count in ahead.items()}
