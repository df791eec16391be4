import itertools
import types

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_datasets as tfds

from data_pipelines import datasets
from data_pipelines import pipeline
from data_pipelines import store as store_lib
from data_pipelines.walkers import walkers_dataset_builder
from gaitkd_jax import errors

AUGMENT = pipeline.Augment(0.5, 0.5, 0.5, 0.5)


def _sequence(rng, frames):
  sequence = rng.integers(0, 256, (frames, 64, 64), np.uint8)
  # The first pixels tell the frame's number, then the sequence's length.
  sequence[:, 0, 20] = np.arange(frames)
  sequence[:, 0, 21] = frames
  return sequence


def _columns():
  """Returns sequences, subjects, conditions and views, in no order."""
  rng = np.random.default_rng(0)
  keys = [
    (subject, condition, view)
    for subject in ("007", "002", "010")
    for condition in ("nm-02", "bg-01")
    for view in ("090", "000")
  ]
  return [_sequence(rng, 3 + 2 * i) for i in range(12)], *zip(
    *keys, strict=True
  )


@pytest.fixture(scope="module")
def store():
  return store_lib.SequenceStore.from_arrays(*_columns())


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


def test_store_is_sorted_and_keeps_every_frame(store):
  sequences, *keys = _columns()
  order = sorted(range(12), key=list(zip(*keys, strict=True)).__getitem__)
  names = (store.subjects, store.conditions, store.views)
  for name, key in zip(names, keys, strict=True):
    assert name.tolist() == [key[i] for i in order]
  assert store.labels.tolist() == [0] * 4 + [1] * 4 + [2] * 4
  assert store.num_classes == 3 and len(store) == 12
  assert store.lengths.tolist() == [len(sequences[i]) for i in order]
  for position, i in enumerate(order):
    frames = store.offsets[position] + np.arange(store.lengths[position])
    np.testing.assert_array_equal(pipeline._decode(store, frames), sequences[i])


def test_store_refuses_what_it_cannot_hold():
  row = (["1"], ["nm-01"], ["090"])
  with pytest.raises(errors.UserError, match=r"1-nm-01-090 is float32"):
    store_lib.SequenceStore.from_arrays([np.zeros((2, 64, 64), "f4")], *row)
  with pytest.raises(errors.UserError, match=r"\[2, 64, 44\]"):
    store_lib.SequenceStore.from_arrays([np.zeros((2, 64, 44), "u1")], *row)
  with pytest.raises(errors.UserError, match="has no frames"):
    store_lib.SequenceStore.from_arrays([np.zeros((0, 64, 64), "u1")], *row)
  with pytest.raises(errors.UserError, match="no sequences"):
    store_lib.SequenceStore.from_arrays([], [], [], [])


with tfds.core.registered.skip_registration():

  class Twelve(tfds.core.GeneratorBasedBuilder):
    """The twelve sequences, as the project's builders store them."""

    VERSION = tfds.core.Version("1.0.0")

    def _info(self):
      frame = tfds.features.Tensor(
        shape=(64, 64), dtype=np.uint8, encoding="zlib"
      )
      return tfds.core.DatasetInfo(
        builder=self,
        features=tfds.features.FeaturesDict(
          {
            "silhouettes": tfds.features.Sequence(frame),
            "subject": tfds.features.Text(),
            "condition": tfds.features.Text(),
            "view": tfds.features.Text(),
          }
        ),
      )

    def _split_generators(self, dl_manager):
      return {"train": self._generate_examples()}

    def _generate_examples(self):
      for silhouettes, *key in zip(*_columns(), strict=True):
        names = ("subject", "condition", "view")
        yield (
          "-".join(key),
          {"silhouettes": silhouettes} | dict(zip(names, key, strict=True)),
        )


def test_store_reads_a_builder_without_decoding(store, tmp_path):
  builder = Twelve(data_dir=tmp_path)
  builder.download_and_prepare()
  read = store_lib.SequenceStore.from_builder(builder, "train")
  for name in ("subjects", "conditions", "views", "lengths", "labels"):
    np.testing.assert_array_equal(getattr(read, name), getattr(store, name))
  # Still packed: TFDS and `from_arrays` make the same strings.
  assert read.frames.dtype == tf.string
  np.testing.assert_array_equal(read.frames.numpy(), store.frames.numpy())
  with pytest.raises(errors.UserError, match="'test' of twelve/1.0.0 in"):
    store_lib.SequenceStore.from_builder(builder, "test")


def test_damaged_prepared_data_is_reported(tmp_path):
  builder = Twelve(data_dir=tmp_path)
  builder.download_and_prepare()
  (path,) = tmp_path.rglob("*train.tfrecord*")
  path.write_bytes(path.read_bytes()[:-1000])
  with pytest.raises(errors.UserError, match="cannot be read .* delete") as e:
    store_lib.SequenceStore.from_builder(builder, "train")
  assert "\n" not in str(e.value) and str(tmp_path) in str(e.value)


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
      frames = pipeline._decode(store, store.offsets[position] + numbers)
      np.testing.assert_array_equal(clip, frames[:, :, 10:54])


@pytest.mark.parametrize("kind", ["fixed_ordered", "fixed_unordered"])
def test_resuming_gives_the_batches_of_an_undisturbed_run(store, kind):
  clip = pipeline.Clip(kind, 6, 2)
  whole = _take(_train(store, clip=clip), 6)
  resumed = _take(_train(store, clip=clip, start_step=4), 2)
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
      expected = pipeline._decode(
        store, store.offsets[index] + np.arange(length)
      )
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
    name="oumvlp",
    root="",
    prepared=str(tmp_path),
    variant="tiny",
    train_subjects=(),
    test_subjects=(),
  )
  with pytest.raises(errors.UserError, match="no data set 'oumvlp'"):
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
