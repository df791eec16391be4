"""The data sets that can be trained on, by name."""

from __future__ import annotations

import importlib
import os
import sys
from typing import TYPE_CHECKING
from typing import Any

from gaitkd_jax import errors

if TYPE_CHECKING:
  import tensorflow_datasets as tfds

# Trees of files; each has a builder of its own.
BENCHMARKS = ("casiab", "oumvlp", "grew", "gait3d", "ccpg", "sustech1k")
TREES = (*BENCHMARKS, "opengait")
NAMES = ("walkers", *TREES)


def prepare(
  data: Any, download_config: tfds.download.DownloadConfig | None = None
) -> tfds.core.DatasetBuilder:
  """Prepares a data set once and returns its builder.

  Args:
    data: has the attributes `name` (one of `NAMES`), `root` (folder of the
      real data; unused by walkers), `prepared` (folder of the prepared data),
      `variant` (walkers: tiny, small or full), `modalities` (silhouettes, and
      heatmaps if they are wanted), `pickles`, if it has it
      (which of several pickles hold what), `partition`, `train_subjects` and
      `test_subjects` (all empty: the data set's own division; partition
      "halves": the first half of the subjects that are there trains, where its
      own division leaves nobody to train or to test; or the path of a JSON file
      in OpenGait's format).
    download_config: asks for Apache Beam by its options; None: this process
      reads.

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
    from data_pipelines import examples
    from data_pipelines.walkers import spec
    from data_pipelines.walkers import walkers_dataset_builder

    if data.variant not in spec.SIZES:
      raise errors.UserError(
        f"data.variant: there is no walkers variant {data.variant!r}; choose"
        f" one of {', '.join(spec.SIZES)}"
      )
    config = walkers_dataset_builder.config_name(
      data.variant, "heatmaps" in examples.check_modalities(data.modalities)
    )
    if data.partition not in ("", "halves"):
      raise errors.UserError(
        f"data.partition {data.partition}: walkers have a division of their"
        " own; leave it empty"
      )

    def make():
      return walkers_dataset_builder.Builder(config=config, data_dir=prepared)

  elif data.name in TREES:
    module = importlib.import_module(
      f"data_pipelines.{data.name}.{data.name}_dataset_builder"
    )

    def make():
      return module.Builder.from_tree(
        data.root,
        prepared,
        data.train_subjects,
        data.test_subjects,
        partition=data.partition,
        modalities=data.modalities,
        pickles=getattr(data, "pickles", ""),
        beam=download_config is not None,
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
    builder.download_and_prepare(download_config=download_config)
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


def probes(data: Any) -> tuple[str, ...]:
  """Names the test sequences that a benchmark searches for.

  Args:
    data: as for `prepare`, which is called.

  Returns:
    Names such as "0002-camid33_videoid2-seq0" that are in the split "test": the
    PROBE_SET of the JSON file that `data.partition` names, else the data set's
    own list; under "halves", where none of them is there, the first sequence of
    every test subject that has two or more. Empty where the data set lists no
    probes.

  Raises:
    errors.UserError: see `prepare`.
  """
  return prepare(data).probes() if data.name in TREES else ()
