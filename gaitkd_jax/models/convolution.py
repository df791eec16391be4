"""Convolutions of frames and clips whose gradients are fast on CPU too.

The value is that of `jax.lax.conv_general_dilated` on every platform, and so
are the gradients on accelerators. On CPU, XLA's convolution for the kernel's
gradient, and that for the input's under a stride, run several times slower
than the forward one; there both are written as matrix products and plain
convolutions.
"""

import functools

import jax
from jax import lax
import jax.numpy as jnp

_NUMBERS = ("NHWC", "HWIO", "NHWC")
_CLIP_NUMBERS = ("NDHWC", "DHWIO", "NDHWC")
# Below this many channels copying windows costs more than it saves.
_MIN_CHANNELS = 16


def for_frames(frames: int):
  """Returns what `flax.linen.Conv` takes as `conv_general_dilated`.

  Args:
    frames: `s` of the input, which arrives as `[n * s, h, w, c]`.
  """

  def convolve(x, kernel, strides, padding, **others):
    if (
      others.get("feature_group_count", 1) != 1
      or set(others.get("lhs_dilation") or ()) - {1}
      or set(others.get("rhs_dilation") or ()) - {1}
    ):
      raise ValueError(f"groups and dilations are not supported: {others}")
    return _convolve(tuple(strides), tuple(padding), frames, x, kernel)

  return convolve


@functools.partial(jax.custom_vjp, nondiff_argnums=(0, 1, 2))
def _convolve(strides, padding, frames, x, kernel):
  return lax.conv_general_dilated(
    x, kernel, strides, padding, dimension_numbers=_NUMBERS
  )


def _forward(strides, padding, frames, x, kernel):
  return _convolve(strides, padding, frames, x, kernel), (x, kernel)


def _backward(strides, padding, frames, saved, g):
  x, kernel = saved
  plain = functools.partial(
    lax.conv_general_dilated,
    window_strides=strides,
    padding=padding,
    dimension_numbers=_NUMBERS,
  )

  def input_gradient(x, kernel, g):
    return jax.vjp(lambda x: plain(x, kernel), x)[1](g)[0]

  def kernel_gradient(x, kernel, g):
    return jax.vjp(lambda k: plain(x, k), kernel)[1](g)[0]

  on_cpu_dx, on_cpu_dk = input_gradient, kernel_gradient
  if x.shape[-1] >= _MIN_CHANNELS:
    on_cpu_dk = functools.partial(_kernel_products, strides, padding, frames)
  if _halves(strides, padding, x, kernel):

    def on_cpu_dx(x, kernel, g):
      return jax.vjp(lambda x: _halving(x, kernel), x)[1](g)[0]

  return (
    lax.platform_dependent(x, kernel, g, cpu=on_cpu_dx, default=input_gradient),
    lax.platform_dependent(
      x, kernel, g, cpu=on_cpu_dk, default=kernel_gradient
    ),
  )


_convolve.defvjp(_forward, _backward)


def for_clips(x, kernel, strides, padding, **others):
  """What `flax.linen.Conv` takes as `conv_general_dilated` for three axes.

  The input arrives as `[n, s, h, w, c]`; the stride over time must be 1.
  """
  del others
  return _convolve_clips(tuple(strides), tuple(padding), x, kernel)


@functools.partial(jax.custom_vjp, nondiff_argnums=(0, 1))
def _convolve_clips(strides, padding, x, kernel):
  return lax.conv_general_dilated(
    x, kernel, strides, padding, dimension_numbers=_CLIP_NUMBERS
  )


def _clips_forward(strides, padding, x, kernel):
  return _convolve_clips(strides, padding, x, kernel), (x, kernel)


def _clips_backward(strides, padding, saved, g):
  x, kernel = saved
  plain = functools.partial(
    lax.conv_general_dilated,
    window_strides=strides,
    padding=padding,
    dimension_numbers=_CLIP_NUMBERS,
  )

  def kernel_gradient(x, kernel, g):
    return jax.vjp(lambda k: plain(x, k), kernel)[1](g)[0]

  def input_gradient(x, kernel, g):
    return jax.vjp(lambda x: plain(x, kernel), x)[1](g)[0]

  def taps(x, kernel):
    """The frames under every tap of the kernel over time, and that tap."""
    x = jnp.pad(x, ((0, 0), padding[0], *((0, 0),) * 3))
    for t, tap in enumerate(kernel):
      yield x[:, t : t + g.shape[1]].reshape(-1, *x.shape[2:]), tap

  def products(x, kernel, g):
    frames, g = g.shape[1], g.reshape(-1, *g.shape[2:])
    return jnp.stack(
      [
        _kernel_products(strides[1:], padding[1:], frames, frame, tap, g)
        for frame, tap in taps(x, kernel)
      ]
    )

  def halving_gradient(x, kernel, g):
    def halving(x):
      return sum(_halving(*pair) for pair in taps(x, kernel))

    return jax.vjp(halving, x)[1](g.reshape(-1, *g.shape[2:]))[0]

  on_cpu_dx, on_cpu_dk = input_gradient, kernel_gradient
  if x.shape[-1] >= _MIN_CHANNELS:
    on_cpu_dk = products
  if _halves(strides[1:], padding[1:], x[:, 0], kernel[0]):
    on_cpu_dx = halving_gradient
  return (
    lax.platform_dependent(x, kernel, g, cpu=on_cpu_dx, default=input_gradient),
    lax.platform_dependent(
      x, kernel, g, cpu=on_cpu_dk, default=kernel_gradient
    ),
  )


_convolve_clips.defvjp(_clips_forward, _clips_backward)


def _kernel_products(strides, padding, frames, x, kernel, g):
  """The kernel's gradient: windows times output gradients, frame by frame.

  One frame of every sequence at a time bounds the memory of the windows and
  leaves the axis of sequences, which may be sharded, alone.
  """
  rows, columns, c, features = kernel.shape
  _, h, w, _ = g.shape
  x = jnp.pad(x, ((0, 0), *padding, (0, 0)))
  x = x.reshape(-1, frames, *x.shape[1:])
  g = g.reshape(-1, frames, *g.shape[1:])

  def add_frame(total, t):
    frame = lax.dynamic_index_in_dim(x, t, 1, keepdims=False)
    out = lax.dynamic_index_in_dim(g, t, 1, keepdims=False)
    windows = jnp.concatenate(
      [
        frame[
          :,
          i : i + strides[0] * (h - 1) + 1 : strides[0],
          j : j + strides[1] * (w - 1) + 1 : strides[1],
        ]
        for i in range(rows)
        for j in range(columns)
      ],
      axis=-1,
    )
    windows, out = windows.astype(jnp.float32), out.astype(jnp.float32)
    return total + jnp.einsum("nhwk,nhwo->ko", windows, out), None

  start = jnp.zeros((rows * columns * c, features), jnp.float32)
  total, _ = lax.scan(add_frame, start, jnp.arange(frames))
  return total.reshape(kernel.shape).astype(kernel.dtype)


def _halves(strides, padding, x, kernel) -> bool:
  """Whether this is the 3 x 3 convolution that halves an even image."""
  return (
    strides == (2, 2)
    and kernel.shape[:2] == (3, 3)
    and tuple(map(tuple, padding)) == ((1, 1), (1, 1))
    and x.shape[1] % 2 == x.shape[2] % 2 == 0
  )


def _halving(x, kernel):
  """That convolution on 2 x 2 blocks of pixels, without a stride.

  Output row y reads the rows 2y - 1, 2y, 2y + 1, which lie in the blocks y - 1
  and y; the window of 2 x 2 blocks has a first row and column of zeros.
  """
  n, h, w, c = x.shape
  features = kernel.shape[-1]
  x = x.reshape(n, h // 2, 2, w // 2, 2, c).transpose(0, 1, 3, 2, 4, 5)
  x = x.reshape(n, h // 2, w // 2, 4 * c)
  kernel = jnp.pad(kernel, ((1, 0), (1, 0), (0, 0), (0, 0)))
  kernel = kernel.reshape(2, 2, 2, 2, c, features)
  kernel = kernel.transpose(0, 2, 1, 3, 4, 5).reshape(2, 2, 4 * c, features)
  return lax.conv_general_dilated(
    x, kernel, (1, 1), ((1, 0), (1, 0)), dimension_numbers=_NUMBERS
  )
