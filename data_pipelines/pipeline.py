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

from data_pipelines import loading
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
  views: int = 0,
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
    views: V, how many clips of a sequence there are, each with its own
      augmentation, see `view_batches`; 0 draws new ones for each batch.

  Returns:
    An endless iterator over {"silhouettes": uint8 [b, s, 64, 44],
    "labels": int32 [b]}, b = P * K / process_count; read-only arrays. With heat
    maps in the store also "heatmaps": uint8 [b, s, 64, 44, 2], which share
    frames and geometry with the silhouettes; with clips of unequal length also
    "lengths": int32 [b], zeros lie behind them; with views also "sequence"
    int32 [b], position in the store, and "view" int32 [b]. The K sequences of
    an identity are adjacent in the global batch.

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
  _check_draws(seed, start_step=start_step, views=views)

  def plan(step):
    if sampler == "triplet":
      index = sampling.draw_sequences(
        store.labels, identities, sequences, seed, step
      )
    else:
      index = sampling.draw_shuffled(len(store), n, seed, step)
    if views:
      view = sampling.draw_views(n, views, seed, step)
      rows = {"sequence": index[share], "view": view[share]}
      return rows, *_draw_views(store, rows, clip, augment, seed)
    frames, counts = sampling.draw_frames(
      store.lengths[index], clip, seed, step
    )
    rng = sampling.generator(seed, step, sampling.AUGMENTATION)
    draws = transforms.draw(augment, n, rng)
    mine = (column[share] for column in (frames, counts, *draws))
    return {"sequence": index[share]}, *mine

  names = ("sequence", "view") if views else ()
  steps = tf.data.Dataset.range(start_step, np.iinfo(np.int64).max)
  b = share.stop - share.start
  return loading.clips(steps, plan, store, clip, b, names, threads)


def view_batches(
  store: store_lib.SequenceStore,
  *,
  batch_size: int,
  clip: Clip,
  augment: Augment,
  seed: int,
  views: int,
  start: int = 0,
  process_index: int = 0,
  process_count: int = 1,
) -> Iterator[dict[str, np.ndarray]]:
  """Yields every view of every sequence once.

  View v of sequence i is number i * V + v. It is the same clip, augmented in
  the same way, as `train_batches` shows of it. The last batch is filled up with
  the last view (mask False).

  Args:
    store: the training split.
    batch_size: views of a global batch.
    clip: how a clip is cut from a sequence.
    augment: probability of each augmentation.
    seed: not negative.
    views: V, of each sequence.
    start: number of the first view, a multiple of batch_size.
    process_index: which of the processes this is.
    process_count: into how many contiguous shares a global batch is divided.

  Returns:
    An iterator over {"silhouettes", "labels", "sequence", "view"} (and
    "heatmaps", "lengths"), see `train_batches`, and "mask": bool [b], whether
    the row is a view; read-only arrays.

  Raises:
    errors.UserError: batch_size cannot be divided by process_count, or a value
      is out of range.
  """
  if batch_size < 1 or views < 1 or start % max(batch_size, 1):
    raise errors.UserError(
      f"a batch of {batch_size} views, {views} views of a sequence, first view"
      f" {start}: give at least 1 of each, and a multiple of the batch"
    )
  share = _share(batch_size, "batch of views", process_index, process_count)
  _check_draws(seed, start=start, views=views)
  total = len(store) * views

  def plan(first):
    number = (first + np.arange(batch_size))[share]
    mask = number < total
    number = np.minimum(number, total - 1)
    rows = {
      "sequence": number // views,
      "view": number % views,
      "mask": mask,
    }
    return rows, *_draw_views(store, rows, clip, augment, seed)

  firsts = tf.data.Dataset.range(start, total, batch_size)
  b = share.stop - share.start
  return loading.clips(
    firsts, plan, store, clip, b, ("sequence", "view", "mask")
  )


def _check_draws(seed: int, **counts: int) -> None:
  """Raises a UserError for what random numbers cannot be drawn for."""
  if not 0 <= seed < 2**64 or min(counts.values()) < 0:
    given = " and ".join(f"{name} {value}" for name, value in counts.items())
    raise errors.UserError(
      f"seed is {seed} and {given}; give numbers from 0 upwards, and a seed"
      " below 2 ** 64"
    )


def _draw_views(
  store: store_lib.SequenceStore,
  rows: dict[str, np.ndarray],
  clip: Clip,
  augment: Augment,
  seed: int,
) -> tuple[np.ndarray, ...]:
  """Returns frames, counts and the columns of `transforms.Draws` of views."""
  index, views = rows["sequence"], rows["view"]
  frames, counts = sampling.draw_view_frames(
    store.lengths[index], clip, seed, index, views
  )
  stream = sampling.VIEW_AUGMENTATION
  draws = [
    transforms.draw(
      augment, 1, sampling.generator(seed, int(i), stream, int(v))
    )
    for i, v in zip(index, views, strict=True)
  ]
  return frames, counts, *map(np.concatenate, zip(*draws, strict=True))


def eval_batches(
  store: store_lib.SequenceStore,
  *,
  batch_size: int,
  max_frames: int = 720,
  buckets: Sequence[int] | None = None,
  rows: np.ndarray | None = None,
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
    rows: int [m], positions in the store of the only sequences to yield; by
      default all.
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
  if rows is not None:
    bucket_of[~np.isin(np.arange(len(store)), rows)] = -1
  reader = loading.Reader(store)

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
      decoded = loading.channels_last(decoded)
      clips = {
        name: transforms.cut(clip, axis=2 - len(clip.shape))
        for name, clip in decoded.items()
      }
      return row | loading.padded(clips, int(buckets[i]), frames)

    dataset = (
      tf.data.Dataset.from_tensor_slices(rows)
      .map(load, tf.data.AUTOTUNE, deterministic=True)
      .batch(share.stop - share.start, drop_remainder=True)
      .prefetch(1)
    )
    return loading.run(dataset, reader)

  return itertools.chain.from_iterable(
    bucket_batches(i) for i in np.unique(bucket_of) if i >= 0
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
