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


def test_members_of_a_part_of_the_gallery():
  members = rank_blocks.Members(np.array([3, 0, 3, 1, 3, 3, 0]))
  subjects = np.array([3, 0, 2, 5])
  found = members.within(subjects, slice(2, 6), 6)
  assert found.dtype == np.int32
  assert found.tolist() == [[2, 4, 5, -1]] + 5 * [[-1] * 4]
  assert members.within(subjects[1:], slice(0, 7), 3).tolist() == [
    [1, 6],
    [-1, -1],
    [-1, -1],
  ]


def test_matches_of_a_block():
  # Two probes of subjects 0 and 1; the last item only fills up.
  distance = jnp.array([[3.0, 1.0, 1.0, 0.0], [2.0, 2.0, 5.0, 0.0]])
  probes = jnp.array([[0, -1], [1, -1]])
  items = jnp.array([[0, -1], [1, -1], [0, -1], [-1, -1]])
  positions = jnp.array([[10, 12], [11, -1]])
  found = rank_blocks.match_distances(
    np.full((2, 2), np.inf, np.float32), positions, distance, np.int32(10)
  )
  assert found.tolist() == [[3, 1], [2, np.inf]]
  ahead = rank_blocks.count_ahead(
    distance, found[:, 1:], positions[:, 1:], probes, items, np.int32(10)
  )
  # Of equal distances the first counts.
  assert ahead[0].tolist() == [1]


def by_hand(distance, subjects, items, groups, count):
  """Distance and position of each group's nearest match, and what is ahead."""
  nearest = np.full((len(subjects), count), np.inf)
  position = np.zeros((len(subjects), count), int)
  ahead = np.zeros((len(subjects), count), int)
  for i, subject in enumerate(subjects):
    for group in range(count):
      of_group = np.flatnonzero(groups == group)
      order = of_group[np.argsort(distance[i, of_group], kind="stable")]
      right = np.flatnonzero(items[order] == subject)
      if len(right):
        position[i, group] = order[right[0]]
        nearest[i, group] = distance[i, order[right[0]]]
        ahead[i, group] = right[0]
  return nearest, position, ahead


def test_matches_by_group_over_two_blocks():
  rng = np.random.default_rng(0)
  # Few values: many distances are equal.
  distance = rng.integers(0, 6, (5, 40)).astype(np.float32)
  subjects = np.array([0, 1, 2, 3, 9])  # nobody is the last one
  items, groups = rng.integers(0, 4, 40), rng.integers(0, 3, 40)
  groups[groups == 1] = 0  # a group without items
  expected = by_hand(distance, subjects, items, groups, 3)
  members = rank_blocks.Members(items)
  found = np.full((5, 3), np.inf, np.float32), np.zeros((5, 3), np.int32)
  blocks = []
  for part in (slice(0, 24), slice(24, 40)):
    # Filled up with what would be nearer than all.
    values = np.zeros((5, 24), np.float32)
    values[:, : part.stop - part.start] = distance[:, part]
    codes = np.full(24, -1, np.int32)
    codes[: part.stop - part.start] = groups[part]
    blocks.append((values, codes, np.int32(part.start)))
    positions = members.within(subjects, part, 5)
    found = rank_blocks.nearest_matches(
      found, values, positions, codes, np.int32(part.start)
    )
  there = np.isfinite(expected[0])
  np.testing.assert_array_equal(found[0], expected[0])
  np.testing.assert_array_equal(np.asarray(found[1])[there], expected[1][there])
  ahead = sum(
    rank_blocks.count_ahead_in_groups(values, *found, codes, start)
    for values, codes, start in blocks
  )
  np.testing.assert_array_equal(np.asarray(ahead)[there], expected[2][there])


def test_items_of_the_same_subject_and_view_are_not_counted():
  distance = jnp.array([[1.0, 2.0, 3.0]])
  match = jnp.array([[3.0]]), jnp.array([[2]])
  items = jnp.array([[0, 5], [1, 5], [0, 6]])
  for view, expected in ((5, 1), (6, 2), (-1, 2)):
    ahead = rank_blocks.count_ahead(
      distance, *match, jnp.array([[0, view]]), items, np.int32(0)
    )
    assert ahead.tolist() == [[expected]]
