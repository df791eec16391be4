"""What a network is given of a batch."""

from collections.abc import Mapping

import jax
import jax.numpy as jnp


def network_input(
  batch: Mapping[str, jax.Array], in_channels: int
) -> jax.Array:
  """Scales pixels to 0 ... 1 and stacks the modalities that a network takes.

  Args:
    batch: "silhouettes" uint8 `[n, s, h, w]` and, for more than one channel,
      "heatmaps" uint8 `[n, s, h, w, 2]`.
    in_channels: of the network. 1 is silhouettes; 2 heat maps (limb, joint); 3
      heat maps and silhouettes, in this order as in OpenGait.

  Returns:
    float32 `[n, s, h, w]` for one channel, else `[n, s, h, w, in_channels]`.
  """
  if in_channels == 1:
    pixels = batch["silhouettes"]
  elif in_channels == 2:
    pixels = batch["heatmaps"]
  else:
    pixels = jnp.concatenate(
      [batch["heatmaps"], batch["silhouettes"][..., None]], axis=-1
    )
  return pixels.astype(jnp.float32) / 255.0
