"""Finds the nearest items of a gallery."""

from collections.abc import Callable
from collections.abc import Mapping
from collections.abc import Sequence
import functools
from typing import Any

import jax
import jax.numpy as jnp
from jax.sharding import Mesh
from jax.sharding import PartitionSpec
import numpy as np
import tqdm

from gaitkd_jax import errors
from gaitkd_jax.evaluation import distances
from gaitkd_jax.evaluation.search import blocks as blocks_lib

# What was found so far: distances `[a, k]`, rows of the gallery `[a, k]`, and
# whether all distances were finite. Arrays of NumPy at first, then of JAX.
_Best = tuple[Any, Any, Any]


def nearest(
  probes: Any,
  gallery: Any,
  k: int,
  metric: str = "euclidean",
  memory_gib: float = 1.0,
  devices: Sequence[jax.Device] | None = None,
) -> tuple[np.ndarray, np.ndarray]:
  """Finds the k nearest gallery items of every probe.

  The gallery is read once, block by block; every device finds the nearest of
  its share of a block, and only these are brought together.

  Args:
    probes: `[a, p, d]`, float16 or float32: an array, or what has a length, a
      shape, a dtype and slices.
    gallery: `[b, p, d]`, likewise; a memory-mapped array or a
      `store.EmbeddingStore` is never read as a whole.
    k: how many; all of a gallery that has fewer.
    metric: "euclidean" or "cosine", the mean over parts; computed in float32.
    memory_gib: bound of the blocks that are in memory at once.
    devices: by default those of this process.

  Returns:
    Distances float32 `[a, k]`, ascending, and rows of the gallery int32
    `[a, k]`. Of equal distances the earlier row is first.

  Raises:
    errors.UserError: the budget is too small, or distances are not finite.
    ValueError: unknown metric, or other shapes.
  """
  k = min(k, len(gallery))
  if not len(probes) or not k:
    return (
      np.zeros((len(probes), k), np.float32),
      np.zeros((len(probes), k), np.int32),
    )
  blocks = blocks_lib.Blocks(probes, gallery, metric, memory_gib, devices)
  step = _make_step(blocks.mesh, metric, k)
  best: dict[int, _Best] = {}
  before = None
  pairs = len(probes) * len(gallery)
  with tqdm.tqdm(
    total=pairs, desc="search", unit="pair", unit_scale=True, disable=None
  ) as bar:
    for block in blocks:
      p, g = block.probes, block.gallery
      best[p.start] = step(
        best.get(p.start, _nothing(blocks.probe_rows, k)),
        block.probe,
        block.items,
        np.int32(g.start),
        np.int32(g.stop),
      )
      if before is not None:  # two blocks at most are under way
        jax.block_until_ready(before)
      before = best[p.start]
      bar.update((p.stop - p.start) * (g.stop - g.start))
  return _gathered(best, blocks.probe_slices)


def _nothing(rows: int, k: int) -> _Best:
  """The state before any block was searched."""
  return (
    np.full((rows, k), np.inf, np.float32),
    np.zeros((rows, k), np.int32),
    np.bool_(True),
  )


def _gathered(
  best: Mapping[int, _Best], probe_slices: Sequence[slice]
) -> tuple[np.ndarray, np.ndarray]:
  """Brings distances and rows of all probes, `[a, k]`, to the host."""
  distances_found, rows_found = [], []
  for probes in probe_slices:
    distance, row, finite = jax.device_get(best[probes.start])
    if not finite:
      raise errors.UserError(
        f"distances of probes {probes.start} to {probes.stop - 1} are not "
        "finite; the network that made these embeddings, or its checkpoint, is "
        "broken"
      )
    count = probes.stop - probes.start
    distances_found.append(distance[:count])
    rows_found.append(row[:count])
  return np.concatenate(distances_found), np.concatenate(rows_found)


@functools.cache
def _make_step(
  mesh: Mesh, metric: str, k: int
) -> Callable[[_Best, jax.Array, jax.Array, np.int32, np.int32], _Best]:
  """Returns the function that merges a block into what was found before."""
  axis = blocks_lib.AXIS

  def of_one_device(
    probe: jax.Array, items: jax.Array, start: jax.Array, stop: jax.Array
  ) -> _Best:
    distance = distances.matrix(probe, items, metric)
    count = distance.shape[1]
    first = start + jax.lax.axis_index(axis) * count
    row = first + jnp.arange(count, dtype=jnp.int32)
    there = row[None, :] < stop
    finite = jnp.all(jnp.isfinite(distance) | ~there)
    distance = jnp.where(there, distance, jnp.inf)
    value, column = jax.lax.top_k(-distance, min(k, count))
    return -value, first + column, finite[None]

  local = jax.shard_map(
    of_one_device,
    mesh=mesh,
    in_specs=(
      PartitionSpec(),
      PartitionSpec(None, axis),
      PartitionSpec(),
      PartitionSpec(),
    ),
    out_specs=(
      PartitionSpec(None, axis),
      PartitionSpec(None, axis),
      PartitionSpec(axis),
    ),
  )

  def step(
    best: _Best,
    probe: jax.Array,
    items: jax.Array,
    start: jax.Array,
    stop: jax.Array,
  ) -> _Best:
    value, row, finite = local(probe, items, start, stop)
    # Joined in the order of the gallery: of equal distances the first wins.
    value = jnp.concatenate([best[0], value], axis=1)
    row = jnp.concatenate([best[1], row], axis=1)
    negative, column = jax.lax.top_k(-value, k)
    row = jnp.take_along_axis(row, column, axis=1)
    return -negative, row, best[2] & jnp.all(finite)

  return jax.jit(
    step,
    out_shardings=jax.sharding.NamedSharding(mesh, PartitionSpec()),
  )
