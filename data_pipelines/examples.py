"""Examples of the prepared data: what TFDS stores of a sequence."""

import collections
from collections.abc import Iterator
from collections.abc import Sequence
from concurrent import futures
import dataclasses
import itertools
import os
from typing import Any
import zlib

import numpy as np
import tensorflow_datasets as tfds

from data_pipelines import frames
from data_pipelines import plausibility
from data_pipelines import records
from data_pipelines import remote
from data_pipelines import source as source_lib
from data_pipelines import tree
from gaitkd_jax import storage
from gaitkd_jax.errors import UserError

Example = dict[str, Any]

# OpenCV and zlib release Python's lock, so threads really work side by side.
_WORKERS = max(8, os.cpu_count() or 1)
# Sequences that are read ahead. One takes about 0.1 MB compressed, and half a
# MB before that.
_AHEAD = 4 * _WORKERS


class Frames(tfds.features.Tensor):
  """A frame as `tfds.features.Tensor` stores it, compressed here or before.

  TFDS encodes examples in one thread. Compressing a sequence of 108 frames
  takes 6 ms, reading it from a pickle 0.6 ms. The threads that read therefore
  compress as well, and what they have compressed is passed on as it is.
  """

  def __init__(self, shape: tuple[int, ...]):
    super().__init__(shape=shape, dtype=np.uint8, encoding="zlib")

  def encode_example(self, example_data: np.ndarray | bytes) -> bytes:
    """See base class."""
    if isinstance(example_data, bytes):
      return example_data
    return super().encode_example(example_data)

  @property
  def _fully_qualified_class_name(self) -> str:
    # Prepared data name a plain Tensor, which TFDS reads without this class.
    tensor = tfds.features.Tensor
    return f"{tensor.__module__}.{tensor.__name__}"


@dataclasses.dataclass(frozen=True)
class Outcome:
  """What became of one sequence.

  Attributes:
    folder: where it lies.
    example: as the builder's features take it; None if it cannot be used.
    skipped: why it holds nothing to be used; "" otherwise.
    refused: what is wrong with its files, a sentence each.
    mended: what had to be mended.
    check: what its silhouettes look like.
  """

  folder: tree.SequenceFolder
  example: Example | None = None
  skipped: str = ""
  refused: tuple[str, ...] = ()
  mended: tuple[str, ...] = ()
  check: plausibility.Check | None = None

  def note(self) -> dict[str, Any]:
    """JSON of all but the example."""
    return dataclasses.asdict(dataclasses.replace(self, example=None))

  @classmethod
  def of_note(
    cls, note: dict[str, Any], values: dict[str, list[bytes]] | None = None
  ) -> "Outcome":
    """Is the inverse of `note`.

    Args:
      note: what it returned.
      values: of the example, its compressed frames; none: there is none.
    """
    check, folder = note["check"], tree.SequenceFolder(**note["folder"])
    return cls(
      folder,
      example=values | _texts(folder) if values else None,
      skipped=note["skipped"],
      refused=tuple(note["refused"]),
      mended=tuple(note["mended"]),
      check=plausibility.Check(**check) if check else None,
    )


def _texts(folder: tree.SequenceFolder) -> dict[str, str]:
  return {
    "subject": folder.subject,
    "condition": folder.condition,
    "view": folder.view,
    "name": folder.key,
  }


def read(
  folder: tree.SequenceFolder,
  source: source_lib.Source,
  modalities: Sequence[str],
) -> Outcome:
  """Reads one sequence and compresses its frames.

  Args:
    folder: the sequence's folder.
    source: the data set.
    modalities: see `frames.read_sequence`.

  Returns:
    The example, or why there is none.
  """
  try:
    sequence = frames.read_sequence(folder, source, modalities)
  except frames.EmptySequenceError as finding:
    return Outcome(folder, skipped=str(finding))
  except frames.DamagedFilesError as error:
    return Outcome(folder, refused=error.findings)
  except remote.RefusalError:
    raise
  except UserError as error:
    if source.skip_damaged:
      return Outcome(folder, skipped=str(error))
    return Outcome(folder, refused=(str(error),))
  example = {
    name: [zlib.compress(frame.tobytes()) for frame in values]
    for name, values in sequence.arrays.items()
  }
  example |= _texts(folder)
  return Outcome(folder, example, mended=sequence.notes, check=sequence.check)


def read_ahead(
  folders: Sequence[tree.SequenceFolder],
  source: source_lib.Source,
  modalities: Sequence[str],
) -> Iterator[Outcome]:
  """Reads sequences in threads, a few ahead of the one that is asked for.

  Args:
    folders: the sequences' folders.
    source: the data set.
    modalities: see `frames.read_sequence`.

  Yields:
    What became of each folder, in order.
  """
  workers, ahead = _WORKERS, _AHEAD
  if folders and storage.is_remote(folders[0].path):
    workers, ahead = 4 * workers, 4 * ahead
  pool = futures.ThreadPoolExecutor(workers)
  try:
    waiting = collections.deque()
    for folder in itertools.chain(folders, [None] * ahead):
      if folder is not None:
        waiting.append(pool.submit(read, folder, source, modalities))
      if not waiting or (folder is not None and len(waiting) < ahead):
        continue
      yield waiting.popleft().result()
  finally:
    pool.shutdown(cancel_futures=True)


def features(modalities: Sequence[str]) -> tfds.features.FeaturesDict:
  """Returns the features of the prepared data.

  Args:
    modalities: as `check_modalities` returns them.

  Returns:
    The modalities, one zlib string a frame, and texts: subject, condition,
    view, and the name of the sequence.
  """
  found = {
    m: tfds.features.Sequence(Frames(records.SHAPES[m])) for m in modalities
  }
  found |= {name: tfds.features.Text() for name in records.TEXTS}
  return tfds.features.FeaturesDict(found)


def check_modalities(modalities: Sequence[str]) -> tuple[str, ...]:
  """Returns the modalities in the order of the prepared data.

  Raises:
    UserError: one is unknown, or silhouettes are missing.
  """
  if "silhouettes" not in modalities or set(modalities) - set(records.SHAPES):
    raise UserError(
      f"data.modalities is {', '.join(modalities) or 'empty'}; give "
      "silhouettes, or silhouettes and heatmaps."
    )
  return tuple(name for name in records.SHAPES if name in modalities)
