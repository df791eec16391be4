"""What the network itself, in JAX, makes of silhouettes."""

from collections.abc import Callable
from collections.abc import Mapping
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from gaitkd_jax import errors
from gaitkd_jax import models
from gaitkd_jax.models import inputs

# More frames than any network needs at once.
_FRAMES = 16
_BATCH = 8


def embedder(
  module: models.GaitNetwork, variables: Mapping[str, Any]
) -> Callable[[Sequence[np.ndarray]], np.ndarray]:
  """A function that embeds sequences, uint8 `[s, 64, 44]` or with channels.

  Products are float32, whatever the device would take. All sequences are padded
  to the longest.

  Args:
    module: the network.
    variables: its own.

  Returns:
    From a list of sequences to float32 `[n, p, d]`.
  """

  @jax.jit
  def program(
    variables: Mapping[str, Any], pixels: jax.Array, lengths: jax.Array
  ) -> jax.Array:
    with jax.default_matmul_precision("highest"):
      out = module.apply(variables, inputs.scale(pixels), lengths)
    return out["retrieval"].astype(jnp.float32)

  def embed(sequences: Sequence[np.ndarray]) -> np.ndarray:
    longest = max(map(len, sequences))
    size = min(_BATCH, len(sequences))
    found = []
    for first in range(0, len(sequences), size):
      part = sequences[first : first + size]
      pixels = np.zeros((size, longest, *sequences[0].shape[1:]), np.uint8)
      lengths = np.ones(size, np.int32)
      for i, sequence in enumerate(part):
        pixels[i, : len(sequence)], lengths[i] = sequence, len(sequence)
      found.append(np.asarray(program(variables, pixels, lengths))[: len(part)])
    return np.concatenate(found)

  return embed


def shape(module: models.GaitNetwork) -> tuple[int, int]:
  """Parts and width of an embedding."""
  parts, width = _abstract(module, _FRAMES)
  return parts, width


def min_frames(module: models.GaitNetwork) -> int:
  """Frames that a batch has to have, padding included.

  Raises:
    errors.UserError: more than the network could need.
  """
  for frames in range(1, _FRAMES + 1):
    try:
      _abstract(module, frames)
    except (TypeError, ValueError, ZeroDivisionError):
      continue
    return frames
  raise errors.UserError(
    f"{type(module).__name__} takes no sequence of up to {_FRAMES} frames"
  )


def _abstract(module: models.GaitNetwork, frames: int) -> tuple[int, int]:
  channels = () if module.in_channels == 1 else (module.in_channels,)
  pixels = jax.ShapeDtypeStruct(
    (1, frames, *module.frame_size, *channels), jnp.float32
  )
  lengths = jax.ShapeDtypeStruct((1,), jnp.int32)
  out = jax.eval_shape(
    module.apply, models.abstract_variables(module), pixels, lengths
  )
  return out["retrieval"].shape[1:]
