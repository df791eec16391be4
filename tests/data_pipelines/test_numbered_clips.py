"""Numbered clips of sequences, which come again, and training with them."""

import itertools
import zlib

import numpy as np
import pytest

from data_pipelines import pipeline
from data_pipelines import sampling
from data_pipelines import store as store_lib
from gaitkd_jax import errors
from tests.helpers import small_store

AUGMENT = pipeline.Augment(0.5, 0.5, 0.5, 0.5, 0.5)
CLIP = pipeline.Clip(frames=6, skip=2)
UNEQUAL = pipeline.Clip("unfixed_unordered", min_frames=3, max_frames=8)


@pytest.fixture(scope="module")
def store():
  sequences, *keys = small_store.columns()
  heatmaps = [np.repeat(s[:, None] // 2, 2, axis=1) for s in sequences]
  return store_lib.SequenceStore.from_arrays(sequences, *keys, heatmaps)


def _numbered(store, **options):
  defaults = dict(batch_size=5, clip=CLIP, augment=AUGMENT, seed=3, views=3)
  return list(pipeline.view_batches(store, **defaults | options))


def _train(store, steps, **options):
  defaults = dict(
    identities=2, sequences=4, clip=CLIP, augment=AUGMENT, seed=3, views=3
  )
  batches = pipeline.train_batches(store, **defaults | options)
  return list(itertools.islice(batches, steps))


def _joined(batches):
  return {
    name: np.concatenate([batch[name] for batch in batches])
    for name in batches[0]
  }


@pytest.mark.parametrize("sampler", pipeline.SAMPLERS)
@pytest.mark.parametrize("clip", [CLIP, UNEQUAL], ids=["equal", "unequal"])
def test_training_shows_the_numbered_clips_again(store, clip, sampler):
  clips = _joined(_numbered(store, clip=clip))
  shown = _joined(_train(store, 12, clip=clip, sampler=sampler))
  rows = shown["sequence"] * 3 + shown["view"]
  assert {"silhouettes", "heatmaps", "labels"} < shown.keys()
  assert ("lengths" in shown) == (clip is UNEQUAL)
  for name, values in shown.items():
    np.testing.assert_array_equal(values, clips[name][rows])
  assert shown["sequence"].dtype == shown["view"].dtype == np.int32
  assert len(np.unique(rows)) > 24


def test_every_clip_comes_once_and_in_order(store):
  batches = _numbered(store)
  joined = _joined(batches)
  mask = joined["mask"]
  assert len(batches) == 8 and mask.sum() == 36 and mask[:36].all()
  number = joined["sequence"] * 3 + joined["view"]
  np.testing.assert_array_equal(number[mask], np.arange(36))
  np.testing.assert_array_equal(joined["labels"], store.labels[number // 3])
  different = np.unique(joined["silhouettes"][mask], axis=0)
  assert len(different) == 36


def test_clips_depend_on_seed_sequence_and_number_alone(store):
  whole = _joined(_numbered(store))
  larger = _joined(_numbered(store, batch_size=9, views=5))
  for i, v in ((0, 0), (4, 2), (11, 1)):
    np.testing.assert_array_equal(
      whole["silhouettes"][i * 3 + v], larger["silhouettes"][i * 5 + v]
    )
  other = _joined(_numbered(store, seed=4))["silhouettes"]
  same = [
    np.array_equal(a, b)
    for a, b in zip(whole["silhouettes"], other, strict=True)
  ]
  assert not any(same)


def test_resumed_clips_are_those_of_an_undisturbed_run(store):
  resumed = _joined(_numbered(store, start=20))
  for name, values in _joined(_numbered(store)).items():
    np.testing.assert_array_equal(values[20:], resumed[name])
  assert _numbered(store, start=40) == []


def test_shares_make_up_the_whole(store):
  kinds = (
    lambda **options: _numbered(store, batch_size=8, **options),
    lambda **options: _train(store, 4, **options),
  )
  for make in kinds:
    whole = make()
    shares = [make(process_index=i, process_count=2) for i in range(2)]
    for step, batch in enumerate(whole):
      joined = _joined([share[step] for share in shares])
      assert joined.keys() == batch.keys()
      for name in batch:
        np.testing.assert_array_equal(batch[name], joined[name])


def test_all_clips_are_equally_likely():
  drawn = np.concatenate([sampling.draw_views(8, 4, 1, s) for s in range(2000)])
  np.testing.assert_allclose(np.bincount(drawn) / len(drawn), 0.25, atol=0.02)
  again = sampling.draw_views(8, 4, 1, 5)
  np.testing.assert_array_equal(drawn[40:48], again)


@pytest.mark.parametrize(
  "sampler, checksum", [("triplet", 2802223147), ("shuffled", 1428902003)]
)
def test_batches_without_numbered_clips_never_change(sampler, checksum):
  store = store_lib.SequenceStore.from_arrays(*small_store.columns())
  found = []
  for kind in ("fixed_ordered", "unfixed_unordered"):
    batches = _train(
      store,
      3,
      clip=pipeline.Clip(kind, 6, 2, min_frames=3, max_frames=8),
      # No interpolation, whose rounding may depend on the processor.
      augment=pipeline.Augment(flip=0.5, erase=0.5),
      sampler=sampler,
      views=0,
    )
    found += [
      batch[name].tobytes() for batch in batches for name in sorted(batch)
    ]
  assert zlib.crc32(b"".join(found)) == checksum


def test_bad_arguments_are_refused(store):
  for options, words in (
    ({"batch_size": 0}, "at least 1"),
    ({"views": 0}, "at least 1"),
    ({"start": 3}, "multiple of the batch"),
    ({"start": -5}, "start -5"),
    ({"seed": -1}, "seed is -1"),
    ({"process_count": 3}, "5, which 3 processes"),
  ):
    with pytest.raises(errors.UserError, match=words):
      _numbered(store, **options)
  with pytest.raises(errors.UserError, match="views -1"):
    _train(store, 1, views=-1)
