"""Batches for training and for evaluation."""

import numpy as np
import pytest

from data_pipelines import pipeline
from data_pipelines import sampling
from gaitkd_jax import errors
from tests.helpers import batches as batches_lib
from tests.helpers import small_store


def test_shuffled_batches_hold_every_sequence_once_an_epoch(store):
  batches = batches_lib.take(
    batches_lib.train(
      store,
      sampler="shuffled",
      identities=3,
      sequences=2,
      augment=pipeline.Augment(),
    ),
    4,
  )
  lengths = [b["silhouettes"][:, 0, 0, 11] for b in batches]
  assert sorted(np.ravel(lengths)) == sorted([*store.lengths, *store.lengths])
  with pytest.raises(errors.UserError, match="triplet, shuffled"):
    batches_lib.train(store, sampler="random")


def test_train_batches_hold_clips_of_their_labels(store):
  batches = batches_lib.train(
    store, augment=pipeline.Augment(), clip=pipeline.Clip(frames=4, skip=1)
  )
  for batch in batches_lib.take(batches, 10):
    clips, labels = batch["silhouettes"], batch["labels"]
    assert clips.shape == (8, 4, 64, 44) and clips.dtype == np.uint8
    assert labels.dtype == np.int32
    np.testing.assert_array_equal(labels, np.repeat(labels[::4], 4))
    assert len(set(labels)) == 2
    for clip, label in zip(clips, labels, strict=True):
      numbers, length = clip[:, 0, 10], clip[0, 0, 11]
      position = np.flatnonzero(store.lengths == length).item()
      assert store.labels[position] == label
      frames = small_store.decode(store, position, numbers.astype(int))[
        "silhouettes"
      ]
      np.testing.assert_array_equal(clip, frames[:, :, 10:54])


@pytest.mark.parametrize("sampler", pipeline.SAMPLERS)
@pytest.mark.parametrize("kind", sampling.KINDS)
def test_resuming_gives_the_batches_of_an_undisturbed_run(store, kind, sampler):
  options = {
    "clip": pipeline.Clip(kind, 6, 2, min_frames=3, max_frames=8),
    "sampler": sampler,
  }
  whole = batches_lib.take(batches_lib.train(store, **options), 6)
  resumed = batches_lib.take(
    batches_lib.train(store, **options, start_step=4), 2
  )
  batches_lib.assert_equal(whole[4:], resumed)
  assert not np.array_equal(whole[4]["silhouettes"], whole[5]["silhouettes"])


def test_seed_changes_the_batches(store):
  a, b = next(batches_lib.train(store)), next(batches_lib.train(store, seed=4))
  assert not np.array_equal(a["silhouettes"], b["silhouettes"])


@pytest.mark.parametrize("count", [2, 4])
def test_shares_of_processes_make_up_the_global_batch(store, count):
  whole = batches_lib.take(batches_lib.train(store), 3)
  shares = [
    batches_lib.take(
      batches_lib.train(store, process_index=i, process_count=count), 3
    )
    for i in range(count)
  ]
  joined = [
    batches_lib.joined([share[step] for share in shares]) for step in range(3)
  ]
  batches_lib.assert_equal(whole, joined)


def test_bad_batches_are_refused(store):
  with pytest.raises(errors.UserError, match="8, which 3 processes"):
    batches_lib.train(store, process_count=3)
  with pytest.raises(errors.UserError, match="at least 1"):
    batches_lib.train(store, identities=0)
  with pytest.raises(errors.UserError, match="seed is -1"):
    batches_lib.train(store, seed=-1)
  with pytest.raises(errors.UserError, match="10, which 4 processes"):
    pipeline.eval_batches(store, batch_size=10, process_count=4)
  with pytest.raises(errors.UserError, match="do not hold .* 25"):
    pipeline.eval_batches(store, batch_size=10, buckets=(5, 20))


@pytest.mark.parametrize(
  "batch_size, max_frames, buckets",
  [
    (1, 720, None),
    (5, 720, None),
    (64, 720, (30,)),
    (3, 10, (4, 10)),
    (4, 720, (25, 7, 16, 100)),
  ],
)
def test_eval_yields_every_sequence_once(
  store, batch_size, max_frames, buckets
):
  seen = []
  shapes = []
  for batch in pipeline.eval_batches(
    store, batch_size=batch_size, max_frames=max_frames, buckets=buckets
  ):
    shapes.append(batch["silhouettes"].shape)
    assert {name: column.dtype for name, column in batch.items()} == {
      "silhouettes": np.uint8,
      "lengths": np.int32,
      "index": np.int32,
      "mask": np.bool_,
    }
    for frames, length, index, mask in zip(
      *(batch[k] for k in ("silhouettes", "lengths", "index", "mask")),
      strict=True,
    ):
      assert not frames[length:].any()
      if not mask:
        assert length == 1 and not frames.any()
        continue
      seen.append(index)
      assert length == min(store.lengths[index], max_frames)
      expected = small_store.decode(store, index, np.arange(length))[
        "silhouettes"
      ]
      np.testing.assert_array_equal(frames[:length], expected[:, :, 10:54])
  assert sorted(seen) == list(range(12))
  assert {shape[0] for shape in shapes} == {batch_size}
  assert shapes == sorted(shapes)
  if buckets:
    assert {shape[1] for shape in shapes} <= set(buckets)


def test_eval_shares_make_up_the_global_batches(store):
  options = {"batch_size": 6, "buckets": (9, 25)}
  whole = list(pipeline.eval_batches(store, **options))
  shares = [
    list(
      pipeline.eval_batches(store, **options, process_index=i, process_count=3)
    )
    for i in range(3)
  ]
  joined = [batches_lib.joined(rows) for rows in zip(*shares, strict=True)]
  batches_lib.assert_equal(whole, joined)


def test_default_buckets_are_few_and_pad_little():
  assert pipeline.default_buckets(np.full(9, 30)) == (30,)
  assert pipeline.default_buckets(np.array([800, 900]), 720) == (720,)
  two = np.repeat([40, 90], 50)
  assert pipeline.default_buckets(two) == (40, 90)
  # Each doubling would be worth a bucket.
  many = np.repeat([10, 20, 40, 80, 160, 320], [320, 160, 80, 40, 20, 10])
  assert len(pipeline.default_buckets(many)) == 4
  lengths = np.random.default_rng(0).integers(20, 140, 3000)
  buckets = pipeline.default_buckets(lengths)
  assert len(buckets) <= 4 and buckets[-1] == lengths.max()
  padded = np.take(buckets, np.searchsorted(buckets, lengths)).sum()
  assert padded < 1.25 * lengths.sum() < lengths.max() * len(lengths)
