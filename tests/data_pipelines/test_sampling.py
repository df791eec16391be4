"""Which sequences and frames are drawn."""

import numpy as np
import pytest

from data_pipelines import sampling
from gaitkd_jax import errors
from tests.helpers import command

# Five identities of 3, 10, 1, 4 and 6 sequences.
_LABELS = np.repeat(np.arange(5), [3, 10, 1, 4, 6])


def test_sequences_are_k_of_each_of_p_identities():
  for step in range(50):
    index = sampling.draw_sequences(_LABELS, 4, 3, seed=1, step=step)
    labels = _LABELS[index].reshape(4, 3)
    assert (labels == labels[:, :1]).all()
    assert len(set(labels[:, 0])) == 4
    for row, label in zip(index.reshape(4, 3), labels[:, 0], strict=True):
      # Without replacement wherever the identity has enough.
      assert len(set(row)) == 3 or label == 2


def test_more_identities_than_there_are_are_drawn_with_replacement():
  index = sampling.draw_sequences(_LABELS, 8, 2, seed=0, step=0)
  labels = _LABELS[index].reshape(8, 2)[:, 0]
  assert len(index) == 16 and len(set(labels)) <= 5


def test_every_identity_and_every_sequence_is_equally_likely():
  draws = 10_000
  index = np.concatenate(
    [sampling.draw_sequences(_LABELS, 2, 2, 7, step) for step in range(draws)]
  )
  identities = np.bincount(_LABELS[index], minlength=5) / (2 * draws)
  # 2 of 5 identities; the standard deviation of a rate is below 0.005.
  np.testing.assert_allclose(identities, 0.4, atol=0.02)
  within = np.bincount(index, minlength=len(_LABELS))
  for k in range(5):
    rates = within[np.equal(_LABELS, k)]
    rates = rates / rates.sum()
    np.testing.assert_allclose(rates, 1 / len(rates), atol=0.05)


@pytest.mark.parametrize("kind", sampling.KINDS)
def test_draws_depend_on_seed_and_step_alone(kind):
  clip = sampling.Clip(kind, 6, 2, min_frames=2, max_frames=30)
  lengths = np.array([3, 20, 9, 40])

  def draw(seed, step):
    return (
      sampling.draw_sequences(_LABELS, 3, 2, seed, step),
      sampling.draw_shuffled(100, 7, seed, step),
      *sampling.draw_frames(lengths, clip, seed, step),
    )

  first = draw(5, 11)
  draw(6, 1)
  again = draw(5, 11)
  for a, b in zip(first, again, strict=True):
    np.testing.assert_array_equal(a, b)
  for other in (draw(5, 12), draw(6, 11)):
    same = [np.array_equal(a, b) for a, b in zip(first, other, strict=True)]
    drawn = kind != "all_ordered", kind.startswith("unfixed")
    assert same == [False, False, not drawn[0], not drawn[1]]


def test_streams_of_a_step_are_independent():
  draws = [sampling.generator(0, 0, stream).random(1000) for stream in range(3)]
  correlation = np.corrcoef(draws) - np.eye(3)
  assert np.abs(correlation).max() < 0.15


def test_ordered_frames_lie_in_a_window_and_ascend():
  clip = sampling.Clip("fixed_ordered", 10, 4)
  lengths = np.full(4000, 30)
  frames, _ = sampling.draw_frames(lengths, clip, seed=3, step=0)
  assert frames.shape == (4000, 10)
  assert (np.diff(frames) > 0).all()
  assert (frames[:, -1] - frames[:, 0] < 14).all()
  assert frames.min() == 0 and frames.max() == 29


def test_ordered_windows_start_uniformly():
  clip = sampling.Clip("fixed_ordered", 10, 0)
  frames, _ = sampling.draw_frames(np.full(20000, 14), clip, seed=0, step=0)
  starts = np.bincount(frames[:, 0]) / 20000
  assert len(starts) == 5
  np.testing.assert_allclose(starts, 0.2, atol=0.015)
  assert (np.diff(frames) == 1).all()


def test_ordered_frames_of_a_window_are_equally_likely():
  clip = sampling.Clip("fixed_ordered", 3, 2)
  frames, _ = sampling.draw_frames(np.full(20000, 5), clip, seed=0, step=0)
  np.testing.assert_allclose(
    np.bincount(frames.ravel()) / 20000, 0.6, atol=0.02
  )


@pytest.mark.parametrize("length", [1, 2, 5, 7, 11])
def test_ordered_frames_of_a_short_sequence_go_round(length):
  clip = sampling.Clip("fixed_ordered", 8, 4)
  frames, _ = sampling.draw_frames(np.full(500, length), clip, seed=0, step=0)
  assert frames.min() == 0 and frames.max() == length - 1
  # Unrolled again, the frames still lie in one window, in order.
  steps = np.diff(frames) % length
  assert (np.where(steps == 0, length, steps).sum(1) <= 11).any()
  if length == 11:
    assert ((np.diff(frames) < 0).sum(1) <= 1).all()


def test_ordered_windows_of_a_short_sequence_start_uniformly():
  clip = sampling.Clip("fixed_ordered", 12, 0)
  frames, _ = sampling.draw_frames(np.full(20000, 5), clip, seed=0, step=0)
  # Three times round, 15 frames: four windows of 12.
  starts = np.bincount(frames[:, 0]) / 20000
  np.testing.assert_allclose(starts, [0.25] * 4, atol=0.015)
  assert (np.diff(frames) % 5 == 1).all()


def test_unordered_frames_do_not_repeat_unless_they_must():
  clip = sampling.Clip("fixed_unordered", 6)
  lengths = np.array([6, 9, 30, 5, 1] * 200)
  frames, _ = sampling.draw_frames(lengths, clip, seed=0, step=0)
  assert (frames < lengths[:, None]).all() and frames.min() >= 0
  distinct = np.array([len(set(row)) for row in frames])
  assert (distinct[lengths >= 6] == 6).all()
  assert (distinct[lengths == 5] < 6).all()
  # In random order, each frame everywhere.
  thirty = frames[lengths == 9]
  assert (np.diff(thirty) < 0).any(axis=1).mean() > 0.95
  assert all(len(set(column)) == 9 for column in thirty.T)


def test_unordered_frames_are_equally_likely():
  clip = sampling.Clip("fixed_unordered", 4)
  lengths = np.array([10, 25] * 10000)
  frames, _ = sampling.draw_frames(lengths, clip, seed=0, step=0)
  rates = np.bincount(frames[lengths == 10].ravel()) / 10000
  np.testing.assert_allclose(rates, 0.4, atol=0.03)


def test_unordered_frames_of_a_short_sequence_are_drawn_with_replacement():
  clip = sampling.Clip("fixed_unordered", 3)
  frames, _ = sampling.draw_frames(np.full(20000, 2), clip, seed=0, step=0)
  patterns = np.bincount(frames @ [1, 2, 4]) / 20000
  np.testing.assert_allclose(patterns, [1 / 8] * 8, atol=0.015)


@pytest.mark.parametrize("order", ["ordered", "unordered"])
def test_unfixed_clips_are_fixed_ones_of_their_own_length(order):
  lengths = np.random.default_rng(0).integers(1, 60, 5000)
  clip = sampling.Clip(f"unfixed_{order}", 1, 3, min_frames=5, max_frames=9)
  frames, counts = sampling.draw_frames(lengths, clip, seed=2, step=1)
  assert frames.shape == (5000, 9) and (frames < lengths[:, None]).all()
  np.testing.assert_allclose(
    np.bincount(counts) / 5000, [0] * 5 + [0.2] * 5, atol=0.02
  )
  for row, count, length in zip(frames, counts, lengths, strict=True):
    if order == "unordered":
      assert length < count or len(set(row[:count])) == count
    elif length >= count + 3:
      assert (np.diff(row[:count]) > 0).all()
      assert row[count - 1] - row[0] < count + 3
  # Each start of a window, each frame of a sequence equally often.
  ten = np.full(20000, 10)
  clip = sampling.Clip(f"unfixed_{order}", 1, 0, min_frames=4, max_frames=7)
  frames, counts = sampling.draw_frames(ten, clip, seed=0, step=0)
  starts = np.bincount(frames[counts == 6, 0], minlength=10)
  expected = [0.2] * 5 + [0] * 5 if order == "ordered" else [0.1] * 10
  np.testing.assert_allclose(starts / starts.sum(), expected, atol=0.02)


def test_all_frames_up_to_a_limit():
  clip = sampling.Clip("all_ordered", max_frames=8)
  frames, counts = sampling.draw_frames(np.array([3, 8, 20]), clip, 0, 0)
  assert counts.tolist() == [3, 8, 8]
  for row, count in zip(frames, counts, strict=True):
    assert row[:count].tolist() == list(range(count))


@pytest.mark.parametrize("n, batch", [(10, 4), (10, 10), (7, 20), (100, 1)])
def test_shuffled_epochs_hold_every_sequence_once(n, batch):
  row = [sampling.draw_shuffled(n, batch, 5, step) for step in range(3 * n)]
  row = np.concatenate(row)[: 3 * n].reshape(3, n)
  assert (np.sort(row) == np.arange(n)).all()
  assert not np.array_equal(row[0], row[1])


@pytest.mark.parametrize(
  "values",
  [
    ("ordered", 30, 4),
    ("fixed_ordered", 0, 4),
    ("fixed_ordered", 30, -1),
    ("all_ordered", 30, 4),
    ("unfixed_ordered", 30, 4, 0, 40),
    ("unfixed_unordered", 30, 4, 41, 40),
  ],
)
def test_bad_clips_are_refused(values):
  with pytest.raises(errors.UserError, match="clip"):
    sampling.Clip(*values)


def test_sampling_needs_no_tensorflow():
  code = (
    "import sys; from data_pipelines import sampling, datasets;"
    " sys.exit('tensorflow' in sys.modules)"
  )
  assert command.output(program=("-c", code)) == ""
