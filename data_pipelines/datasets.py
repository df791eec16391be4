"""The data sets that can be trained on, by name.

A data set is a package `data_pipelines.<name>` with the module
`<name>_dataset_builder`, whose class `Builder` is what is described below. One
that is read from a tree of files says in its package what is particular to it,
see `source.Source`, and inherits the rest from `tree_builder.TreeBuilder`.
"""

from __future__ import annotations

from collections.abc import Callable
import importlib
import os
import sys
from typing import TYPE_CHECKING
from typing import Any
from typing import ClassVar
from typing import Protocol

from data_pipelines import remote
from gaitkd_jax import errors
from gaitkd_jax import storage

if TYPE_CHECKING:
  import tensorflow_datasets as tfds

  from data_pipelines import build_notes
  from data_pipelines import source as source_lib

# Benchmarks, each with a division of its subjects.
BENCHMARKS = (
  "casiab",
  "oumvlp",
  "grew",
  "gait3d",
  "ccpg",
  "sustech1k",
  "casiae",
  "hid",
)
# All that is read from a tree of files.
TREES = (*BENCHMARKS, "freegait", "opengait")
NAMES = ("walkers", *TREES)


class Builder(Protocol):
  """What the `Builder` of a data set has, beside what TFDS asks of it.

  Attributes:
    SHOWS_BAR: whether it shows progress itself, in place of TFDS's bars.
  """

  SHOWS_BAR: ClassVar[bool]

  @classmethod
  def from_config(
    cls, data: Any, beam: bool = False
  ) -> tfds.core.DatasetBuilder:
    """Makes the builder that a config asks for; prepares nothing yet.

    Args:
      data: see `prepare`.
      beam: whether Apache Beam reads.

    Raises:
      errors.UserError: a value of `data` is not one of this data set.
    """

  @classmethod
  def builds(
    cls, prepared: str | os.PathLike[str]
  ) -> dict[str, build_notes.Build]:
    """Finds what is prepared, by the names of the builders' configs.

    Args:
      prepared: where prepared data are kept.

    Raises:
      errors.UserError: the notes of a build are damaged.
    """

  def probes(self) -> tuple[str, ...]:
    """Names of the probes in the prepared data; see the function `probes`."""

  def gallery(self) -> tuple[str, ...] | None:
    """Names of the gallery in the prepared data; None if it is not listed."""


def builder_class(name: str) -> type[Builder]:
  """Returns the class that prepares a data set.

  Only the module of that data set is imported, since it needs TensorFlow and
  what reads its images.

  Raises:
    errors.UserError: the name is unknown.
  """
  if name not in NAMES:
    raise errors.UserError(
      f"data.name: there is no data set {name!r}; choose one of"
      f" {', '.join(NAMES)}"
    )
  module = f"data_pipelines.{name}.{name}_dataset_builder"
  return importlib.import_module(module).Builder


def source(name: str) -> source_lib.Source:
  """Returns what is particular to one of `TREES`; loads no TensorFlow."""
  return importlib.import_module(f"data_pipelines.{name}").SOURCE


def prepare(
  data: Any,
  download_config: tfds.download.DownloadConfig | None = None,
  before_building: Callable[[], None] | None = None,
) -> tfds.core.DatasetBuilder:
  """Prepares a data set once and returns its builder.

  Args:
    data: has the attributes `name` (one of `NAMES`), `root` (folder of the real
      data; unused by walkers), `prepared` (where prepared data are kept:
      a folder, or a place in an object store such as gs://bucket/prepared),
      `variant` (walkers: tiny, small, full or validation), `modalities`
      (silhouettes, and heatmaps if they are wanted), `pickles`, if it has it
      (which of several pickles hold what), `skip_damaged`, if it has it
      (whether to go on without damaged files), `train_subjects` and
      `test_subjects` (empty: as `partition` says), and `partition` (empty: as
      the benchmark says; "halves": the first half of the subjects that are
      there trains, where the benchmark's division leaves nobody to train or to
      test; or the path of a JSON file in OpenGait's format).
    download_config: Apache Beam's options, if Beam is to read; None: this
      process reads.
    before_building: is called where the prepared data are not found.

  Returns:
    A builder whose splits "train" and "test" are ready to be read. A second
    call with the same settings finds the prepared data and builds nothing.

  Raises:
    errors.UserError: the name or variant is unknown, the real data cannot be
      used, or the prepared data cannot be written.
  """
  made_by = builder_class(data.name)

  from google.protobuf import json_format
  import tensorflow_datasets as tfds

  from data_pipelines import staging

  def make() -> tfds.core.DatasetBuilder:
    try:
      with remote.explained_if(data.prepared, "data.prepared"):
        return made_by.from_config(data, beam=download_config is not None)
    except json_format.ParseError as error:
      raise errors.UserError(
        f"data.prepared: a dataset_info.json of {data.name} in"
        f" {os.path.expanduser(data.prepared)} is damaged"
        f" ({' '.join(str(error).split())}); delete the folder that it lies"
        " in, so that it is prepared again"
      ) from error

  # In a log file, a bar would be noise.
  tfds.display_progress_bar(not made_by.SHOWS_BAR and sys.stderr.isatty())
  builder = make()
  if before_building and not staging.is_prepared(builder):
    before_building()
  try:
    staging.download_and_prepare(builder, download_config)
  except (OSError, errors.UserError) as error:
    # If several processes prepare at once, the first moves its files into place
    # and the others fail, because the place is taken.
    if storage.is_remote(data.prepared):
      raise
    builder = make()
    if not builder.is_prepared():
      if isinstance(error, errors.UserError):
        raise
      raise errors.UserError(
        f"data.prepared: cannot prepare {data.name} in"
        f" {os.path.expanduser(data.prepared)} ({error}); set it to a folder"
        " that can be written to and has space"
      ) from error
  return builder


def absent_probes(data: Any) -> tuple[str, ...]:
  """Names the listed probes that are not among the test sequences.

  Args:
    data: as for `prepare`, which is called.

  Returns:
    Names of the list that `probes` reads; none where it reads no list.

  Raises:
    errors.UserError: see `prepare`.
  """
  from data_pipelines import partitions

  if data.name not in TREES:
    return ()
  there = set(probes(data))
  listed = source(data.name).partition.probes
  if data.partition not in ("", partitions.HALVES):
    listed = partitions.read(data.partition).probes or listed
  if not there or there.difference(listed):  # chosen otherwise, as in halves
    return ()
  return tuple(name for name in listed if name not in there)


def probes(data: Any) -> tuple[str, ...]:
  """Names the test sequences that a benchmark searches for.

  Args:
    data: as for `prepare`, which is called.

  Returns:
    Names such as "0002-camid33_videoid2-seq0" that are in the split "test": the
    PROBE_SET of the JSON file that `data.partition` names, or all that are not
    in its GALLERY_SET if it has that alone, else the benchmark's list; under
    "halves", where none of them is there, the first sequence of every test
    subject that has two or more. Empty where the data set lists no probes.

  Raises:
    errors.UserError: see `prepare`.
  """
  return prepare(data).probes()


def roles(
  data: Any, builder: tfds.core.DatasetBuilder | None = None
) -> dict[str, tuple[str, ...]]:
  """Names the test sequences that a benchmark gives a role.

  Args:
    data: as for `prepare`.
    builder: what `prepare` returned; None: it is called.

  Returns:
    "probes", see the function of that name, and, where the data set lists it,
    "gallery". Where it does not, all other test sequences are the gallery.

  Raises:
    errors.UserError: see `prepare`.
  """
  builder = builder or prepare(data)
  gallery = builder.gallery()
  listed = {} if gallery is None else {"gallery": gallery}
  return {"probes": builder.probes(), **listed}
