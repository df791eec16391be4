"""Distances between part embeddings."""

from collections.abc import Iterable
from collections.abc import Iterator
import functools

import jax
import jax.numpy as jnp
import numpy as np

METRICS = ("euclidean", "cosine")
# Probes of one call, and the multiple to which a gallery is filled up: few
# shapes are compiled, and no matrix is larger than one block of probes.
_BLOCK = 512
_MULTIPLE = 128


def part_distances(
  probe: np.ndarray, gallery: np.ndarray, metric: str = "euclidean"
) -> np.ndarray:
  """The mean over parts of the distance between every probe and gallery item.

  Args:
    probe: `[a, p, d]`.
    gallery: `[b, p, d]`.
    metric: "euclidean" or "cosine" (1 minus the cosine).

  Returns:
    float32 `[a, b]`.

  Raises:
    ValueError: unknown metric.
  """
  starts = range(0, len(probe), _BLOCK)
  blocks = list(
    _blocks((probe[i : i + _BLOCK] for i in starts), gallery, metric)
  )
  if not blocks:
    return np.zeros((0, len(gallery)), np.float32)
  return np.concatenate(blocks)


def distance_blocks(
  embeddings: np.ndarray,
  probes: np.ndarray,
  gallery: np.ndarray,
  metric: str = "euclidean",
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
  """`part_distances` for blocks of probes in turn, never the whole matrix.

  Args:
    embeddings: `[n, p, d]`.
    probes: int `[a]`, rows of `embeddings`.
    gallery: int `[b]`, rows of `embeddings`.
    metric: as `part_distances`.

  Yields:
    Some of `probes` `[k]` with their distances, float32 `[k, b]`.

  Raises:
    ValueError: unknown metric.
  """
  parts = [probes[i : i + _BLOCK] for i in range(0, len(probes), _BLOCK)]
  matrices = _blocks(
    (embeddings[p] for p in parts), embeddings[gallery], metric
  )
  yield from zip(parts, matrices, strict=True)


def _blocks(
  probes: Iterable[np.ndarray], gallery: np.ndarray, metric: str
) -> Iterator[np.ndarray]:
  """Distances `[k, b]` of every block of probes `[k, p, d]`, `k <= _BLOCK`."""
  if metric not in METRICS:
    raise ValueError(f"metric is {metric!r}; give one of {', '.join(METRICS)}")
  items = len(gallery)
  # To the device once, not once a block.
  filled = jnp.asarray(_fill(gallery, -(-items // _MULTIPLE) * _MULTIPLE))
  for block in probes:
    distance = _block_distances(_fill(block, _BLOCK), filled, metric)
    yield np.asarray(distance)[: len(block), :items]


def _fill(x: np.ndarray, rows: int) -> np.ndarray:
  """Appends rows of zeros, as float32."""
  x = np.asarray(x, np.float32)
  return np.pad(x, ((0, rows - len(x)), (0, 0), (0, 0)))


@functools.partial(jax.jit, static_argnames="metric")
def _block_distances(
  probe: jax.Array, gallery: jax.Array, metric: str
) -> jax.Array:
  """One part at a time: the result never has an axis of parts."""

  def add_part(total, pair):
    x, y = pair
    if metric == "cosine":
      x, y = (
        v / jnp.maximum(jnp.linalg.norm(v, axis=-1, keepdims=True), 1e-12)
        for v in (x, y)
      )
    product = jnp.dot(x, y.T, precision=jax.lax.Precision.HIGHEST)
    if metric == "cosine":
      return total + (1.0 - product), None
    square = jnp.sum(x * x, -1)[:, None] + jnp.sum(y * y, -1)[None, :]
    return total + jnp.sqrt(jax.nn.relu(square - 2.0 * product)), None

  start = jnp.zeros((len(probe), len(gallery)), jnp.float32)
  by_part = (jnp.swapaxes(probe, 0, 1), jnp.swapaxes(gallery, 0, 1))
  total, _ = jax.lax.scan(add_part, start, by_part)
  return total / probe.shape[1]
