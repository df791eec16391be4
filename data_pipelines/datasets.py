"""The data sets that can be trained on, by name."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING
from typing import Any

from gaitkd_jax import errors

if TYPE_CHECKING:
  import tensorflow_datasets as tfds

NAMES = ("walkers", "casiab")


def prepare(data: Any) -> tfds.core.DatasetBuilder:
  """Prepares a data set once and returns its builder.

  Args:
    data: has the attributes `name` (one of `NAMES`), `root` (folder of the
      real data; unused by walkers), `prepared` (folder of the prepared data),
      `variant` (walkers: tiny, small or full), `partition`,
      `train_subjects` and `test_subjects` (all empty: the data set's own
      division; partition "halves": the first half of the subjects that are
      there trains).

  Returns:
    A builder whose splits "train" and "test" are ready to be read. A second
    call with the same settings finds the prepared data and builds nothing.

  Raises:
    errors.UserError: the name or variant is unknown, the real data cannot be
      used, or the prepared data cannot be written.
  """
  prepared = os.path.expanduser(data.prepared)
  # A builder's module needs TensorFlow and its own readers of images: only
  # the one that is asked for is imported.
  if data.name == "walkers":
    from data_pipelines.walkers import walkers_dataset_builder

    configs = walkers_dataset_builder.Builder.builder_configs
    if data.variant not in configs:
      raise errors.UserError(
        f"data.variant: there is no walkers variant {data.variant!r}; choose"
        f" one of {', '.join(configs)}"
      )

    def make():
      return walkers_dataset_builder.Builder(
        config=data.variant, data_dir=prepared
      )

  elif data.name == "casiab":
    from data_pipelines.casiab import casiab_dataset_builder

    train, test = _subject_lists(data)

    def make():
      return casiab_dataset_builder.make_builder(
        data.root, prepared, train, test
      )

  else:
    raise errors.UserError(
      f"data.name: there is no data set {data.name!r}; choose one of"
      f" {', '.join(NAMES)}"
    )
  import tensorflow_datasets as tfds

  # The builder of real data shows a bar of its own; a log file needs none.
  tfds.display_progress_bar(data.name == "walkers" and sys.stderr.isatty())
  builder = make()
  try:
    builder.download_and_prepare()
  except (OSError, errors.UserError) as error:
    # Of processes that prepare at once, one moves its files into place and
    # the others find the place taken.
    builder = make()
    if not builder.is_prepared():
      if isinstance(error, errors.UserError):
        raise
      raise errors.UserError(
        f"data.prepared: cannot prepare {data.name} in {prepared} ({error});"
        " set it to a folder that can be written to and has space"
      ) from error
  return builder


def _subject_lists(data: Any) -> tuple[tuple[str, ...], tuple[str, ...]]:
  """Returns who trains and who tests; empty lists are the data set's own."""
  train, test = tuple(data.train_subjects), tuple(data.test_subjects)
  if data.partition not in ("", "halves"):
    raise errors.UserError(
      f"data.partition is {data.partition!r}; leave it empty or give halves"
    )
  if data.partition and data.root and not train and not test:
    from data_pipelines.casiab import tree

    subjects = sorted({f.subject for f in tree.scan(data.root).folders})
    half = len(subjects) // 2
    train, test = tuple(subjects[:half]), tuple(subjects[half:])
  return train, test
