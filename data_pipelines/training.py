"""The sequences that a config trains on, and the batches of its steps."""

from collections.abc import Iterator
from typing import Any

import jax
import numpy as np

from data_pipelines import datasets
from data_pipelines import pipeline
from data_pipelines import store
from gaitkd_jax import errors


def training_split(config: Any, builder: Any = None) -> store.SequenceStore:
  """Opens the sequences that a config trains on; prepares them if need be.

  Args:
    config: the whole config.
    builder: what `datasets.prepare` returned; None: it is called.

  Raises:
    errors.UserError: the data cannot be used, or the network has fewer classes
      than there are subjects.
  """
  split = store.SequenceStore.from_builder(
    builder or datasets.prepare(config.data), "train", config.data.cache_gib
  )
  classes = config.model.get("num_classes", 0)
  if 0 < classes < split.num_classes:
    raise errors.UserError(
      f"config.model.num_classes is {classes}, but {config.data.name} "
      f"trains on {split.num_classes} subjects; give at least as many"
    )
  return split


def class_names(config: Any, split: store.SequenceStore) -> list[str]:
  """Names the classes of a training split, "<data set>/<subject>", in order."""
  return [f"{config.data.name}/{s}" for s in np.unique(split.subjects)]


def batch_names(
  config: Any, split: store.SequenceStore, step: int
) -> list[str]:
  """Names the sequences of a whole batch, without reading them.

  Args:
    config: the whole config.
    split: what `training_split` returned.
    step: number of the batch, from 0.

  Returns:
    Names of `SequenceStore.names`, in the order of the batch.
  """
  index = pipeline.draw_batch(
    split,
    config.batch.sampler,
    config.batch.identities,
    config.batch.sequences,
    config.seed,
    step,
  )
  return [str(name) for name in split.names[index]]


def train_batches(
  config: Any, split: store.SequenceStore, start_step: int, cached: bool = False
) -> Iterator[dict[str, np.ndarray]]:
  """Yields this process's shares of batch start_step, start_step + 1, ...

  Args:
    config: the whole config.
    split: what `training_split` returned.
    start_step: number of the first batch.
    cached: whether to show the numbered clips that `--mode=cache` showed the
      teachers, rather than new ones.

  Returns:
    See `pipeline.train_batches`.

  Raises:
    errors.UserError: a value of the config is out of range.
  """
  return pipeline.train_batches(
    split,
    identities=config.batch.identities,
    sequences=config.batch.sequences,
    clip=pipeline.Clip(**config.clip),
    augment=pipeline.Augment(**config.augment),
    sampler=config.batch.sampler,
    seed=config.seed,
    start_step=start_step,
    clips_per_sequence=config.cache.views if cached else 0,
    process_index=jax.process_index(),
    process_count=jax.process_count(),
  )
