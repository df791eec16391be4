"""Convolutions, blocks and stages."""

from flax import linen as nn
import jax
from jax import lax
import jax.numpy as jnp
import numpy as np
import pytest

from gaitkd_jax.models import layers


def test_a_frame_is_padded_on_both_sides():
  x = jax.random.normal(jax.random.key(0), (2, 3, 8, 6, 2))
  module = layers.SpatialConv(4, stride=2)
  variables = module.init(jax.random.key(1), x)
  expected = lax.conv_general_dilated(
    x.reshape(6, 8, 6, 2),
    variables["params"]["conv"]["kernel"],
    (2, 2),
    ((1, 1), (1, 1)),
    dimension_numbers=("NHWC", "HWIO", "NHWC"),
  )
  np.testing.assert_allclose(
    module.apply(variables, x), expected.reshape(2, 3, 4, 3, 4), atol=1e-5
  )


@pytest.mark.parametrize("stride, frames", [(1, 7), (3, 2)])
def test_convolution_over_time_is_three_dimensional(stride, frames):
  x = jax.random.normal(jax.random.key(0), (2, 7, 3, 4, 2))
  module = layers.TemporalConv(5, stride=stride)
  variables = module.init(jax.random.key(1), x, None)
  kernel = variables["params"]["conv"]["kernel"]
  pad = 1 if stride == 1 else 0
  expected = lax.conv_general_dilated(
    x,
    kernel[:, :, None],
    (stride, 1, 1),
    ((pad, pad), (0, 0), (0, 0)),
    dimension_numbers=("NDHWC", "DHWIO", "NDHWC"),
  )
  out = module.apply(variables, x, None)
  assert out.shape == (2, frames, 3, 4, 5)
  np.testing.assert_allclose(out, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
  "module", [layers.TemporalConv(4), layers.SpatioTemporalConv(4)]
)
def test_frames_outside_the_mask_are_zero_to_the_others(module):
  x = jax.random.normal(jax.random.key(0), (1, 4, 6, 5, 2))
  variables = module.init(jax.random.key(1), x, None)
  mask = jnp.array([True, True, False, False]).reshape(1, 4, 1, 1, 1)
  alone = module.apply(variables, x[:, :2], None)
  spoilt = jnp.where(mask, x, jnp.nan)
  padded = module.apply(variables, spoilt, mask)[:, :2]
  np.testing.assert_allclose(padded, alone, rtol=1e-5, atol=1e-6)


BLOCKS = (layers.BasicBlock2D, layers.P3DBlock, layers.BasicBlock3D)


def init_and_apply(module, x):
  """Drawn variables, and the compiled evaluation."""

  def init(key):
    return module.init(key, x, train=False)

  def apply(variables, x):
    return module.apply(variables, x, train=False)

  return jax.jit(init)(jax.random.key(1)), jax.jit(apply)


@pytest.mark.parametrize("block", BLOCKS)
def test_a_block_is_a_residual(block):
  x = jax.random.uniform(jax.random.key(0), (1, 3, 8, 6, 4))
  variables, apply = init_and_apply(block(4), x)
  assert "shortcut" not in variables["params"]
  # Without its convolutions nothing is left but the (positive) input.
  zero = jax.tree.map(jnp.zeros_like, variables["params"])
  out = apply({**variables, "params": zero}, x)
  np.testing.assert_array_equal(out, x)
  # Only blocks over time mix frames.
  out, changed = apply(variables, x), apply(variables, x.at[:, 2].set(0.0))
  mixes = bool((out[:, 1] != changed[:, 1]).any())
  assert mixes == (block is not layers.BasicBlock2D)


@pytest.mark.parametrize("block", BLOCKS)
def test_a_strided_block_halves_the_image(block):
  x = jnp.ones((1, 3, 8, 6, 4))
  out, variables = jax.eval_shape(
    lambda key: block(8, stride=2).init_with_output(key, x, train=False),
    jax.random.key(0),
  )
  assert out.shape == (1, 3, 4, 3, 8)
  assert "shortcut" in variables["params"]


class Stages(nn.Module):
  @nn.compact
  def __call__(self, x):
    common = dict(dtype=jnp.float32, train=False, mask=None)
    x = layers.stem(x, 4, name="stem", **common)
    for name, count in (("first", 0), ("second", 2)):
      x = layers.stage(
        x,
        8,
        count,
        block=layers.BasicBlock2D,
        stride=2,
        name=name,
        **common,
      )
    return x


def test_the_first_block_of_a_stage_is_strided():
  x = jnp.ones((1, 2, 8, 6, 1))
  out, variables = Stages().init_with_output(jax.random.key(0), x)
  assert out.shape == (1, 2, 4, 3, 8)
  assert variables["params"].keys() == {
    *("stem", "stem_bn", "second_block0", "second_block1")
  }
