"""Ranks within one block of distances, which `ranker.Ranker` adds up."""

import jax
import jax.numpy as jnp
import numpy as np


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


def padded(positions: list[np.ndarray], count: int) -> np.ndarray:
  """Positions int32 `[count, matches]`, -1 where there are fewer."""
  most = max([1, *map(len, positions)])
  # Powers of two, so that few programs are compiled.
  result = np.full((count, 1 << (most - 1).bit_length()), -1, np.int32)
  for i, row in enumerate(positions):
    result[i, : len(row)] = row
  return result


@jax.jit
def nearest_match(
  before: tuple[jax.Array, jax.Array],
  distance: jax.Array,
  probe_codes: jax.Array,
  item_codes: jax.Array,
  start: jax.Array,
) -> tuple[jax.Array, jax.Array]:
  """The nearest item of each probe's subject, so far.

  Args:
    before: what earlier blocks found: distances float32 `[k, 1]` and positions
      int32 `[k, 1]` in the gallery.
    distance: of the block, `[k, m]`.
    probe_codes: int32 `[k, 2]`, subjects and views.
    item_codes: int32 `[m, 2]`, likewise.
    start: position of the block's first item.

  Returns:
    As `before`.
  """
  same = probe_codes[:, :1] == item_codes[:, 0][None, :]
  candidates = jnp.where(same, distance, jnp.inf)
  column = jnp.argmin(candidates, axis=1)[:, None]
  value = jnp.min(candidates, axis=1)[:, None]
  closer = value < before[0]
  return (
    jnp.where(closer, value, before[0]),
    jnp.where(closer, start + column.astype(jnp.int32), before[1]),
  )


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
