"""Distances between part embeddings."""

import functools
import math
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

METRICS = ("euclidean", "cosine")
# Probes of one call, and the multiple to which a gallery is filled up: few
# shapes are compiled.
_BLOCK = 512
_MULTIPLE = 128
# Rows that are read at once: what was read stays in the processor's cache.
_READ = 256
# Bytes: XLA uses memory of the host that begins at a multiple of it as it is,
# and copies any other.
_ALIGNMENT = 64


def part_distances(
  probe: np.ndarray, gallery: np.ndarray, metric: str = "euclidean"
) -> np.ndarray:
  """The mean over parts of the distance between every probe and gallery item.

  The whole matrix: for sets that are large see `search.nearest`.

  Args:
    probe: `[a, p, d]`.
    gallery: `[b, p, d]`.
    metric: "euclidean" or "cosine" (1 minus the cosine).

  Returns:
    float32 `[a, b]`.

  Raises:
    ValueError: unknown metric.
  """
  check_metric(metric)
  items = len(gallery)
  filled = jnp.asarray(by_part(gallery, -(-items // _MULTIPLE) * _MULTIPLE))
  result = [np.zeros((0, items), np.float32)]
  for i in range(0, len(probe), _BLOCK):
    block = probe[i : i + _BLOCK]
    distance = _jitted(by_part(block, _BLOCK), filled, metric)
    result.append(np.asarray(distance)[: len(block), :items])
  return np.concatenate(result)


def check_metric(metric: str) -> None:
  """Raises a ValueError for an unknown metric."""
  if metric not in METRICS:
    raise ValueError(f"metric is {metric!r}; give one of {', '.join(METRICS)}")


def by_part(x: Any, rows: int, part: slice = slice(None)) -> np.ndarray:
  """Copies embeddings part by part, as `matrix` takes them.

  The memory is new and nobody else's: a device may go on using it.

  Args:
    x: `[n, p, d]`: an array, or what has a length, a shape, a dtype and slices.
    rows: of the result; what is left over is zero.
    part: the rows of `x` to copy, by default all.

  Returns:
    `[p, rows, d]`; of float64 in float32.
  """
  first, last, _ = part.indices(len(x))
  dtype = np.dtype(np.float32 if x.dtype == np.float64 else x.dtype)
  result = _aligned((x.shape[1], rows, x.shape[2]), dtype)
  for i in range(first, last, _READ):
    read = x[i : min(i + _READ, last)]
    result[:, i - first : i - first + len(read)] = np.swapaxes(read, 0, 1)
  result[:, last - first :] = 0
  return result


def _aligned(shape: tuple[int, ...], dtype: np.dtype) -> np.ndarray:
  """An array of anything, at a multiple of `_ALIGNMENT`."""
  size = math.prod(shape) * dtype.itemsize
  memory = np.empty(size + _ALIGNMENT, np.uint8)
  start = -memory.ctypes.data % _ALIGNMENT
  return memory[start : start + size].view(dtype).reshape(shape)


def matrix(probe: jax.Array, gallery: jax.Array, metric: str) -> jax.Array:
  """`part_distances` of arrays on the device, to be called under `jax.jit`.

  One part at a time, so that nothing has both axes and one of parts, and only
  one part of the gallery is ever there a second time, as float32.

  Args:
    probe: `[p, a, d]`, float16 or float32.
    gallery: `[p, b, d]`, float16 or float32.
    metric: of `METRICS`.

  Returns:
    float32 `[a, b]`.
  """
  probe_squares, gallery_squares = _squares(probe), _squares(gallery)

  def one_part(x: jax.Array, squares: jax.Array, part: jax.Array) -> jax.Array:
    x = x[part].astype(jnp.float32)
    if metric == "cosine":
      x = x / jnp.maximum(jnp.sqrt(squares[part])[:, None], 1e-12)
    return x

  def add_part(part: jax.Array, total: jax.Array) -> jax.Array:
    x = one_part(probe, probe_squares, part)
    y = one_part(gallery, gallery_squares, part)
    product = jnp.dot(x, y.T, precision=jax.lax.Precision.HIGHEST)
    if metric == "cosine":
      return total + (1.0 - product)
    square = probe_squares[part][:, None] + gallery_squares[part][None, :]
    return total + jnp.sqrt(jax.nn.relu(square - 2.0 * product))

  # Made of the gallery: under shard_map the total has to vary as it does.
  start = jnp.zeros((probe.shape[1], gallery.shape[1]), jnp.float32)
  start = start + 0.0 * gallery[0, :, 0].astype(jnp.float32)[None, :]
  parts = len(probe)
  return jax.lax.fori_loop(0, parts, add_part, start) / parts


def _squares(x: jax.Array) -> jax.Array:
  """The squared norms of `[p, n, d]`, float32 `[p, n]`.

  Before the loop over parts, since inside it XLA computes them on a CPU as
  slowly as a quarter of the products.
  """

  def of_part(part: jax.Array) -> jax.Array:
    # Fused into the sum, the conversion of float16 would take six times longer.
    part = jax.lax.optimization_barrier(part.astype(jnp.float32))
    return jnp.sum(jnp.square(part), axis=-1)

  return jax.lax.map(of_part, x)


_jitted = functools.partial(jax.jit, static_argnames="metric")(matrix)
