"""The network of a checkpoint, run by JAX."""

from collections.abc import Mapping
from collections.abc import Sequence
import os
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from gaitkd_jax import checkpoint
from gaitkd_jax import sharding
from gaitkd_jax import storage
from gaitkd_jax.evaluation import restoring
from gaitkd_jax.export import reference
from gaitkd_jax.export import source as source_lib
from gaitkd_jax.identify import embedding
from gaitkd_jax.models import inputs
from gaitkd_jax.runtime import sequences

_BATCH = 8


class RestoredNetwork:
  """A checkpoint; see `embedding.Network`."""

  def __init__(self, path: str | os.PathLike[str]):
    """Reads a checkpoint, which says itself what network it is.

    Raises:
      errors.UserError: there is none, it does not say so, or it takes more than
        silhouettes.
    """
    self.path = os.fspath(path)
    sharding.spare_tpu()
    source = source_lib.find(self.path, None)
    self._module, self._variables = restoring.restore_network(
      source.path,
      source.model,
      "float32",
      sharding.replicated(sharding.create_mesh(1)),
      source.form or None,
    )
    if self._module.in_channels != 1:
      raise embedding.no_silhouettes(self.path)
    self._source = source
    self._least = reference.min_frames(self._module)
    self.digests = (checkpoint.digest(self._variables),)
    self.metric = source.metric
    self.threshold = None

    @jax.jit
    def program(
      variables: Mapping[str, Any], pixels: jax.Array, lengths: jax.Array
    ) -> jax.Array:
      with jax.default_matmul_precision("highest"):
        out = self._module.apply(variables, inputs.scale(pixels), lengths)
      return out["retrieval"].astype(jnp.float32)

    self._program = program

  def embed(self, clips: Sequence[np.ndarray]) -> np.ndarray:
    """See `embedding.Network`."""
    found = np.empty((len(clips), *reference.shape(self._module)), np.float32)
    if not len(clips):
      return found
    for padded, lengths, rows in sequences.batches(clips, _BATCH, self._least):
      # Few shapes, since each is compiled.
      count = 1 << (len(rows) - 1).bit_length()
      frames = sequences.rounded(max(padded.shape[1], 32))
      pixels = np.zeros((count, frames, *padded.shape[2:]), np.uint8)
      pixels[: len(rows), : padded.shape[1]] = padded
      known = np.ones(count, np.int32)
      known[: len(rows)] = lengths
      out = self._program(self._variables, pixels, known)
      found[rows] = np.asarray(out)[: len(rows)]
    return found

  def described(self) -> dict[str, Any]:
    """See `embedding.Network`."""
    place = storage.absolute(self._source.path)
    return {
      "model": self._source.model,
      "quantization": self._source.form,
      "dtype": "float32",
      "checkpoint": os.fspath(place),
      "step": self._source.step,
      "digest": self.digests[0],
      "metric": self.metric,
    }
