"""Picking classes by comparisons and sums."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gaitkd_jax.losses import class_axis


def rows(seed, k=37, ties=False):
  """Logits of two clips and three parts."""
  x = np.random.default_rng(seed).normal(size=(2, 3, k)).astype(np.float32)
  return np.round(x) if ties else x  # with both zeros


@pytest.mark.parametrize("ties", [False, True])
@pytest.mark.parametrize("count", [0, 1, 5, 36, 37, 90])
def test_the_largest_are_those_of_a_stable_sort(count, ties):
  x = rows(count, ties=ties)
  rank = np.argsort(np.argsort(-x, axis=-1, kind="stable"), axis=-1)
  found = jax.jit(class_axis.among_largest)(x, jnp.asarray(count))
  np.testing.assert_array_equal(found, rank < count)
  if count:
    np.testing.assert_array_equal(class_axis.among_largest(x, count), found)


@pytest.mark.parametrize("k", [1, 2, 8, 9])
def test_rows_of_any_length_have_a_largest(k):
  x = rows(k, k=k, ties=True)
  found = np.asarray(class_axis.among_largest(x, 1))
  np.testing.assert_array_equal(found.sum(axis=-1), 1)
  np.testing.assert_array_equal(found.argmax(axis=-1), x.argmax(axis=-1))


def test_numbers_of_unlike_size_are_in_order():
  x = jnp.array([-jnp.inf, -2e30, -1.0, -1e-30, -0.0, 0.0, 1e-30, 3.0, 4e30])
  for count in range(1, len(x)):
    expected = np.arange(len(x)) >= len(x) - count
    if count == 4:  # zeros are equal: the first comes first
      expected[4:6] = True, False
    np.testing.assert_array_equal(
      class_axis.among_largest(x, count), expected, err_msg=str(count)
    )


@pytest.mark.parametrize("share", [0.05, 0.5, 0.93, 0.999])
def test_the_fewest_that_reach_a_share_are_those_of_sorted_sums(share):
  p = jax.nn.softmax(2.0 * rows(3))
  ordered = -np.sort(-np.asarray(p, np.float64), axis=-1)
  reached = np.cumsum(ordered.mean(axis=(0, 1)))
  found = class_axis.fewest_reaching(p, share)
  assert found == 1 + np.sum(reached < share)


def test_no_share_takes_one_class_and_more_than_all_takes_all():
  p = jax.nn.softmax(rows(4))
  assert class_axis.fewest_reaching(p, 0.0) == 1
  assert class_axis.fewest_reaching(p, 1.1) > 37


def test_a_class_is_picked_exactly_and_so_is_its_gradient():
  x, labels = rows(5), jnp.array([36, 0])
  value, gradient = jax.value_and_grad(
    lambda x: jnp.sum(class_axis.at_class(x, labels[:, None]))
  )(x)
  expected = np.take_along_axis(x, np.array([36, 0])[:, None, None], axis=-1)
  np.testing.assert_array_equal(
    class_axis.at_class(x, labels[:, None]), expected[..., 0]
  )
  assert value == pytest.approx(float(expected.sum()))
  assert gradient.sum() == 6 and gradient[0, :, 36].min() == 1
