"""From records to batches of clips, in TensorFlow's threads."""

from __future__ import annotations

from collections.abc import Callable
from collections.abc import Iterator
from collections.abc import Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from data_pipelines import records
from data_pipelines import sampling
from data_pipelines import store as store_lib
from data_pipelines import transforms
from gaitkd_jax import errors

# What a batch can say about its rows, beside their pixels.
ROWS = {"sequence": np.int32, "clip": np.int32, "mask": np.bool_}


def clips(
  numbers: tf.data.Dataset,
  plan: Callable[[int], tuple[Any, ...]],
  store: store_lib.SequenceStore,
  clip: sampling.Clip,
  b: int,
  names: Sequence[str] = (),
  threads: int = 0,
) -> Iterator[dict[str, np.ndarray]]:
  """Makes batches of augmented clips.

  Args:
    numbers: int64, one for each batch.
    plan: from such a number to the columns of b rows: a dict of "sequence" and
      of `names`; the frames; how many of them there are; and the columns of
      `transforms.Draws`.
    store: holds the sequences.
    clip: says how many frames a clip has.
    b: rows of this process.
    names: out of `ROWS`, which columns of the dict to put into the batches.
    threads: how many make batches; 0: one for each core.

  Returns:
    See `pipeline.train_batches`.
  """
  reader = _Reader(store)

  def columns(number: np.int64) -> list[np.ndarray]:
    rows, frames, counts, *draws = plan(number)
    index = rows["sequence"]
    return [
      np.array(reader.read_all(index), object),
      frames,
      counts.astype(np.int32),
      store.labels[index],
      *draws,
      *(rows[name].astype(ROWS[name]) for name in names),
    ]

  signature = (
    tf.TensorSpec([b], tf.string),
    tf.TensorSpec([b, clip.longest], tf.int64),
    tf.TensorSpec([b], tf.int32),
    tf.TensorSpec([b], tf.int32),
    tf.TensorSpec([b], tf.bool),
    tf.TensorSpec([b], tf.bool),
    tf.TensorSpec([b, 4, 3], tf.float32),
    tf.TensorSpec([b, 4], tf.int32),
    *(tf.TensorSpec([b], ROWS[name]) for name in names),
  )

  def planned(number: tf.Tensor) -> tuple[tf.Tensor, ...]:
    values = tf.numpy_function(
      columns, [number], [spec.dtype for spec in signature]
    )
    return tuple(map(tf.ensure_shape, values, [s.shape for s in signature]))

  def load(
    record: tf.Tensor,
    frames: tf.Tensor,
    count: tf.Tensor,
    label: tf.Tensor,
    *rest: tf.Tensor,
  ) -> dict[str, tf.Tensor]:
    decoded = store.decode(record, frames[:count])
    augmented = _augment(decoded, rest[:4])
    row = _padded(augmented, clip.longest, count) | {"labels": label}
    row |= dict(zip(names, rest[4:], strict=True))
    return row if clip.fixed else row | {"lengths": count}

  # Not `from_generator`: on Python 3.11 it makes malloc, in the whole process,
  # return every freed 128 kB to the kernel, which halves the speed.
  dataset = (
    numbers.map(planned, 2, deterministic=True)
    .unbatch()
    .map(load, tf.data.AUTOTUNE, deterministic=True)
    .batch(b, drop_remainder=True)
    .prefetch(2)
  )
  return _run(dataset, reader, threads)


def sequences(
  store: store_lib.SequenceStore,
  rows: dict[str, np.ndarray],
  longest: int,
  b: int,
) -> Iterator[dict[str, np.ndarray]]:
  """Makes batches of whole sequences.

  Args:
    store: holds the sequences.
    rows: "index", "lengths" and "mask", see `pipeline.eval_batches`; b rows or
      a multiple of it.
    longest: frames to which sequences are padded.
    b: rows of a batch.

  Returns:
    See `pipeline.eval_batches`.
  """
  reader = _Reader(store)

  def read(index: np.int32, mask: np.bool_) -> bytes:
    # A row that only fills a batch reads and decodes nothing.
    return reader(index) if mask else b""

  def read_all(index: np.ndarray, mask: np.ndarray) -> np.ndarray:
    found = iter(reader.read_all(index[mask]))
    return np.array([next(found) if m else b"" for m in mask], object)

  def load(row: dict[str, tf.Tensor]) -> dict[str, tf.Tensor]:
    row = dict(row)
    if store.is_remote:
      record = row.pop("record")
    else:
      record = tf.numpy_function(read, [row["index"], row["mask"]], tf.string)
    record = tf.ensure_shape(record, [])
    frames = tf.where(row["mask"], row["lengths"], 0)
    decoded = store.decode(record, tf.range(tf.cast(frames, tf.int64)))
    clips = {
      name: transforms.cut(clip, axis=2 - len(clip.shape))
      for name, clip in _channels_last(decoded).items()
    }
    return row | _padded(clips, longest, frames)

  dataset = tf.data.Dataset.from_tensor_slices(rows)
  if store.is_remote:  # the rows of a batch together, two batches ahead
    dataset = (
      dataset.batch(b, drop_remainder=True)
      .map(
        lambda row: (
          row
          | {
            "record": tf.ensure_shape(
              tf.numpy_function(
                read_all, [row["index"], row["mask"]], tf.string
              ),
              [b],
            )
          }
        ),
        2,
        deterministic=True,
      )
      .unbatch()
    )
  dataset = (
    dataset.map(load, tf.data.AUTOTUNE, deterministic=True)
    .batch(b, drop_remainder=True)
    .prefetch(1)
  )
  return _run(dataset, reader)


def _channels_last(decoded: dict[str, tf.Tensor]) -> dict[str, tf.Tensor]:
  """Moves the two planes of heat maps, [s, 2, h, w], behind the pixels."""
  if "heatmaps" not in decoded:
    return decoded
  planes = tf.transpose(decoded["heatmaps"], [0, 2, 3, 1])
  return decoded | {"heatmaps": planes}


def _augment(
  decoded: dict[str, tf.Tensor], draw: Sequence[tf.Tensor]
) -> dict[str, tf.Tensor]:
  """Augments all modalities of one clip in the same way."""
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
  """Adds frames of zeros at the end of clips; their shapes become static."""
  result = {}
  for name, clip in clips.items():
    shape = [transforms.SIZE, transforms.WIDTH]
    if name == "heatmaps":
      shape.append(records.SHAPES[name][0])
    behind = [[0, longest - count]] + [[0, 0]] * len(shape)
    result[name] = tf.ensure_shape(tf.pad(clip, behind), [longest, *shape])
  return result


class _Reader:
  """Reads records, and keeps an error rather than raising it.

  Raised here, it would pass through TensorFlow's threads, which print long
  tracebacks. The empty record that is returned in its place cannot be decoded,
  so the batch fails, and `_run` raises the error that was kept.
  """

  def __init__(self, store: store_lib.SequenceStore):
    self._store = store
    self.error: errors.UserError | None = None

  def __call__(self, index: int) -> bytes:
    """Returns a record; if it cannot be read, nothing."""
    try:
      return self._store.read(int(index))
    except errors.UserError as error:
      self.error = error
      return b""

  def read_all(self, indices: np.ndarray) -> list[bytes]:
    """Returns several records; if one cannot be read, nothing."""
    try:
      return self._store.read_all([int(index) for index in indices])
    except errors.UserError as error:
      self.error = error
      return [b""] * len(indices)


def _run(
  dataset: tf.data.Dataset, reader: _Reader, threads: int = 0
) -> Iterator[dict[str, np.ndarray]]:
  """Runs a pipeline; the arrays are TensorFlow's memory, not copies."""
  options = tf.data.Options()
  options.deterministic = True
  # A clip is too small for its work to be divided further.
  options.threading.max_intra_op_parallelism = 1
  if threads:
    options.threading.private_threadpool_size = threads
  try:
    yield from dataset.with_options(options).as_numpy_iterator()
  except tf.errors.OpError as error:
    raise reader.error or errors.UserError(
      f"a prepared sequence cannot be read ({records.reason(error)});"
      " delete the folder of the prepared data, so that it is prepared again"
    ) from error
