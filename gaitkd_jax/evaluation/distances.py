"""Distances between part embeddings."""

import functools

import jax
import jax.numpy as jnp
import numpy as np

METRICS = ("euclidean", "cosine")
# Probes of one call, and the multiple to which a gallery is filled up: few
# shapes are compiled.
_BLOCK = 512
_MULTIPLE = 128


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
  filled = jnp.asarray(filled_up(gallery, -(-items // _MULTIPLE) * _MULTIPLE))
  result = [np.zeros((0, items), np.float32)]
  for i in range(0, len(probe), _BLOCK):
    block = probe[i : i + _BLOCK]
    distance = _jitted(filled_up(block, _BLOCK), filled, metric)
    result.append(np.asarray(distance)[: len(block), :items])
  return np.concatenate(result)


def check_metric(metric: str) -> None:
  """Raises a ValueError for an unknown metric."""
  if metric not in METRICS:
    raise ValueError(f"metric is {metric!r}; give one of {', '.join(METRICS)}")


def filled_up(x: np.ndarray, rows: int, fill: int = 0) -> np.ndarray:
  """A copy with rows of `fill` appended; float64 becomes float32."""
  x = np.asarray(x)
  if x.dtype == np.float64:
    x = x.astype(np.float32)
  # Always a copy: a device may go on using the host's memory.
  result = np.full((rows, *x.shape[1:]), fill, x.dtype)
  result[: len(x)] = x
  return result


def matrix(probe: jax.Array, gallery: jax.Array, metric: str) -> jax.Array:
  """`part_distances` of arrays on the device, to be called under `jax.jit`.

  One part at a time, so that nothing has both axes and one of parts, and only
  one part of the gallery is ever there a second time, as float32.

  Args:
    probe: `[a, p, d]`, float16 or float32.
    gallery: `[b, p, d]`, float16 or float32.
    metric: of `METRICS`.

  Returns:
    float32 `[a, b]`.
  """

  def one_part(x: jax.Array, part: jax.Array) -> jax.Array:
    x = jax.lax.dynamic_index_in_dim(x, part, axis=1, keepdims=False)
    x = x.astype(jnp.float32)
    if metric == "cosine":
      norm = jnp.linalg.norm(x, axis=-1, keepdims=True)
      x = x / jnp.maximum(norm, 1e-12)
    return x

  def add_part(part: jax.Array, total: jax.Array) -> jax.Array:
    x, y = one_part(probe, part), one_part(gallery, part)
    product = jnp.dot(x, y.T, precision=jax.lax.Precision.HIGHEST)
    if metric == "cosine":
      return total + (1.0 - product)
    square = jnp.sum(x * x, -1)[:, None] + jnp.sum(y * y, -1)[None, :]
    return total + jnp.sqrt(jax.nn.relu(square - 2.0 * product))

  # Made of the gallery: under shard_map the total has to vary as it does.
  start = jnp.zeros((len(probe), len(gallery)), jnp.float32)
  start = start + 0.0 * gallery[:, 0, 0].astype(jnp.float32)[None, :]
  parts = probe.shape[1]
  return jax.lax.fori_loop(0, parts, add_part, start) / parts


_jitted = functools.partial(jax.jit, static_argnames="metric")(matrix)
