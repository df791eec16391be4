"""Convolutions, blocks and stages."""

from flax import linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gaitkd_jax.models import layers
from gaitkd_jax.models import padding

CLIPS = padding.Clips(3)
BLOCKS = (layers.BasicBlock2D, layers.P3DBlock, layers.BasicBlock3D)


def init_and_apply(module, x):
  """Drawn variables, and the compiled evaluation."""

  def init(key):
    return module.init(key, x, CLIPS, train=False)

  def apply(variables, x):
    return module.apply(variables, x, CLIPS, train=False)

  return jax.jit(init)(jax.random.key(1)), jax.jit(apply)


@pytest.mark.parametrize("block", BLOCKS)
def test_a_block_is_a_residual(block):
  x = jax.random.uniform(jax.random.key(0), (3, 8, 6, 4))
  variables, apply = init_and_apply(block(4), x)
  assert "shortcut" not in variables["params"]
  # Without its convolutions nothing is left but the (positive) input.
  zero = jax.tree.map(jnp.zeros_like, variables["params"])
  out = apply({**variables, "params": zero}, x)
  np.testing.assert_array_equal(out, x)
  # Only blocks over time mix frames.
  out, changed = apply(variables, x), apply(variables, x.at[2].set(0.0))
  mixes = bool((out[1] != changed[1]).any())
  assert mixes == (block is not layers.BasicBlock2D)


@pytest.mark.parametrize("block", BLOCKS)
def test_a_strided_block_halves_the_image(block):
  x = jnp.ones((3, 8, 6, 4))
  out, variables = jax.eval_shape(
    lambda key: block(8, stride=2).init_with_output(key, x, CLIPS, train=False),
    jax.random.key(0),
  )
  assert out.shape == (3, 4, 3, 8)
  assert "shortcut" in variables["params"]


class Stages(nn.Module):
  @nn.compact
  def __call__(self, x):
    common = dict(dtype=jnp.float32, train=False)
    x = layers.stem(x, CLIPS, 4, name="stem", **common)
    for name, count in (("first", 0), ("second", 2)):
      x = layers.stage(
        x,
        CLIPS,
        8,
        count,
        block=layers.BasicBlock2D,
        stride=2,
        name=name,
        **common,
      )
    return x


def test_the_first_block_of_a_stage_is_strided():
  x = jnp.ones((3, 8, 6, 1))
  out, variables = Stages().init_with_output(jax.random.key(0), x)
  assert out.shape == (3, 4, 3, 8)
  assert variables["params"].keys() == {
    *("stem", "second_block0", "second_block1")
  }
