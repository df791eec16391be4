"""What is found within one block of distances."""

import jax.numpy as jnp
import numpy as np

from gaitkd_jax.evaluation.protocols import rank_blocks


def test_sort_keys_are_in_the_order_of_distances():
  distance = np.array([[0.0, -0.0, -1e-7, -2e-7, 3.0, 3.0, 1e-30]], np.float32)
  order = np.argsort(rank_blocks.sort_keys(distance, 5)[0])
  np.testing.assert_array_equal(order, np.argsort(distance[0], kind="stable"))


def test_positions_are_filled_up_to_a_power_of_two():
  rows = [np.array([4, 7, 9]), np.array([], int), np.array([2])]
  padded = rank_blocks.padded(rows, 4)
  assert padded.dtype == np.int32
  assert padded.tolist() == [
    [4, 7, 9, -1],
    [-1] * 4,
    [2, -1, -1, -1],
    [-1] * 4,
  ]


def test_matches_of_a_block():
  # Two probes of subjects 0 and 1; the last item only fills up.
  distance = jnp.array([[3.0, 1.0, 1.0, 0.0], [2.0, 2.0, 5.0, 0.0]])
  probes = jnp.array([[0, -1], [1, -1]])
  items = jnp.array([[0, -1], [1, -1], [0, -1], [-1, -1]])
  before = np.full((2, 1), np.inf, np.float32), np.zeros((2, 1), np.int32)
  nearest, position = rank_blocks.nearest_match(
    before, distance, probes, items, np.int32(10)
  )
  assert nearest.tolist() == [[1], [2]] and position.tolist() == [[12], [11]]
  ahead = rank_blocks.count_ahead(
    distance, nearest, position, probes, items, np.int32(10)
  )
  # Of equal distances the first counts.
  assert ahead.tolist() == [[1], [1]]
  positions = jnp.array([[10, 12], [11, -1]])
  found = rank_blocks.match_distances(
    np.full((2, 2), np.inf, np.float32), positions, distance, np.int32(10)
  )
  assert found.tolist() == [[3, 1], [2, np.inf]]


def test_items_of_the_same_subject_and_view_are_not_counted():
  distance = jnp.array([[1.0, 2.0, 3.0]])
  match = jnp.array([[3.0]]), jnp.array([[2]])
  items = jnp.array([[0, 5], [1, 5], [0, 6]])
  for view, expected in ((5, 1), (6, 2), (-1, 2)):
    ahead = rank_blocks.count_ahead(
      distance, *match, jnp.array([[0, view]]), items, np.int32(0)
    )
    assert ahead.tolist() == [[expected]]
