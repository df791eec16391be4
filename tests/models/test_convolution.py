"""Gradients of convolutions against XLA's."""

import jax
from jax import lax
import jax.numpy as jnp
import numpy as np
import pytest

from gaitkd_jax.models import convolution


@pytest.mark.parametrize(
  "size, strides, channels, frames",
  [
    ((3, 3), (1, 1), 16, 3),
    ((3, 3), (2, 2), 16, 3),
    ((3, 3), (2, 2), 4, 1),
    ((3, 3), (1, 1), 1, 3),
    ((3, 3), (1, 1), 2, 2),
    ((3, 3), (2, 1), 8, 2),
    ((5, 5), (1, 1), 1, 2),
    ((4, 4), (3, 2), 4, 2),
    ((1, 1), (1, 1), 17, 2),
    ((1, 1), (2, 2), 4, 2),
    ((3, 3), (1, 1), 1200, 1),
    ((3, 1), (1, 1), 16, 1),
  ],
)
def test_gradients_equal_xlas(size, strides, channels, frames):
  keys = jax.random.split(jax.random.key(0), 3)
  padding = tuple((k // 2, k // 2) for k in size)
  x = jax.random.normal(keys[0], (6, 8, 12, channels))
  kernel = jax.random.normal(keys[1], (*size, channels, 5))

  def plain(x, kernel):
    return lax.conv_general_dilated(
      x, kernel, strides, padding, dimension_numbers=("NHWC", "HWIO", "NHWC")
    )

  def convolve(x, kernel):
    return convolution.for_frames(frames)(x, kernel, strides, padding)

  expected, vjp = jax.vjp(plain, x, kernel)
  value, tested_vjp = jax.vjp(convolve, x, kernel)
  np.testing.assert_array_equal(convolve(x, kernel), expected)
  np.testing.assert_allclose(value, expected, rtol=1e-5, atol=1e-5)
  g = jax.random.normal(keys[2], value.shape)
  for a, b in zip(tested_vjp(g), vjp(g), strict=True):
    np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("stride, channels", [(1, 16), (2, 16), (2, 4)])
def test_gradients_of_clips_equal_xlas(stride, channels):
  keys = jax.random.split(jax.random.key(0), 3)
  options = (1, stride, stride), ((1, 1),) * 3
  x = jax.random.normal(keys[0], (2, 5, 8, 10, channels))
  kernel = jax.random.normal(keys[1], (3, 3, 3, channels, 5))

  def plain(x, kernel):
    numbers = ("NDHWC", "DHWIO", "NDHWC")
    return lax.conv_general_dilated(
      x, kernel, *options, dimension_numbers=numbers
    )

  expected, vjp = jax.vjp(plain, x, kernel)
  value, tested_vjp = jax.vjp(
    lambda x, kernel: convolution.for_clips(x, kernel, *options), x, kernel
  )
  np.testing.assert_array_equal(value, expected)
  g = jax.random.normal(keys[2], value.shape)
  for a, b in zip(tested_vjp(g), vjp(g), strict=True):
    np.testing.assert_allclose(a, b, rtol=1e-4, atol=2e-4)


def test_bfloat16_gradients_keep_their_dtype():
  x = jnp.ones((2, 4, 4, 16), jnp.bfloat16)
  kernel = jnp.ones((3, 3, 16, 2), jnp.bfloat16)
  convolve = convolution.for_frames(1)

  def total(x, kernel):
    return jnp.sum(convolve(x, kernel, (1, 1), ((1, 1), (1, 1))))

  gradients = jax.grad(total, (0, 1))(x, kernel)
  assert [g.dtype for g in gradients] == [jnp.bfloat16, jnp.bfloat16]


@pytest.mark.parametrize("strides, size", [((2, 2), (8, 12)), ((2, 3), (7, 9))])
def test_strided_pixels_equal_xlas(strides, size):
  keys = jax.random.split(jax.random.key(0), 3)
  x = jax.random.normal(keys[0], (6, *size, 4))
  kernel = jax.random.normal(keys[1], (1, 1, 4, 5))

  def plain(x, kernel):
    return lax.conv_general_dilated(
      x,
      kernel,
      strides,
      ((0, 0), (0, 0)),
      dimension_numbers=("NHWC", "HWIO", "NHWC"),
    )

  def pixels(x, kernel):
    return convolution.pixels(strides, 3, x, kernel)

  expected, vjp = jax.vjp(plain, x, kernel)
  value, tested_vjp = jax.vjp(pixels, x, kernel)
  np.testing.assert_allclose(value, expected, rtol=1e-5, atol=1e-5)
  np.testing.assert_allclose(pixels(x, kernel), expected, rtol=1e-5, atol=1e-5)
  g = jax.random.normal(keys[2], value.shape)
  for a, b in zip(tested_vjp(g), vjp(g), strict=True):
    np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("platform", ["tpu", "cuda"])
def test_accelerators_take_no_detour(platform):
  def gradients(x, kernel, g):
    return jax.vjp(
      lambda x, kernel: convolution.pixels((2, 2), 3, x, kernel), x, kernel
    )[1](g)

  arguments = (
    jax.ShapeDtypeStruct(shape, jnp.float32)
    for shape in ((6, 8, 12, 4), (1, 1, 4, 5), (6, 4, 6, 5))
  )
  traced = jax.jit(gradients).trace(*arguments)
  text = traced.lower(lowering_platforms=(platform,)).as_text()
  # On a TPU no array is filled up with zeros; on a GPU no convolution is
  # dilated.
  assert ("stablehlo.pad" in text) == (platform == "cuda")
  assert ("lhs_dilate = [2, 2]" in text) == (platform == "tpu")
