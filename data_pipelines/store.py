"""One split of a data set in host memory."""

from __future__ import annotations

from collections.abc import Sequence
import zlib

import numpy as np
import tensorflow as tf
import tensorflow_datasets as tfds
import tqdm

from gaitkd_jax import errors

HEIGHT = WIDTH = 64


class SequenceStore:
  """The sequences of one split, their frames still compressed.

  A frame is one zlib string, so a clip decodes its own frames and no other,
  and a split of CASIA-B takes some 0.3 GB where its pixels would take 4.5.
  Sequences are sorted by (subject, condition, view): their order depends on
  the data alone, never on how the prepared files are divided.

  Attributes:
    frames: tf.string [total], every frame of every sequence.
    offsets: int64 [n], where in `frames` a sequence begins.
    lengths: int64 [n], frames of a sequence.
    subjects: str [n].
    conditions: str [n].
    views: str [n].
    labels: int32 [n], index of the subject in the sorted set of the split's
      subjects; never decreasing.
    num_classes: number of subjects.
  """

  def __init__(
    self,
    sequences: Sequence[tf.Tensor],
    subjects: Sequence[str],
    conditions: Sequence[str],
    views: Sequence[str],
  ):
    """Sorts and joins the sequences.

    Args:
      sequences: tf.string [t] each, one zlib string of 64 x 64 bytes a frame.
      subjects: who walks, one a sequence.
      conditions: how, such as "nm-01".
      views: seen from where, such as "090".

    Raises:
      errors.UserError: there is no sequence, or one without frames.
    """
    if not sequences:
      raise errors.UserError("the store got no sequences; give it at least one")
    keys = list(zip(subjects, conditions, views, strict=True))
    order = sorted(range(len(sequences)), key=keys.__getitem__)
    lengths = [int(sequences[i].shape[0]) for i in order]
    if 0 in lengths:
      raise errors.UserError(
        f"sequence {'-'.join(keys[order[lengths.index(0)]])} has no frames;"
        " leave it out"
      )
    self.lengths = np.array(lengths, np.int64)
    self.offsets = np.cumsum(self.lengths) - self.lengths
    self.subjects, self.conditions, self.views = np.array(
      [keys[i] for i in order]
    ).T
    classes, labels = np.unique(self.subjects, return_inverse=True)
    self.labels = labels.astype(np.int32)
    self.num_classes = len(classes)
    with tf.device("CPU"):
      self.frames = tf.concat([sequences[i] for i in order], axis=0)

  def __len__(self) -> int:
    """Number of sequences."""
    return len(self.lengths)

  @classmethod
  def from_arrays(
    cls,
    sequences: Sequence[np.ndarray],
    subjects: Sequence[str],
    conditions: Sequence[str],
    views: Sequence[str],
  ) -> SequenceStore:
    """Makes a store of silhouettes that are in memory.

    Args:
      sequences: uint8 [t, 64, 64] each, 0 to 255.
      subjects: who walks, one a sequence.
      conditions: how, such as "nm-01".
      views: seen from where, such as "090".

    Raises:
      errors.UserError: a sequence has another shape or dtype.
    """
    for sequence, *key in zip(
      sequences, subjects, conditions, views, strict=True
    ):
      if sequence.dtype != np.uint8 or sequence.shape[1:] != (HEIGHT, WIDTH):
        raise errors.UserError(
          f"sequence {'-'.join(key)} is {sequence.dtype}"
          f" {list(sequence.shape)}; make it uint8 [t, {HEIGHT}, {WIDTH}]"
        )
    packed = [
      tf.constant([zlib.compress(f.tobytes()) for f in s], tf.string)
      for s in sequences
    ]
    return cls(packed, subjects, conditions, views)

  @classmethod
  def from_builder(
    cls, builder: tfds.core.DatasetBuilder, split: str
  ) -> SequenceStore:
    """Reads one split of a prepared data set.

    Raises:
      errors.UserError: the split is missing, empty or damaged.
    """
    if not (
      split in builder.info.splits
      and (total := builder.info.splits[split].num_examples)
    ):
      raise errors.UserError(
        f"split {split!r} of {builder.info.full_name} in"
        f" {builder.data_path} has no sequences; check the data's folder and"
        " its lists of subjects"
      )
    dataset = builder.as_dataset(
      split=split,
      # Neither decodes nor compresses again: the strings come as they lie on
      # the disk.
      decoders={"silhouettes": tfds.decode.SkipDecoding()},
      read_config=tfds.ReadConfig(try_autocache=False),
    )
    columns = {name: [] for name in builder.info.features}
    try:
      # disable=None: a bar on a terminal, nothing in a log file.
      for row in tqdm.tqdm(
        dataset,
        desc=f"loading {split}",
        total=total,
        unit="seq",
        disable=None,
      ):
        for name, column in columns.items():
          column.append(row[name])
    except tf.errors.OpError as error:
      raise errors.UserError(
        f"split {split!r} in {builder.data_path} cannot be read"
        f" ({error.message.splitlines()[0]}); delete that folder, so that it"
        " is prepared again"
      ) from error
    subjects, conditions, views = (
      [text.numpy().decode() for text in columns[name]]
      for name in ("subject", "condition", "view")
    )
    return cls(columns["silhouettes"], subjects, conditions, views)
