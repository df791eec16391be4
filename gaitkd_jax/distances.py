"""Distances between part embeddings."""

import functools

import jax
import jax.numpy as jnp
import numpy as np

METRICS = ("euclidean", "cosine")
# Probes of one call; the last block is filled up, so one shape is compiled.
_BLOCK = 512


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
  if metric not in METRICS:
    raise ValueError(f"metric is {metric!r}; give one of {', '.join(METRICS)}")
  gallery = jnp.asarray(gallery, jnp.float32)
  blocks = []
  for start in range(0, len(probe), _BLOCK):
    block = np.asarray(probe[start : start + _BLOCK], np.float32)
    short = _BLOCK - len(block)
    block = np.pad(block, ((0, short), (0, 0), (0, 0)))
    distance = _block_distances(block, gallery, metric)
    blocks.append(np.asarray(distance)[: _BLOCK - short])
  if not blocks:
    return np.zeros((0, len(gallery)), np.float32)
  return np.concatenate(blocks)


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
