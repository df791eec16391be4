"""Picking classes, where the axis of classes may be split over devices.

A sort or a look-up along a split axis would bring all logits to every device.
Everything here compares and sums: devices exchange numbers of each row only.
"""

from collections.abc import Callable
from collections.abc import Sequence

import jax
import jax.numpy as jnp

_BITS = 32


def at_class(x: jax.Array, index: jax.Array) -> jax.Array:
  """The value of one class in each row.

  Examples:
    >>> import jax.numpy as jnp
    >>> print(at_class(jnp.array([[1.0, 2.0], [3.0, 4.0]]), jnp.array([1, 0])))
    [2. 3.]

  Args:
    x: `[..., k]`.
    index: int, of the leading shape, or with axes of length 1.

  Returns:
    The leading shape; exact, since only zeros are added.
  """
  return jnp.sum(jnp.where(is_class(x, index), x, 0.0), axis=-1)


def is_class(x: jax.Array, index: jax.Array) -> jax.Array:
  """Where the position along the last axis of `x` is `index`, as bool."""
  classes = jax.lax.broadcasted_iota(jnp.int32, x.shape, x.ndim - 1)
  return classes == index[..., None]


def among_largest(x: jax.Array, count: int | jax.Array) -> jax.Array:
  """Which classes are the `count` largest of their row.

  Of equal ones those of the smaller index. It costs a pass over `x` for each of
  32 bits of a number and each bit of an index, whatever the count.

  Examples:
    >>> import jax.numpy as jnp
    >>> print(among_largest(jnp.array([[3.0, 1.0, 3.0, 3.0]]), 2))
    [[ True False  True False]]

  Args:
    x: `[..., k]`, without NaN; no gradient reaches it.
    count: 0 or more.

  Returns:
    bool of the same shape.
  """
  keys = _ordered(x)
  lowest = _lowest(keys, jnp.asarray(count, jnp.int32))
  above, equal = keys > lowest, keys == lowest
  missing = count - _total(above)
  position = jax.lax.broadcasted_iota(jnp.int32, x.shape, x.ndim - 1)

  def too_few(end: jax.Array) -> jax.Array:
    return _total(equal & (position < end)) < missing

  last = _last(too_few, missing.shape, jnp.int32, x.shape[-1].bit_length())
  return above | (equal & (position <= last) & (missing > 0))


def fewest_reaching(probability: jax.Array, share: float) -> jax.Array:
  """How many of the largest classes have a share of the mass, on average.

  Args:
    probability: `[..., k]`, rows that sum to 1; no gradient reaches it.
    share: of the mass of the so many largest of each row, averaged over rows.

  Returns:
    int32 scalar, the fewest classes that reach it, at least 1; more than k if
    none does.
  """
  probability = jax.lax.stop_gradient(probability)
  keys, classes = _ordered(probability), probability.shape[-1]

  def falls_short(count: jax.Array) -> jax.Array:
    count = jnp.minimum(count, classes)
    lowest = _lowest(keys, count)
    above = keys > lowest
    smallest = jnp.max(
      jnp.where(keys == lowest, probability, 0.0), axis=-1, keepdims=True
    )
    mass = jnp.sum(jnp.where(above, probability, 0.0), -1, keepdims=True)
    mass += smallest * (count - _total(above)).astype(mass.dtype)
    return jnp.mean(mass) < share

  return 1 + _last(falls_short, (), jnp.int32, classes.bit_length())


def _ordered(x: jax.Array) -> jax.Array:
  """uint32 in the order of float32 numbers; both zeros are the same."""
  x = jax.lax.stop_gradient(x).astype(jnp.float32)
  bits = jax.lax.bitcast_convert_type(jnp.where(x == 0.0, 0.0, x), jnp.uint32)
  sign = jnp.uint32(1 << (_BITS - 1))
  return jnp.where(bits < sign, bits | sign, ~bits)


def _lowest(keys: jax.Array, count: jax.Array) -> jax.Array:
  """The smallest key among the `count` largest of each row, `[..., 1]`."""

  def enough(key: jax.Array) -> jax.Array:
    return _total(keys >= key) >= count

  return _last(enough, (*keys.shape[:-1], 1), jnp.uint32, _BITS)


def _last(
  holds: Callable[[jax.Array], jax.Array],
  shape: Sequence[int],
  dtype: jax.typing.DTypeLike,
  bits: int,
) -> jax.Array:
  """The largest number of so many bits for which a monotone test holds.

  Args:
    holds: from numbers to bool, both of `shape`; true up to some number.
    shape: of the result.
    dtype: of the result.
    bits: of the largest number that is tried.

  Returns:
    The numbers, 0 where the test holds nowhere.
  """

  def step(i: jax.Array, found: jax.Array) -> jax.Array:
    bit = jnp.asarray(1, dtype) << (bits - 1 - i).astype(dtype)
    return jnp.where(holds(found | bit), found | bit, found)

  return jax.lax.fori_loop(0, bits, step, jnp.zeros(shape, dtype))


def _total(mask: jax.Array) -> jax.Array:
  return jnp.sum(mask, axis=-1, keepdims=True, dtype=jnp.int32)
