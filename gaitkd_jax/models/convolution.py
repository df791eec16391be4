"""Convolutions of frames and clips whose gradients are fast on CPU too.

The value is that of `jax.lax.conv_general_dilated` on every platform, and so
are the gradients on accelerators. On CPU, XLA's convolution for the kernel's
gradient, and that for the input's under a stride, run several times slower
than the forward one; there both are written as matrix products and plain
convolutions.
"""

from collections.abc import Callable
from collections.abc import Iterator
from collections.abc import Sequence
import functools
from typing import Any

import jax
from jax import lax
import jax.numpy as jnp

_NUMBERS = ("NHWC", "HWIO", "NHWC")
_CLIP_NUMBERS = ("NDHWC", "DHWIO", "NDHWC")
# Below this many channels copying windows costs more than it saves.
_MIN_CHANNELS = 16

_Strides = tuple[int, ...]
_Padding = tuple[tuple[int, int], ...]
_Pair = tuple[jax.Array, jax.Array]
# From input, kernel and the gradient of the result to another gradient.
_Gradient = Callable[[jax.Array, jax.Array, jax.Array], jax.Array]


def for_frames(frames: int) -> Callable[..., jax.Array]:
  """Returns what `flax.linen.Conv` takes as `conv_general_dilated`.

  Args:
    frames: `s` of the input, which arrives as `[n * s, h, w, c]`.
  """

  def convolve(
    x: jax.Array,
    kernel: jax.Array,
    strides: Sequence[int],
    padding: Sequence[tuple[int, int]],
    **others: Any,
  ) -> jax.Array:
    if (
      others.get("feature_group_count", 1) != 1
      or set(others.get("lhs_dilation") or ()) - {1}
      or set(others.get("rhs_dilation") or ()) - {1}
    ):
      raise ValueError(f"groups and dilations are not supported: {others}")
    return _convolve(tuple(strides), tuple(padding), frames, x, kernel)

  return convolve


@functools.partial(jax.custom_vjp, nondiff_argnums=(0, 1, 2))
def _convolve(
  strides: _Strides,
  padding: _Padding,
  frames: int,
  x: jax.Array,
  kernel: jax.Array,
) -> jax.Array:
  del frames  # the backward pass needs it
  return lax.conv_general_dilated(
    x, kernel, strides, padding, dimension_numbers=_NUMBERS
  )


def _forward(
  strides: _Strides,
  padding: _Padding,
  frames: int,
  x: jax.Array,
  kernel: jax.Array,
) -> tuple[jax.Array, _Pair]:
  return _convolve(strides, padding, frames, x, kernel), (x, kernel)


def _backward(
  strides: _Strides, padding: _Padding, frames: int, saved: _Pair, g: jax.Array
) -> _Pair:
  x, kernel = saved
  convolve = functools.partial(
    lax.conv_general_dilated,
    window_strides=strides,
    padding=padding,
    dimension_numbers=_NUMBERS,
  )

  def halving_gradient(
    x: jax.Array, kernel: jax.Array, g: jax.Array
  ) -> jax.Array:
    return jax.vjp(lambda x: _halving(x, kernel), x)[1](g)[0]

  products = functools.partial(_kernel_products, strides, padding, frames)
  return _gradients(
    convolve,
    halving_gradient if _halves(strides, padding, x, kernel) else None,
    products if x.shape[-1] >= _MIN_CHANNELS else None,
    x,
    kernel,
    g,
  )


_convolve.defvjp(_forward, _backward)


def for_clips(
  x: jax.Array,
  kernel: jax.Array,
  strides: Sequence[int],
  padding: Sequence[tuple[int, int]],
  **others: Any,
) -> jax.Array:
  """What `flax.linen.Conv` takes as `conv_general_dilated` for three axes.

  The input arrives as `[n, s, h, w, c]`; the stride over time must be 1.
  """
  del others
  return _convolve_clips(tuple(strides), tuple(padding), x, kernel)


@functools.partial(jax.custom_vjp, nondiff_argnums=(0, 1))
def _convolve_clips(
  strides: _Strides, padding: _Padding, x: jax.Array, kernel: jax.Array
) -> jax.Array:
  return lax.conv_general_dilated(
    x, kernel, strides, padding, dimension_numbers=_CLIP_NUMBERS
  )


def _clips_forward(
  strides: _Strides, padding: _Padding, x: jax.Array, kernel: jax.Array
) -> tuple[jax.Array, _Pair]:
  return _convolve_clips(strides, padding, x, kernel), (x, kernel)


def _clips_backward(
  strides: _Strides, padding: _Padding, saved: _Pair, g: jax.Array
) -> _Pair:
  x, kernel = saved
  convolve = functools.partial(
    lax.conv_general_dilated,
    window_strides=strides,
    padding=padding,
    dimension_numbers=_CLIP_NUMBERS,
  )

  def taps(x: jax.Array, kernel: jax.Array) -> Iterator[_Pair]:
    """The frames under every tap of the kernel over time, and that tap."""
    x = jnp.pad(x, ((0, 0), padding[0], *((0, 0),) * 3))
    for t, tap in enumerate(kernel):
      yield x[:, t : t + g.shape[1]].reshape(-1, *x.shape[2:]), tap

  def products(x: jax.Array, kernel: jax.Array, g: jax.Array) -> jax.Array:
    frames, g = g.shape[1], g.reshape(-1, *g.shape[2:])
    return jnp.stack(
      [
        _kernel_products(strides[1:], padding[1:], frames, frame, tap, g)
        for frame, tap in taps(x, kernel)
      ]
    )

  def halving_gradient(
    x: jax.Array, kernel: jax.Array, g: jax.Array
  ) -> jax.Array:
    def halving(x: jax.Array) -> jax.Array:
      return functools.reduce(
        jnp.add, (_halving(*pair) for pair in taps(x, kernel))
      )

    return jax.vjp(halving, x)[1](g.reshape(-1, *g.shape[2:]))[0]

  halves = _halves(strides[1:], padding[1:], x[:, 0], kernel[0])
  return _gradients(
    convolve,
    halving_gradient if halves else None,
    products if x.shape[-1] >= _MIN_CHANNELS else None,
    x,
    kernel,
    g,
  )


_convolve_clips.defvjp(_clips_forward, _clips_backward)


def _gradients(
  convolve: Callable[[jax.Array, jax.Array], jax.Array],
  input_on_cpu: _Gradient | None,
  kernel_on_cpu: _Gradient | None,
  x: jax.Array,
  kernel: jax.Array,
  g: jax.Array,
) -> _Pair:
  """The gradients of input and kernel, on CPU by other means if given."""

  def input_gradient(
    x: jax.Array, kernel: jax.Array, g: jax.Array
  ) -> jax.Array:
    return jax.vjp(lambda x: convolve(x, kernel), x)[1](g)[0]

  def kernel_gradient(
    x: jax.Array, kernel: jax.Array, g: jax.Array
  ) -> jax.Array:
    return jax.vjp(lambda kernel: convolve(x, kernel), kernel)[1](g)[0]

  return (
    lax.platform_dependent(
      x,
      kernel,
      g,
      cpu=input_on_cpu or input_gradient,
      default=input_gradient,
    ),
    lax.platform_dependent(
      x,
      kernel,
      g,
      cpu=kernel_on_cpu or kernel_gradient,
      default=kernel_gradient,
    ),
  )


def _kernel_products(
  strides: _Strides,
  padding: _Padding,
  frames: int,
  x: jax.Array,
  kernel: jax.Array,
  g: jax.Array,
) -> jax.Array:
  """The kernel's gradient: windows times output gradients, frame by frame.

  Working on one frame of every sequence at a time bounds the memory of the
  windows, and leaves the axis of sequences, which may be sharded, alone.
  """
  rows, columns, c, features = kernel.shape
  _, h, w, _ = g.shape
  x = jnp.pad(x, ((0, 0), *padding, (0, 0)))
  x = x.reshape(-1, frames, *x.shape[1:])
  g = g.reshape(-1, frames, *g.shape[1:])

  def add_frame(total: jax.Array, t: jax.Array) -> tuple[jax.Array, None]:
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


def _halves(
  strides: _Strides, padding: _Padding, x: jax.Array, kernel: jax.Array
) -> bool:
  """Whether this is the 3 x 3 convolution that halves an even image."""
  return (
    strides == (2, 2)
    and kernel.shape[:2] == (3, 3)
    and tuple(map(tuple, padding)) == ((1, 1), (1, 1))
    and x.shape[1] % 2 == x.shape[2] % 2 == 0
  )


def _halving(x: jax.Array, kernel: jax.Array) -> jax.Array:
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
