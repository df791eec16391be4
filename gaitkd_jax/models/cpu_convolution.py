"""Convolutions of images in forms that are fast on CPU.

XLA's convolution is fast there if it is unstrided and from many channels to
many. The rest is brought to that form or to matrix products: the kernel's
gradient, the input's gradient under a stride, one pixel, and one channel.

Images are `x` `[n, h, w, c]`, kernels `[rows, columns, c, d]`, and gradients of
the result `g` `[n, h', w', d]`. Beside a form that is not general stands a
function that says where it applies.
"""

import jax
from jax import lax
import jax.numpy as jnp

_NUMBERS = ("NHWC", "HWIO", "NHWC")
# A matrix of at most this many elements is computed for every image and added
# up: XLA does not split one long product of narrow matrices over the cores.
_SMALL_PRODUCT = 2**14
# Neighbouring pixels that become channels of an image that has but one, if the
# result has fewer channels than the second number.
_FOLD = 4
_FOLD_BELOW = 16

_Strides = tuple[int, ...]
_Padding = tuple[tuple[int, int], ...]


def kernel_gradient(
  strides: _Strides,
  padding: _Padding,
  frames: int,
  x: jax.Array,
  kernel: jax.Array,
  g: jax.Array,
) -> jax.Array:
  """The kernel's gradient as matrix products, frame by frame.

  Working on one frame of every sequence at a time bounds the memory of the
  windows, and leaves the axis of sequences, which may be sharded, alone.
  """
  x = x.reshape(-1, frames, *x.shape[1:])
  g = g.reshape(-1, frames, *g.shape[1:])
  shape = kernel.shape
  # Rows of taps come from whichever is narrower, images or their gradients.
  whole = shape[0] * shape[2] <= shape[3]
  products = _window_products if whole else _row_products

  def add_frame(total: jax.Array, t: jax.Array) -> tuple[jax.Array, None]:
    frame, out = (
      lax.dynamic_index_in_dim(a, t, 1, keepdims=False).astype(jnp.float32)
      for a in (x, g)
    )
    return total + products(strides, padding, frame, shape, out), None

  start = jnp.zeros(shape, jnp.float32)
  total, _ = lax.scan(add_frame, start, jnp.arange(frames))
  return total.astype(kernel.dtype)


def _window_products(
  strides: _Strides,
  padding: _Padding,
  x: jax.Array,
  shape: tuple[int, ...],
  g: jax.Array,
) -> jax.Array:
  """A kernel's gradient from one frame of each sequence: windows times `g`."""
  x = jnp.pad(x, ((0, 0), padding[0], (0, 0), (0, 0)))
  last = strides[0] * (g.shape[1] - 1) + 1
  windows = [
    _columns(strides, padding, x[:, i : i + last : strides[0]], shape, g)
    for i in range(shape[0])
  ]
  return _products(jnp.concatenate(windows, axis=-1), g).reshape(shape)


def _row_products(
  strides: _Strides,
  padding: _Padding,
  x: jax.Array,
  shape: tuple[int, ...],
  g: jax.Array,
) -> jax.Array:
  """The same, but it is `g` that is moved for every row of taps.

  That makes 3 + 3 copies for 3 x 3 taps, not 9, and the product of two matrices
  of like width. The rows of taps that meet the same rows of the image, of which
  there are as many sets as the stride is long, share a product.
  """
  rows, columns, c, features = shape
  stride, before = strides[0], padding[0][0]
  x = _columns(strides, padding, x, shape, g)
  gradient: dict[int, jax.Array] = {}
  for start in range(stride):
    image = x[:, start::stride]
    # Row y of `g` meets row y + move of the image.
    moves = {
      i: (i - before - start) // stride
      for i in range(rows)
      if (i - before - start) % stride == 0
    }
    if not moves:
      continue
    moved = []
    for move in moves.values():
      beyond = image.shape[1] - g.shape[1] - move
      rims = ((0, 0, 0), (move, beyond, 0), (0, 0, 0), (0, 0, 0))
      moved.append(lax.pad(g, jnp.zeros((), g.dtype), rims))
    product = _products(image, jnp.concatenate(moved, axis=-1))
    product = product.reshape(columns, c, len(moves), features)
    gradient |= {i: product[:, :, k] for k, i in enumerate(moves)}
  return jnp.stack([gradient[i] for i in range(rows)])


def _columns(
  strides: _Strides,
  padding: _Padding,
  x: jax.Array,
  shape: tuple[int, ...],
  g: jax.Array,
) -> jax.Array:
  """What the taps of one row see, as channels `[n, rows, w, columns * c]`."""
  x = jnp.pad(x, ((0, 0), (0, 0), padding[1], (0, 0)))
  last = strides[1] * (g.shape[2] - 1) + 1
  return jnp.concatenate(
    [x[:, :, j : j + last : strides[1]] for j in range(shape[1])], axis=-1
  )


def _products(a: jax.Array, b: jax.Array) -> jax.Array:
  """Sums over all pixels of the products of `[n, h, w, i]`, `[n, h, w, j]`."""
  if a.shape[-1] * b.shape[-1] > _SMALL_PRODUCT:
    return jnp.einsum("nhwi,nhwj->ij", a, b)
  return jnp.sum(jnp.einsum("nhwi,nhwj->nij", a, b), axis=0)


def is_product(strides: _Strides, padding: _Padding, kernel: jax.Array) -> bool:
  """Whether every pixel is convolved on its own."""
  return (
    kernel.shape[:2] == strides == (1, 1)
    and tuple(map(tuple, padding)) == ((0, 0),) * 2
  )


def product(x: jax.Array, kernel: jax.Array) -> jax.Array:
  """That convolution as a matrix product."""
  return jnp.einsum("nhwc,cd->nhwd", x, kernel[0, 0])


def folds(
  strides: _Strides, padding: _Padding, x: jax.Array, kernel: jax.Array
) -> bool:
  """Whether this is a 3 x 3 convolution from one channel to few."""
  return (
    strides == (1, 1)
    and kernel.shape[:3] == (3, 3, 1)
    and kernel.shape[3] < _FOLD_BELOW
    and tuple(map(tuple, padding)) == ((1, 1), (1, 1))
    and x.shape[2] % _FOLD == 0
  )


def folded(x: jax.Array, kernel: jax.Array) -> jax.Array:
  """That convolution on neighbouring pixels as channels."""
  y = lax.conv_general_dilated(
    fold(x),
    fold_kernel(kernel),
    (1, 1),
    ((1, 1), (1, 1)),
    dimension_numbers=_NUMBERS,
  )
  return y.reshape(*x.shape[:3], -1)


def fold(x: jax.Array) -> jax.Array:
  """`[n, h, w, c]` as `[n, h, w / fold, fold * c]`."""
  return x.reshape(*x.shape[:2], x.shape[2] // _FOLD, -1)


def fold_kernel(kernel: jax.Array) -> jax.Array:
  """The kernel `[3, 3, c, d]` on folded pixels, `[3, 3, fold * c, fold * d]`.

  Pixel q of a block reads, of its own block and the two beside it in a row, the
  pixels fold + q - 1 to fold + q + 1.
  """
  rims = ((_FOLD - 1 + q, 2 * _FOLD - 2 - q) for q in range(_FOLD))
  wide = jnp.stack(
    [jnp.pad(kernel, ((0, 0), rim, (0, 0), (0, 0))) for rim in rims], axis=3
  )
  _, _, c, _, features = wide.shape
  return wide.reshape(3, 3, _FOLD * c, _FOLD * features)


def halves(
  strides: _Strides, padding: _Padding, x: jax.Array, kernel: jax.Array
) -> bool:
  """Whether this is the 3 x 3 convolution that halves an even image."""
  return (
    strides == (2, 2)
    and kernel.shape[:2] == (3, 3)
    and tuple(map(tuple, padding)) == ((1, 1), (1, 1))
    and x.shape[1] % 2 == x.shape[2] % 2 == 0
  )


def halving(x: jax.Array, kernel: jax.Array) -> jax.Array:
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
