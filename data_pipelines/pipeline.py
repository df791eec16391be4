"""Batches of silhouettes for training and for evaluation.

A training batch is a function of (seed, step) alone, so resuming needs no
state of an iterator, and processes draw their shares without talking.
"""

from __future__ import annotations

from collections.abc import Iterator
from collections.abc import Sequence
import itertools

import numpy as np
import tensorflow as tf

from data_pipelines import sampling
from data_pipelines import store as store_lib
from data_pipelines import transforms
from gaitkd_jax import errors

Clip = sampling.Clip
Augment = transforms.Augment

SAMPLERS = ("triplet", "shuffled")
MAX_BUCKETS = 4
# Another bucket, which costs a compilation, has to save this part of frames.
WORTHWHILE = 0.05


def train_batches(
  store: store_lib.SequenceStore,
  *,
  identities: int,
  sequences: int,
  clip: Clip,
  augment: Augment,
  seed: int,
  sampler: str = "triplet",
  start_step: int = 0,
  process_index: int = 0,
  process_count: int = 1,
  threads: int = 0,
) -> Iterator[dict[str, np.ndarray]]:
  """Yields this process's share of batch start_step, start_step + 1, ...

  Args:
    store: the training split.
    identities: P, identities of a global batch.
    sequences: K, sequences of each identity.
    clip: how a clip is cut from a sequence.
    augment: probability of each augmentation.
    seed: not negative; with the step it determines the global batch.
    sampler: "triplet" (K sequences of each of P identities) or "shuffled" (P *
      K sequences, each of the split once an epoch).
    start_step: number of the first batch.
    process_index: which of the processes this is.
    process_count: into how many contiguous shares a global batch is divided.
    threads: that make batches; 0 is one a core.

  Returns:
    An endless iterator over {"silhouettes": uint8 [b, s, 64, 44],
    "labels": int32 [b]}, b = P * K / process_count; read-only arrays. With heat
    maps in the store also "heatmaps": uint8 [b, s, 64, 44, 2], which share
    frames and geometry with the silhouettes; with clips of unequal length also
    "lengths": int32 [b], zeros lie behind them. The K sequences of an identity
    are adjacent in the global batch.

  Raises:
    errors.UserError: P * K cannot be divided by process_count, or a value is
      out of range.
  """
  if identities < 1 or sequences < 1:
    raise errors.UserError(
      f"batch.identities {identities}, batch.sequences {sequences}: give"
      " at least 1 of each"
    )
  if sampler not in SAMPLERS:
    raise errors.UserError(
      f"batch.sampler: there is no {sampler!r}; choose one of"
      f" {', '.join(SAMPLERS)}"
    )
  n = identities * sequences
  share = _share(
    n, "batch.identities x batch.sequences", process_index, process_count
  )
  if not 0 <= seed < 2**64 or start_step < 0:
    raise errors.UserError(
      f"seed is {seed} and start_step {start_step}; give numbers from 0"
      " upwards, and a seed below 2 ** 64"
    )

  reader = _Reader(store)

  def plan(step):
    if sampler == "triplet":
      index = sampling.draw_sequences(
        store.labels, identities, sequences, seed, step
      )
    else:
      index = sampling.draw_shuffled(len(store), n, seed, step)
    frames, counts = sampling.draw_frames(
      store.lengths[index], clip, seed, step
    )
    rng = sampling.generator(seed, step, sampling.AUGMENTATION)
    columns = (
      frames,
      counts.astype(np.int32),
      store.labels[index],
      *transforms.draw(augment, n, rng),
    )
    records = np.array([reader(i) for i in index[share]], object)
    return [records, *(column[share] for column in columns)]

  b = share.stop - share.start
  signature = (
    tf.TensorSpec([b], tf.string),
    tf.TensorSpec([b, clip.longest], tf.int64),
    tf.TensorSpec([b], tf.int32),
    tf.TensorSpec([b], tf.int32),
    tf.TensorSpec([b], tf.bool),
    tf.TensorSpec([b], tf.bool),
    tf.TensorSpec([b, 4, 3], tf.float32),
    tf.TensorSpec([b, 4], tf.int32),
  )

  def planned(step):
    columns = tf.numpy_function(
      plan, [step], [spec.dtype for spec in signature]
    )
    return tuple(map(tf.ensure_shape, columns, [s.shape for s in signature]))

  def load(record, frames, count, label, *draw):
    decoded = store.decode(record, frames[:count])
    clips = _augment(decoded, draw)
    row = _padded(clips, clip.longest, count) | {"labels": label}
    return row if clip.fixed else row | {"lengths": count}

  # Not from_generator: on Python 3.11 it makes malloc give every freed 128 kB
  # back to the kernel, in the whole process, which halves the speed.
  dataset = (
    tf.data.Dataset.range(start_step, np.iinfo(np.int64).max)
    .map(planned, 2, deterministic=True)
    .unbatch()
    .map(load, tf.data.AUTOTUNE, deterministic=True)
    .batch(b, drop_remainder=True)
    .prefetch(2)
  )
  return _numpy(dataset, reader, threads)


def eval_batches(
  store: store_lib.SequenceStore,
  *,
  batch_size: int,
  max_frames: int = 720,
  buckets: Sequence[int] | None = None,
  process_index: int = 0,
  process_count: int = 1,
) -> Iterator[dict[str, np.ndarray]]:
  """Yields every sequence once, padded to one of few lengths.

  A batch holds sequences of one bucket, in the order of the store. A bucket's
  last batch is filled up with rows of zeros (mask False, length 1, index 0),
  so that no sequence is dropped and all processes yield the same number of
  batches of the same shapes.

  Args:
    store: the split to evaluate.
    batch_size: sequences of a global batch.
    max_frames: of a longer sequence only the first max_frames are used.
    buckets: lengths to pad to; by default `default_buckets` of the split.
    process_index: which of the processes this is.
    process_count: into how many contiguous shares a global batch is divided.

  Returns:
    An iterator over {"silhouettes": uint8 [b, s, 64, 44], "lengths": int32
    [b], "index": int32 [b], position in the store, "mask": bool [b], whether
    the row is a sequence}, and "heatmaps": uint8 [b, s, 64, 44, 2] where the
    store has them; s is the bucket; read-only arrays.

  Raises:
    errors.UserError: batch_size cannot be divided by process_count, or no
      bucket holds the longest sequence.
  """
  if batch_size < 1 or max_frames < 1:
    raise errors.UserError(
      f"eval.batch_size {batch_size}, max_frames {max_frames}: give at least"
      " 1 of each"
    )
  share = _share(batch_size, "eval.batch_size", process_index, process_count)
  lengths = np.minimum(store.lengths, max_frames)
  if buckets is None:
    buckets = default_buckets(store.lengths, max_frames)
  buckets = np.unique(np.asarray(buckets))
  if not len(buckets) or buckets[-1] < lengths.max():
    raise errors.UserError(
      f"buckets {buckets.tolist()} do not hold a sequence of {lengths.max()}"
      " frames; add a longer one or lower max_frames"
    )
  bucket_of = np.searchsorted(buckets, lengths)
  reader = _Reader(store)

  def bucket_batches(i):
    index = np.flatnonzero(bucket_of == i)
    total = -(-len(index) // batch_size) * batch_size
    mask = np.arange(total) < len(index)
    index = np.pad(index, (0, total - len(index)))
    rows = {
      "index": index.astype(np.int32),
      "mask": mask,
      "lengths": np.where(mask, lengths[index], 1).astype(np.int32),
    }
    mine = np.arange(total).reshape(-1, batch_size)[:, share].ravel()
    rows = {name: column[mine] for name, column in rows.items()}

    def read(index, mask):
      # A row that only fills a batch reads and decodes nothing.
      return reader(index) if mask else b""

    def load(row):
      record = tf.numpy_function(read, [row["index"], row["mask"]], tf.string)
      record = tf.ensure_shape(record, [])
      frames = tf.where(row["mask"], row["lengths"], 0)
      decoded = store.decode(record, tf.range(tf.cast(frames, tf.int64)))
      decoded = _channels_last(decoded)
      clips = {
        name: transforms.cut(clip, axis=2 - len(clip.shape))
        for name, clip in decoded.items()
      }
      return row | _padded(clips, int(buckets[i]), frames)

    dataset = (
      tf.data.Dataset.from_tensor_slices(rows)
      .map(load, tf.data.AUTOTUNE, deterministic=True)
      .batch(share.stop - share.start, drop_remainder=True)
      .prefetch(1)
    )
    return _numpy(dataset, reader)

  return itertools.chain.from_iterable(
    bucket_batches(i) for i in np.unique(bucket_of)
  )


def default_buckets(
  lengths: np.ndarray, max_frames: int = 720
) -> tuple[int, ...]:
  """Chooses at most 4 lengths to which a split is padded.

  As many as save, one by one, at least 5 % of the frames: each is one more
  shape to compile. They are the best that quantiles of the lengths give.

  Args:
    lengths: int [n], frames of the sequences.
    max_frames: of a longer sequence only the first max_frames are used.
  """
  values, counts = np.unique(
    np.minimum(lengths, max_frames), return_counts=True
  )

  def padded(buckets):
    return counts @ np.take(buckets, np.searchsorted(buckets, values))

  quantiles = np.arange(1, 20) / 20
  candidates = np.unique(
    np.quantile(np.repeat(values, counts), quantiles, method="inverted_cdf")
  )
  candidates = candidates[candidates < values[-1]]
  best = (values[-1],)
  for extra in range(1, MAX_BUCKETS):
    choices = itertools.combinations(candidates, extra)
    choice = min(
      ((*choice, values[-1]) for choice in choices), key=padded, default=best
    )
    if padded(choice) > (1 - WORTHWHILE) * padded(best):
      break
    best = choice
  return tuple(int(length) for length in best)


def _share(total: int, name: str, index: int, count: int) -> slice:
  """Returns the rows of a global batch that are this process's."""
  if not 0 <= index < count:
    raise errors.UserError(
      f"process_index is {index} of {count} processes; give one from 0 to"
      f" {count - 1}"
    )
  if total % count:
    raise errors.UserError(
      f"{name} is {total}, which {count} processes cannot share equally; make"
      f" it a multiple of {count}"
    )
  return slice(total // count * index, total // count * (index + 1))


def _channels_last(decoded: dict[str, tf.Tensor]) -> dict[str, tf.Tensor]:
  """Moves the two planes of heat maps, [s, 2, h, w], behind the pixels."""
  if "heatmaps" not in decoded:
    return decoded
  planes = tf.transpose(decoded["heatmaps"], [0, 2, 3, 1])
  return decoded | {"heatmaps": planes}


def _augment(
  decoded: dict[str, tf.Tensor], draw: Sequence[tf.Tensor]
) -> dict[str, tf.Tensor]:
  """Augments the modalities of one clip with one draw."""
  if "heatmaps" not in decoded:
    return {"silhouettes": transforms.apply(decoded["silhouettes"], *draw)}
  decoded = _channels_last(decoded)
  stacked = tf.concat(
    [decoded["heatmaps"], decoded["silhouettes"][..., None]], axis=-1
  )
  stacked = transforms.apply(stacked, *draw)
  return {"silhouettes": stacked[..., -1], "heatmaps": stacked[..., :-1]}


def _padded(
  clips: dict[str, tf.Tensor], longest: int, count: tf.Tensor
) -> dict[str, tf.Tensor]:
  """Puts frames of zeros behind clips; their shapes become static."""
  padded = {}
  for name, clip in clips.items():
    shape = [transforms.SIZE, transforms.WIDTH]
    if name == "heatmaps":
      shape.append(store_lib.SHAPES[name][0])
    behind = [[0, longest - count]] + [[0, 0]] * len(shape)
    padded[name] = tf.ensure_shape(tf.pad(clip, behind), [longest, *shape])
  return padded


class _Reader:
  """Reads records, and keeps to itself what TensorFlow would print at length.

  An error would pass through TensorFlow's threads, which print its traceback.
  The empty record in its place cannot be decoded, so the batch fails, and
  `_numpy` raises the error that was kept.
  """

  def __init__(self, store: store_lib.SequenceStore):
    self._store = store
    self.error = None

  def __call__(self, index: int) -> bytes:
    try:
      return self._store.read(int(index))
    except errors.UserError as error:
      self.error = error
      return b""


def _numpy(
  dataset: tf.data.Dataset, reader: _Reader, threads: int = 0
) -> Iterator[dict[str, np.ndarray]]:
  """Runs a pipeline; its arrays are TensorFlow's memory, not copies."""
  options = tf.data.Options()
  options.deterministic = True
  # A clip is too small to be divided further.
  options.threading.max_intra_op_parallelism = 1
  if threads:
    options.threading.private_threadpool_size = threads
  try:
    yield from dataset.with_options(options).as_numpy_iterator()
  except tf.errors.OpError as error:
    raise reader.error or errors.UserError(
      f"a prepared sequence cannot be read ({store_lib.reason(error)});"
      " delete the folder of the prepared data, so that it is prepared again"
    ) from error
