"""Examples of the prepared data: what TFDS stores of a sequence."""

from collections.abc import Sequence
from typing import Any
import zlib

import numpy as np
import tensorflow_datasets as tfds

from data_pipelines import frames
from data_pipelines import source as source_lib
from data_pipelines import store
from data_pipelines import tree
from gaitkd_jax.errors import UserError


class Frames(tfds.features.Tensor):
  """A frame as `tfds.features.Tensor` stores it, or compressed already.

  TFDS encodes examples in one thread. To compress a sequence of 108 frames
  takes 6 ms, to read it from a pickle 0.6 ms: so the reading threads compress,
  and what they have compressed passes.
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
    # What is prepared is a plain Tensor, which any TFDS reads.
    tensor = tfds.features.Tensor
    return f"{tensor.__module__}.{tensor.__name__}"


def read(
  folder: tree.SequenceFolder,
  source: source_lib.Source,
  modalities: Sequence[str],
) -> dict[str, Any]:
  """Reads one sequence and compresses its frames.

  Args:
    folder: the sequence's folder.
    source: the data set.
    modalities: see `frames.read_sequence`.

  Returns:
    The example, as the builder's features take it.

  Raises:
    frames.EmptySequenceError: the sequence cannot be used.
    UserError: a file is damaged or refused.
  """
  sequence = frames.read_sequence(folder, source, modalities)
  example = {
    name: [zlib.compress(frame.tobytes()) for frame in values]
    for name, values in sequence.items()
  }
  return example | {
    "subject": folder.subject,
    "condition": folder.condition,
    "view": folder.view,
    "name": folder.key,
  }


def features(modalities: Sequence[str]) -> tfds.features.FeaturesDict:
  """Gives the features of the prepared data.

  Args:
    modalities: as `check_modalities` returns them.

  Returns:
    The modalities, one zlib string a frame, and texts: who, how, seen from
    where, and the sequence's own name.
  """
  found = {
    m: tfds.features.Sequence(Frames(store.SHAPES[m])) for m in modalities
  }
  found |= {name: tfds.features.Text() for name in store.TEXTS}
  return tfds.features.FeaturesDict(found)


def check_modalities(modalities: Sequence[str]) -> tuple[str, ...]:
  """Returns the modalities in their order; refuses others."""
  if "silhouettes" not in modalities or set(modalities) - set(store.SHAPES):
    raise UserError(
      f"data.modalities is {', '.join(modalities) or 'empty'}; give "
      "silhouettes, or silhouettes and heatmaps."
    )
  return tuple(name for name in store.SHAPES if name in modalities)
