"""Convolutions of frames and clips that train fast on CPU too.

Value and gradients are those of `jax.lax.conv_general_dilated`; on accelerators
they are computed by it. On CPU, XLA's convolution for the kernel's gradient,
and that for the input's under a stride, run several times slower than the
forward one; there both are written as matrix products and plain convolutions.
So are, in training, convolutions of one pixel and those of one channel; a
forward pass without gradients stays one convolution on every platform.
"""

from collections.abc import Callable
from collections.abc import Iterator
from collections.abc import Sequence
import functools
from typing import Any

import jax
from jax import lax
import jax.numpy as jnp

from gaitkd_jax.models import cpu_convolution

_NUMBERS = ("NHWC", "HWIO", "NHWC")
_CLIP_NUMBERS = ("NDHWC", "DHWIO", "NDHWC")
_NO_PADDING = ((0, 0), (0, 0))
_Strides = tuple[int, ...]
_Padding = tuple[tuple[int, int], ...]
_Pair = tuple[jax.Array, jax.Array]
# From input and kernel to the result.
_Form = Callable[[jax.Array, jax.Array], jax.Array]
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
  plain = functools.partial(_convolve, strides, padding, frames)
  on_cpu: _Form | None = None
  if cpu_convolution.is_product(strides, padding, kernel):
    on_cpu = cpu_convolution.product
  elif cpu_convolution.folds(strides, padding, x, kernel):
    on_cpu = cpu_convolution.folded
  if on_cpu is None:
    y = plain(x, kernel)
  else:
    y = lax.platform_dependent(x, kernel, cpu=on_cpu, default=plain)
  return y, (x, kernel)


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

  def input_gradient_by(form: _Form) -> _Gradient:
    return lambda x, kernel, g: jax.vjp(lambda x: form(x, kernel), x)[1](g)[0]

  def folded_kernel_gradient(
    x: jax.Array, kernel: jax.Array, g: jax.Array
  ) -> jax.Array:
    x, g = cpu_convolution.fold(x), cpu_convolution.fold(g)
    wide, vjp = jax.vjp(cpu_convolution.fold_kernel, kernel)
    return vjp(
      cpu_convolution.kernel_gradient(strides, padding, frames, x, wide, g)
    )[0]

  input_on_cpu: _Gradient | None = None
  kernel_on_cpu: _Gradient = functools.partial(
    cpu_convolution.kernel_gradient, strides, padding, frames
  )
  if cpu_convolution.halves(strides, padding, x, kernel):
    input_on_cpu = input_gradient_by(cpu_convolution.halving)
  elif cpu_convolution.is_product(strides, padding, kernel):
    input_on_cpu = input_gradient_by(cpu_convolution.product)
  elif cpu_convolution.folds(strides, padding, x, kernel):
    kernel_on_cpu = folded_kernel_gradient
  return _gradients(convolve, input_on_cpu, kernel_on_cpu, x, kernel, g)


_convolve.defvjp(_forward, _backward)


@functools.partial(jax.custom_vjp, nondiff_argnums=(0, 1))
def pixels(
  strides: _Strides, frames: int, x: jax.Array, kernel: jax.Array
) -> jax.Array:
  """A strided convolution of single pixels, as in shortcuts.

  Taking the pixels first leaves a plain product, whose gradients are faster,
  on CPU several times. But on a GPU the slice is a copy, which a forward pass
  alone can do without, and on a TPU so is the padding that gives the gradient
  the size of the input.

  Args:
    strides: along height and width.
    frames: `s`.
    x: `[n * s, h, w, c]`.
    kernel: `[1, 1, c, features]`.

  Returns:
    `[n * s, h', w', features]`.
  """
  del frames  # the backward pass needs it

  def sliced(x: jax.Array, kernel: jax.Array) -> jax.Array:
    return _plain((1, 1), _sliced(strides, x), kernel)

  strided = functools.partial(_plain, strides)
  return lax.platform_dependent(x, kernel, cuda=strided, default=sliced)


def _pixels_forward(
  strides: _Strides, frames: int, x: jax.Array, kernel: jax.Array
) -> tuple[jax.Array, _Pair]:
  y, _ = _forward((1, 1), _NO_PADDING, frames, _sliced(strides, x), kernel)
  return y, (x, kernel)


def _pixels_backward(
  strides: _Strides, frames: int, saved: _Pair, g: jax.Array
) -> _Pair:
  x, kernel = saved
  small, spread = jax.vjp(functools.partial(_sliced, strides), x)
  d_small, d_kernel = _backward((1, 1), _NO_PADDING, frames, (small, kernel), g)

  def transposed(
    x: jax.Array, kernel: jax.Array, g: jax.Array, d_small: jax.Array
  ) -> jax.Array:
    return jax.vjp(lambda x: _plain(strides, x, kernel), x)[1](g)[0]

  def padded(
    x: jax.Array, kernel: jax.Array, g: jax.Array, d_small: jax.Array
  ) -> jax.Array:
    return spread(d_small)[0]

  d_x = lax.platform_dependent(
    x, kernel, g, d_small, tpu=transposed, default=padded
  )
  return d_x, d_kernel


pixels.defvjp(_pixels_forward, _pixels_backward)


def _sliced(strides: _Strides, x: jax.Array) -> jax.Array:
  # Indices would make a gather where the first axis is symbolic.
  return lax.slice(x, (0,) * 4, x.shape, (1, *strides, 1))


def _plain(strides: _Strides, x: jax.Array, kernel: jax.Array) -> jax.Array:
  return lax.conv_general_dilated(
    x, kernel, strides, _NO_PADDING, dimension_numbers=_NUMBERS
  )


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
        cpu_convolution.kernel_gradient(
          strides[1:], padding[1:], frames, frame, tap, g
        )
        for frame, tap in taps(x, kernel)
      ]
    )

  def halving_gradient(
    x: jax.Array, kernel: jax.Array, g: jax.Array
  ) -> jax.Array:
    def halving(x: jax.Array) -> jax.Array:
      return functools.reduce(
        jnp.add, (cpu_convolution.halving(*pair) for pair in taps(x, kernel))
      )

    return jax.vjp(halving, x)[1](g.reshape(-1, *g.shape[2:]))[0]

  halves = cpu_convolution.halves(strides[1:], padding[1:], x[:, 0], kernel[0])
  return _gradients(
    convolve, halving_gradient if halves else None, products, x, kernel, g
  )


_convolve_clips.defvjp(_clips_forward, _clips_backward)


def _gradients(
  convolve: _Form,
  input_on_cpu: _Gradient | None,
  kernel_on_cpu: _Gradient,
  x: jax.Array,
  kernel: jax.Array,
  g: jax.Array,
) -> _Pair:
  """The gradients of input and kernel, on CPU by the means given."""

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
      cpu=kernel_on_cpu,
      default=kernel_gradient,
    ),
  )
