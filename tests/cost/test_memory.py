"""Memory of feature maps, by hand."""

from flax import linen as nn
import jax.numpy as jnp

from gaitkd_jax import cost


class TwoConvolutions(nn.Module):
  """What the estimates of memory need of a network."""

  in_channels: int = 1
  rng_streams = ()
  frame_size = (64, 44)

  @nn.compact
  def __call__(self, x, lengths=None, train=False):
    x = nn.relu(nn.Conv(8, (1, 3, 3), use_bias=False)(x))
    x = nn.Conv(2, (1, 3, 3), use_bias=False)(x)
    x = jnp.sum(x, axis=1)
    return {"set": x, "embedding": x, "retrieval": x}


def test_memory_by_hand():
  image = 3 * 5 * 64 * 44 * 4
  # The rectifier writes over the first map, and the sum reads the second.
  assert cost.forward_memory(TwoConvolutions(), 3, 5) == image * (8 + 2)
  # The second convolution's operand, and a bit (a byte) for the rectifier.
  assert cost.saved_memory(TwoConvolutions(), 3, 5) == image * 8 * 5 // 4
