import itertools
import types

import numpy as np
import pytest

from data_pipelines import datasets
from data_pipelines import pipeline
from data_pipelines import sampling
from data_pipelines import store as store_lib
from data_pipelines.walkers import walkers_dataset_builder
from gaitkd_jax import errors
from tests.helpers import small_store

AUGMENT = pipeline.Augment(0.5, 0.5, 0.5, 0.5)


@pytest.fixture(scope="module")
def store():
  return store_lib.SequenceStore.from_arrays(*small_store.columns())


def _train(store, **options):
  defaults = {
    "identities": 2,
    "sequences": 4,
    "clip": pipeline.Clip(frames=6, skip=2),
    "augment": AUGMENT,
    "seed": 3,
  }
  return pipeline.train_batches(store, **defaults | options)


def _take(batches, n):
  return list(itertools.islice(batches, n))


def _assert_equal(batches, others):
  assert len(batches) == len(others)
  for batch, other in zip(batches, others, strict=True):
    assert batch.keys() == other.keys()
    for name in batch:
      np.testing.assert_array_equal(batch[name], other[name])


@pytest.mark.parametrize("damage", ["short", "bits", "gone"])
def test_files_damaged_after_they_were_indexed(store, tmp_path, damage):
  file = tmp_path / "a"
  small_store.write(store, file)
  opened = store_lib.SequenceStore.from_files([file], cache_gib=0)
  if damage == "short":
    file.write_bytes(file.read_bytes()[:2000])
  elif damage == "bits":
    data = bytearray(file.read_bytes())
    for i in range(0, len(data), 97):
      data[i] ^= 255
    file.write_bytes(data)
  else:
    file.unlink()
  with pytest.raises(errors.UserError, match="cannot be read .*delete") as e:
    for _ in range(3):
      _take(_train(opened), 3)
  assert "\n" not in str(e.value)


@pytest.mark.parametrize("augment", [pipeline.Augment(), AUGMENT])
def test_heat_maps_share_frames_and_geometry(augment):
  sequences, *keys = small_store.columns()
  heatmaps = [np.repeat(s[:, None], 2, axis=1) for s in sequences]
  for planes in heatmaps:
    planes[:, 1] //= 2
  both = store_lib.SequenceStore.from_arrays(sequences, *keys, heatmaps)
  plain = store_lib.SequenceStore.from_arrays(sequences, *keys)
  pairs = zip(
    _take(_train(both, augment=augment), 3),
    _take(_train(plain, augment=augment), 3),
    strict=True,
  )
  for batch, expected in pairs:
    planes = batch.pop("heatmaps")
    _assert_equal([batch], [expected])
    assert planes.shape == (8, 6, 64, 44, 2) and planes.dtype == np.uint8
    np.testing.assert_array_equal(planes[..., 0], batch["silhouettes"])
    half = batch["silhouettes"] / 2
    np.testing.assert_allclose(planes[..., 1], half, atol=1)
  batches = pipeline.eval_batches(both, batch_size=5)
  for batch in batches:
    np.testing.assert_array_equal(
      batch["heatmaps"][..., 0], batch["silhouettes"]
    )


@pytest.mark.parametrize("order", ["ordered", "unordered"])
def test_unequal_clips_are_augmented_one_by_one(store, order):
  clip = pipeline.Clip(f"unfixed_{order}", skip=2, min_frames=2, max_frames=9)
  flip = pipeline.Augment(flip=0.5)
  pairs = zip(
    _take(_train(store, clip=clip, augment=flip), 4),
    _take(_train(store, clip=clip, augment=pipeline.Augment()), 4),
    strict=True,
  )
  flipped = []
  for batch, plain in pairs:
    assert batch["lengths"].dtype == np.int32
    np.testing.assert_array_equal(batch["lengths"], plain["lengths"])
    for one, other, length in zip(
      batch["silhouettes"], plain["silhouettes"], plain["lengths"], strict=True
    ):
      assert one.shape == (9, 64, 44) and not one[length:].any()
      assert all(frame.any() for frame in one[:length])
      mirrored = np.array_equal(one, other[:, :, ::-1])
      assert mirrored or np.array_equal(one, other)
      flipped.append(mirrored)
  assert 0.2 < np.mean(flipped) < 0.8


def test_shuffled_batches_hold_every_sequence_once_an_epoch(store):
  batches = _take(
    _train(
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
    _train(store, sampler="random")


def test_train_batches_hold_clips_of_their_labels(store):
  batches = _train(
    store, augment=pipeline.Augment(), clip=pipeline.Clip(frames=4, skip=1)
  )
  for batch in _take(batches, 10):
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
  whole = _take(_train(store, **options), 6)
  resumed = _take(_train(store, **options, start_step=4), 2)
  _assert_equal(whole[4:], resumed)
  assert not np.array_equal(whole[4]["silhouettes"], whole[5]["silhouettes"])


def test_seed_changes_the_batches(store):
  a, b = next(_train(store)), next(_train(store, seed=4))
  assert not np.array_equal(a["silhouettes"], b["silhouettes"])


@pytest.mark.parametrize("count", [2, 4])
def test_shares_of_processes_make_up_the_global_batch(store, count):
  whole = _take(_train(store), 3)
  shares = [
    _take(_train(store, process_index=i, process_count=count), 3)
    for i in range(count)
  ]
  joined = [
    {
      name: np.concatenate([share[step][name] for share in shares])
      for name in whole[step]
    }
    for step in range(3)
  ]
  _assert_equal(whole, joined)


def test_bad_batches_are_refused(store):
  with pytest.raises(errors.UserError, match="8, which 3 processes"):
    _train(store, process_count=3)
  with pytest.raises(errors.UserError, match="at least 1"):
    _train(store, identities=0)
  with pytest.raises(errors.UserError, match="seed is -1"):
    _train(store, seed=-1)
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
  joined = [
    {name: np.concatenate([row[name] for row in rows]) for name in rows[0]}
    for rows in zip(*shares, strict=True)
  ]
  _assert_equal(whole, joined)


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


def test_unknown_data_is_refused(tmp_path):
  data = types.SimpleNamespace(
    name="casia",
    root="",
    prepared=str(tmp_path),
    variant="tiny",
    modalities=("silhouettes",),
    partition="",
    train_subjects=(),
    test_subjects=(),
  )
  with pytest.raises(errors.UserError, match="no data set 'casia'"):
    datasets.prepare(data)
  data.name, data.variant = "walkers", "huge"
  with pytest.raises(errors.UserError, match="no walkers variant 'huge'"):
    datasets.prepare(data)
  (tmp_path / "file").touch()
  data.prepared, data.variant = str(tmp_path / "file"), "tiny"
  with pytest.raises(errors.UserError, match="cannot prepare walkers in"):
    datasets.prepare(data)


def test_walkers_are_prepared_once_and_feed_training(tmp_path, monkeypatch):
  data = types.SimpleNamespace(
    name="walkers",
    root="",
    prepared=str(tmp_path),
    variant="tiny",
    modalities=("silhouettes",),
    partition="",
    train_subjects=(),
    test_subjects=(),
  )
  builder_class = walkers_dataset_builder.Builder
  split_generators = builder_class._split_generators

  def overtaken(self, *args):
    # Another process prepares the same data while this one does.
    monkeypatch.undo()
    builder_class(config="tiny", data_dir=tmp_path).download_and_prepare()
    return split_generators(self, *args)

  monkeypatch.setattr(builder_class, "_split_generators", overtaken)
  builder = datasets.prepare(data)
  written = sorted(
    (path, path.stat().st_mtime_ns)
    for path in tmp_path.rglob("*")
    if path.is_file()
  )
  assert written
  again = datasets.prepare(data)
  assert written == sorted(
    (path, path.stat().st_mtime_ns)
    for path in tmp_path.rglob("*")
    if path.is_file()
  )
  train = store_lib.SequenceStore.from_builder(builder, "train")
  test = store_lib.SequenceStore.from_builder(again, "test")
  assert not set(train.subjects) & set(test.subjects)
  batch = next(_train(train))
  assert batch["silhouettes"].shape == (8, 6, 64, 44)
  assert 0.02 < (batch["silhouettes"] > 127).mean() < 0.6
  counted = sum(
    batch["mask"].sum() for batch in pipeline.eval_batches(test, batch_size=4)
  )
  assert counted == len(test)
