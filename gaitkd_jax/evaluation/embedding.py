"""Embeds batches of sequences."""

from collections.abc import Callable
from collections.abc import Iterable
from collections.abc import Mapping
import time
from typing import Any

import jax
import jax.numpy as jnp
from jax.sharding import Mesh
import numpy as np
import tqdm

from gaitkd_jax import errors
from gaitkd_jax import runtime
from gaitkd_jax import sharding
from gaitkd_jax.evaluation import partial as partial_lib
from gaitkd_jax.hosts import stopping
from gaitkd_jax.models import inputs

Batch = Mapping[str, jax.Array]


def make_embed_step(
  module: Any, mesh: Mesh
) -> Callable[
  [Mapping[str, Any], Batch], tuple[jax.Array, jax.Array, jax.Array]
]:
  """Returns the jitted function that embeds a batch for a search.

  It takes variables and a batch of "silhouettes" (and "heatmaps"), "lengths",
  "index", "mask", and gives float32 `[n, p, d]` with the batch's index and
  mask: all of the global batch, in every process. Of an exported network the
  variables are not looked at, and the processor computes.
  """
  if isinstance(module, runtime.Exported):
    return _exported_step(module)

  def embed_step(
    variables: Mapping[str, Any], batch: Batch
  ) -> tuple[jax.Array, jax.Array, jax.Array]:
    out = module.apply(
      variables,
      inputs.network_input(batch, module.in_channels),
      batch["lengths"],
    )
    embedding = out["retrieval"].astype(jnp.float32)
    return embedding, batch["index"], batch["mask"]

  whole, split = sharding.replicated(mesh), sharding.by_sequence(mesh)
  # Variables stay where they are: no embedding needs a classifier's classes.
  return jax.jit(embed_step, in_shardings=(None, split), out_shardings=whole)


def _exported_step(
  network: runtime.Exported,
) -> Callable[[Mapping[str, Any], Batch], tuple[Any, Any, Any]]:
  """`make_embed_step` of an exported network."""
  channels = (*network.frame_shape, 1)[2]

  def embed_step(
    variables: Mapping[str, Any], batch: Batch
  ) -> tuple[Any, Any, Any]:
    del variables
    if channels > 1 and "heatmaps" not in batch:
      raise errors.UserError(
        f"{network.path} takes heat maps, which the data do not have; give "
        "--config.data.modalities=\"('silhouettes', 'heatmaps')\""
      )
    pixels = np.asarray(inputs.stack(batch, channels))
    embedding = network.run(pixels, np.asarray(batch["lengths"]))
    return embedding, batch["index"], batch["mask"]

  return embed_step


def embed(
  embed_step: Callable[[Any, Any], Any],
  variables: Any,
  batches: Iterable[Mapping[str, np.ndarray]],
  count: int,
  mesh: Mesh,
  rows: np.ndarray | None = None,
  done: partial_lib.Partial | None = None,
) -> np.ndarray:
  """Embeds sequences, and prints how fast and in how many shapes of batches.

  Args:
    embed_step: of `make_embed_step`.
    variables: of the network, on the mesh.
    batches: this process's shares, with "silhouettes", "lengths", "index" (the
      position of the sequence in the split) and "mask" (False: filling).
    count: sequences, at least one.
    mesh: devices of the data axis.
    rows: int `[count]`, ascending, their positions in the split; None: all of
      it.
    done: what is done already, and takes what is done from now on.

  Returns:
    float32 `[count, p, d]` in the order of the split, in every process.

  Raises:
    errors.Stopped: see `stopping.held`.
  """
  collected = _Collected(count, rows, done)
  pending: list[Any] = []
  shapes = set()
  began = time.monotonic()
  with tqdm.tqdm(total=count, desc="embed", unit="seq", disable=None) as bar:
    bar.update(collected.count)
    for batch in batches:
      if stopping.reached():
        for out in pending:
          collected.add(out)
        raise collected.stopped()
      shapes.add(batch["silhouettes"].shape)
      pending.append(embed_step(variables, sharding.put_batch(batch, mesh)))
      if len(pending) > 1:  # fetch a batch while the next one is computed
        bar.update(collected.add(pending.pop(0)))
    for out in pending:
      bar.update(collected.add(out))
  if done:
    done.keep()
  if not jax.process_index():
    seconds = time.monotonic() - began
    compiled = ", each compiled once" if hasattr(embed_step, "lower") else ""
    print(
      f"embedded {count} sequences in {seconds:.1f} s ({count / seconds:.1f} a "
      f"second), {len(shapes)} shapes of batches{compiled}",
      flush=True,
    )
  return collected.embeddings


class _Collected:
  """Takes embeddings as they come, and puts them in the order of the split.

  Attributes:
    embeddings: float32 `[count, p, d]`; NaN where none has come.
    count: sequences that have come.
  """

  def __init__(
    self,
    count: int,
    rows: np.ndarray | None,
    done: partial_lib.Partial | None,
  ):
    """See `embed`."""
    self.embeddings = np.full((count, 0, 0), np.nan, np.float32)
    self.count = 0
    self._rows, self._done = rows, done
    for index, embedding in done.pieces() if done else ():
      self._put(index, embedding)

  def add(self, out: tuple[jax.Array, jax.Array, jax.Array]) -> int:
    """Takes what an `embed_step` gave; returns the number of sequences."""
    embedding, index, mask = jax.device_get(out)
    if self._done:
      self._done.add(index[mask], embedding[mask])
    return self._put(index[mask], embedding[mask])

  def stopped(self) -> errors.Stopped:
    """Keeps what is done, where it can be kept, and says so."""
    if self._done is None:
      return stopping.stopped()
    self._done.keep()
    return stopping.stopped(
      f"after {self.count} of {len(self.embeddings)} sequences"
    )

  def _put(self, index: np.ndarray, embedding: np.ndarray) -> int:
    self.count += len(index)
    if not self.embeddings.size:
      shape = len(self.embeddings), *embedding.shape[1:]
      self.embeddings = np.full(shape, np.nan, np.float32)
    if self._rows is not None:
      index = np.searchsorted(self._rows, index)
    self.embeddings[index] = embedding
    return len(index)
