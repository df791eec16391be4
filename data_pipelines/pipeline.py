"""Batches of silhouettes for training and for evaluation.

A training batch is a function of (seed, step) alone, so resuming needs no state
of an iterator, and processes draw their shares without communicating.
"""

from __future__ import annotations

from collections.abc import Iterator
from collections.abc import Sequence
import itertools
from typing import Any

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
# The part of the frames that one more bucket has to save.
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
  clips_per_sequence: int = 0,
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
    threads: how many make batches; 0: one for each core.
    clips_per_sequence: V, how many numbered clips a sequence has, each with an
      augmentation of its own, see `clip_batches`; 0 draws a new clip every
      time.

  Returns:
    An endless iterator over {"silhouettes": uint8 [b, s, 64, 44],
    "labels": int32 [b]}, b = P * K / process_count; read-only arrays. With heat
    maps in the store there are also "heatmaps": uint8 [b, s, 64, 44, 2], which
    share frames and geometry with the silhouettes; with clips of unequal length
    also "lengths": int32 [b], behind which the frames are zeros; and with
    numbered clips also "sequence", int32 [b], the position in the store, and
    "clip", int32 [b], the number of the clip. The K sequences of an identity
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
  _check_draws(
    seed, start_step=start_step, clips_per_sequence=clips_per_sequence
  )

  def plan(step: int) -> tuple[Any, ...]:
    index = draw_batch(store, sampler, identities, sequences, seed, step)
    if clips_per_sequence:
      number = sampling.draw_clip_numbers(n, clips_per_sequence, seed, step)
      rows = {"sequence": index[share], "clip": number[share]}
      return rows, *_draw_clips(store, rows, clip, augment, seed)
    frames, counts = sampling.draw_frames(
      store.lengths[index], clip, seed, step
    )
    rng = sampling.generator(seed, step, sampling.AUGMENTATION)
    draws = transforms.draw(augment, n, rng)
    shared = (column[share] for column in (frames, counts, *draws))
    return {"sequence": index[share]}, *shared

  names = ("sequence", "clip") if clips_per_sequence else ()
  steps = tf.data.Dataset.range(start_step, np.iinfo(np.int64).max)
  b = share.stop - share.start
  return loading.clips(steps, plan, store, clip, b, names, threads)


def draw_batch(
  store: store_lib.SequenceStore,
  sampler: str,
  identities: int,
  sequences: int,
  seed: int,
  step: int,
) -> np.ndarray:
  """Draws which sequences a global batch holds, int64 [P * K].

  The arguments are those of `train_batches`.
  """
  if sampler == "triplet":
    return sampling.draw_sequences(
      store.labels, identities, sequences, seed, step
    )
  return sampling.draw_shuffled(len(store), identities * sequences, seed, step)


def clip_batches(
  store: store_lib.SequenceStore,
  *,
  batch_size: int,
  clip: Clip,
  augment: Augment,
  seed: int,
  clips_per_sequence: int,
  start: int = 0,
  process_index: int = 0,
  process_count: int = 1,
) -> Iterator[dict[str, np.ndarray]]:
  """Yields every numbered clip of every sequence once.

  Clip v of sequence i is number i * V + v in this order. It has the frames and
  the augmentation with which `train_batches` shows it. The last batch is filled
  up with copies of the last clip (mask False).

  Args:
    store: the training split.
    batch_size: clips of a global batch.
    clip: how a clip is cut from a sequence.
    augment: probability of each augmentation.
    seed: not negative.
    clips_per_sequence: V.
    start: number of the first clip, a multiple of batch_size.
    process_index: which of the processes this is.
    process_count: into how many contiguous shares a global batch is divided.

  Returns:
    An iterator over {"silhouettes", "labels", "sequence", "clip"} (and
    "heatmaps", "lengths"), see `train_batches`, and "mask": bool [b], False
    where the row only fills the batch; read-only arrays.

  Raises:
    errors.UserError: batch_size cannot be divided by process_count, or a value
      is out of range.
  """
  if batch_size < 1 or clips_per_sequence < 1 or start % max(batch_size, 1):
    raise errors.UserError(
      f"a batch of {batch_size} clips, {clips_per_sequence} clips of a"
      f" sequence, first clip {start}: give at least 1 of each, and a first"
      " clip that is a multiple of the batch"
    )
  share = _share(batch_size, "batch of clips", process_index, process_count)
  _check_draws(seed, start=start, clips_per_sequence=clips_per_sequence)
  total = len(store) * clips_per_sequence

  def plan(first: int) -> tuple[Any, ...]:
    number = (first + np.arange(batch_size))[share]
    mask = number < total
    number = np.minimum(number, total - 1)
    rows = {
      "sequence": number // clips_per_sequence,
      "clip": number % clips_per_sequence,
      "mask": mask,
    }
    return rows, *_draw_clips(store, rows, clip, augment, seed)

  firsts = tf.data.Dataset.range(start, total, batch_size)
  b = share.stop - share.start
  return loading.clips(
    firsts, plan, store, clip, b, ("sequence", "clip", "mask")
  )


def _check_draws(seed: int, **counts: int) -> None:
  """Raises a UserError if random numbers cannot be drawn for these values."""
  if not 0 <= seed < 2**64 or min(counts.values()) < 0:
    given = " and ".join(f"{name} {value}" for name, value in counts.items())
    raise errors.UserError(
      f"seed is {seed} and {given}; give numbers from 0 upwards, and a seed"
      " below 2 ** 64"
    )


def _draw_clips(
  store: store_lib.SequenceStore,
  rows: dict[str, np.ndarray],
  clip: Clip,
  augment: Augment,
  seed: int,
) -> tuple[np.ndarray, ...]:
  """Draws numbered clips: frames, counts, the columns of `transforms.Draws`."""
  index, numbers = rows["sequence"], rows["clip"]
  frames, counts = sampling.draw_clip_frames(
    store.lengths[index], clip, seed, index, numbers
  )
  stream = sampling.CLIP_AUGMENTATION
  draws = [
    transforms.draw(
      augment, 1, sampling.generator(seed, int(i), stream, int(v))
    )
    for i, v in zip(index, numbers, strict=True)
  ]
  return frames, counts, *map(np.concatenate, zip(*draws, strict=True))


def eval_batches(
  store: store_lib.SequenceStore,
  *,
  batch_size: int,
  max_frames: int = 720,
  buckets: Sequence[int] | None = None,
  rows: np.ndarray | None = None,
  start: int = 0,
  process_index: int = 0,
  process_count: int = 1,
) -> Iterator[dict[str, np.ndarray]]:
  """Yields every sequence once, padded to one of few lengths.

  A batch holds sequences of one bucket, in the order of the store. The last
  batch of a bucket is filled up with rows of zeros (mask False, length 1, index
  0), so that no sequence is dropped and all processes yield the same number of
  batches of the same shapes.

  Args:
    store: the split to evaluate.
    batch_size: sequences of a global batch.
    max_frames: of a longer sequence only the first max_frames are used.
    buckets: lengths to pad to; by default `default_buckets` of the split.
    rows: int [m], positions in the store of the only sequences to yield; by
      default all.
    start: number of the first batch; those before it are left out.
    process_index: which of the processes this is.
    process_count: into how many contiguous shares a global batch is divided.

  Returns:
    An iterator over {"silhouettes": uint8 [b, s, 64, 44], "lengths": int32
    [b], "index": int32 [b], the position in the store, "mask": bool [b], False
    where the row only fills the batch}, and "heatmaps": uint8 [b, s, 64, 44, 2]
    where the store has them; s is the bucket; read-only arrays.

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

  def bucket_rows(i: int, first: int) -> dict[str, np.ndarray]:
    """This process's rows of a bucket, those that fill its batches included."""
    index = np.flatnonzero(bucket_of == i)
    total = -(-len(index) // batch_size) * batch_size
    mask = np.arange(total) < len(index)
    index = np.pad(index, (0, total - len(index)))
    columns = {
      "index": index.astype(np.int32),
      "mask": mask,
      "lengths": np.where(mask, lengths[index], 1).astype(np.int32),
    }
    chosen = np.arange(total).reshape(-1, batch_size)[first:, share].ravel()
    return {name: column[chosen] for name, column in columns.items()}

  used = [i for i in np.unique(bucket_of) if i >= 0]
  counts = [-(-np.count_nonzero(bucket_of == i) // batch_size) for i in used]
  before = np.cumsum([0, *counts])[:-1]  # batches of the buckets before
  return itertools.chain.from_iterable(
    loading.sequences(
      store, bucket_rows(i, first), int(buckets[i]), share.stop - share.start
    )
    for i, first, count in zip(
      used, np.maximum(start - before, 0), counts, strict=True
    )
    if first < count
  )


def default_buckets(
  lengths: np.ndarray, max_frames: int = 720
) -> tuple[int, ...]:
  """Chooses at most 4 lengths to which the sequences of a split are padded.

  Every length is one more shape to compile, so each has to save at least 5 % of
  the frames. They are the best choice among quantiles of the lengths.

  Args:
    lengths: int [n], frames of the sequences.
    max_frames: of a longer sequence only the first max_frames are used.
  """
  values, counts = np.unique(
    np.minimum(lengths, max_frames), return_counts=True
  )

  def padded(buckets: Sequence[int]) -> int:
    """Frames of the split when its sequences are padded to the buckets."""
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
