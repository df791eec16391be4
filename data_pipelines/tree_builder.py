"""TFDS builder of a data set that lies on the disk as a tree of sequences."""

from __future__ import annotations

from collections.abc import Iterator
from collections.abc import Sequence
import contextlib
import dataclasses
import hashlib
import itertools
import json
import os
import pathlib
from typing import Any
from typing import ClassVar

from absl import logging
import tensorflow_datasets as tfds

from data_pipelines import build_notes
from data_pipelines import examples
from data_pipelines import frames
from data_pipelines import partitions
from data_pipelines import reading as reading_lib
from data_pipelines import remote
from data_pipelines import source as source_lib
from data_pipelines import tree as tree_lib
from data_pipelines import unfinished
from gaitkd_jax import errors
from gaitkd_jax import storage
from gaitkd_jax.errors import UserError

# 1.2.0: frames in natural order, ranges and polarity are mended.
VERSION = "1.2.0"


@dataclasses.dataclass(eq=False)
class TreeConfig(tfds.core.BuilderConfig):
  """One tree of files and how it is read.

  Attributes:
    tree: what is to be read; None where prepared data are only looked up.
    partition: who trains and who tests.
    request: what the user asked for.
    modalities: what is read of a sequence.
    pickles: see `source.Source`.
    skip_damaged: likewise.
    beam: whether Apache Beam reads, rather than this process.
  """

  tree: tree_lib.Tree | None = dataclasses.field(default=None, repr=False)
  partition: partitions.Partition | None = dataclasses.field(
    default=None, repr=False
  )
  request: partitions.Request | None = dataclasses.field(
    default=None, repr=False
  )
  modalities: tuple[str, ...] = ("silhouettes",)
  pickles: tuple[tuple[str, str], ...] = ()
  skip_damaged: bool = False
  beam: bool = dataclasses.field(default=False, repr=False)


class TreeBuilder(tfds.core.GeneratorBasedBuilder, skip_registration=True):
  """Prepares one data set; made by `from_tree` or `from_config`.

  A damaged or refused file stops the build, unless the user wants to go on
  without; all such files are named at once. A sequence that is not damaged but
  holds nothing to be used is skipped, one that is odd is mended; both are
  listed beside the prepared data, see `build_notes`. Files are written to an
  "incomplete" folder, which is renamed when everything is there: an interrupted
  build leaves nothing that could be taken for the whole set.

  Attributes:
    SOURCE: the data set; its builder's class sets it.
    SHOWS_BAR: see `datasets.Builder`.
  """

  VERSION = tfds.core.Version(VERSION)
  SOURCE: ClassVar[source_lib.Source]
  SHOWS_BAR: ClassVar[bool] = True

  def __init__(self, **kwargs: Any):
    self._notes = build_notes.Notes()
    super().__init__(**kwargs)

  @classmethod
  def from_config(cls, data: Any, beam: bool = False) -> TreeBuilder:
    """Makes the builder that a config asks for.

    Args:
      data: see `datasets.prepare`.
      beam: whether Apache Beam reads.

    Raises:
      UserError: see `from_tree`.
    """
    return cls.from_tree(
      data.root,
      data.prepared,
      data.train_subjects,
      data.test_subjects,
      partition=data.partition,
      modalities=data.modalities,
      pickles=getattr(data, "pickles", ""),
      skip_damaged=getattr(data, "skip_damaged", False),
      beam=beam,
    )

  @classmethod
  def from_tree(
    cls,
    root: str | os.PathLike[str],
    prepared: str | os.PathLike[str],
    train_subjects: Sequence[str] = (),
    test_subjects: Sequence[str] = (),
    *,
    partition: str = "",
    modalities: Sequence[str] = ("silhouettes",),
    pickles: str = "",
    skip_damaged: bool = False,
    beam: bool = False,
  ) -> TreeBuilder:
    """Makes the builder of one tree; prepares nothing yet.

    Prepared data are kept under a fingerprint of the root, of the path, size
    and time of every file, of the division and of the modalities, so files that
    changed are read again. A split without a usable sequence is missing from
    `builder.info.splits`.

    Args:
      root: the folder that holds the data set; "" takes the only build that
        `prepared` holds, or the only one of the data set's own division.
      prepared: where prepared data are kept.
      train_subjects: who trains; empty: those of the partition, without those
        of `test_subjects`.
      test_subjects: who tests; empty: those of the partition, without those of
        `train_subjects`.
      partition: "" (the benchmark's), "halves" (where the benchmark's leaves
        nobody to train or to test, the first half of the subjects trains) or
        the path of a JSON file in OpenGait's format.
      modalities: ("silhouettes",) or ("silhouettes", "heatmaps").
      pickles: which of several pickles in a folder hold what, by index or by a
        part of the name, such as "silhouettes=6,heatmaps=heatmap".
      skip_damaged: whether to go on without damaged and refused files.
      beam: whether Apache Beam reads.

    Returns:
      The builder; `download_and_prepare()` reads the tree where needed.

    Raises:
      UserError: the root is missing or holds no sequence; a subject is both to
        train and to test; the partition or the modalities are unknown; or
        `root` is empty and `prepared` does not hold exactly one build.
    """
    if not storage.is_remote(prepared):
      prepared = os.path.abspath(os.path.expanduser(prepared))
    prepared = os.fspath(prepared)
    modalities = examples.check_modalities(modalities)
    chosen = frames.parse_choice(pickles)
    known = cls.SOURCE.partition.test
    digits = len(known[0]) if known else 0
    # A command line turns 001 into a number.
    train, test = (
      tuple(f"{i:0{digits}d}" if isinstance(i, int) else i for i in given)
      for given in (train_subjects, test_subjects)
    )
    request = partitions.Request(partition, train, test)
    if not known and not any(request.identity()):
      raise UserError(
        f"{cls.SOURCE.title} has no division of its own; give data.partition, "
        "halves or a JSON file with TRAIN_SET and TEST_SET."
      )
    if not root:
      name = cls._sole_prepared(prepared, request, modalities)
      config = TreeConfig(name=name, modalities=modalities)
      return cls(config=config, data_dir=prepared)
    tree = tree_lib.scan(root, cls.SOURCE.layouts)
    subjects = {folder.subject for folder in tree.folders}
    division, missing = partitions.resolve(
      cls.SOURCE.partition, request, subjects
    )
    unused = subjects - {*division.train, *division.test}
    build_notes.log_tree(tree, missing, unused)
    key = [VERSION, tree.fingerprint, request.identity(), modalities]
    key += [division.train, division.test, chosen]
    key += ["skip_damaged"] * bool(skip_damaged)
    config = TreeConfig(
      name=hashlib.sha256(json.dumps(key).encode()).hexdigest()[:16],
      tree=tree,
      partition=division,
      request=request,
      modalities=modalities,
      pickles=chosen,
      skip_damaged=bool(skip_damaged),
      beam=beam,
    )
    return cls(config=config, data_dir=prepared)

  @classmethod
  def _sole_prepared(
    cls,
    prepared: str,
    request: partitions.Request,
    modalities: tuple[str, ...],
  ) -> str:
    """Finds the one prepared build; returns the name of its config."""
    asked = tuple(request.identity())
    fitting = {
      name: build
      for name, build in cls.builds(prepared).items()
      if build.modalities == modalities
      and (not any(asked) or build.request == asked)
    }
    # Of several, it is that of the data set's own division.
    own = [name for name, build in fitting.items() if build.own_division]
    found = own if len(own) == 1 else list(fitting)
    if len(found) != 1:
      raise UserError(
        f"data.root is not given, and {prepared} holds {len(found)} prepared "
        f"builds of these {cls.SOURCE.title} subjects and modalities rather "
        f"than one; give data.root, the folder that holds {cls._layouts()}."
      )
    return found[0]

  @classmethod
  def builds(
    cls, prepared: str | os.PathLike[str]
  ) -> dict[str, build_notes.Build]:
    """See `datasets.Builder`."""
    found = {}
    pattern = f"{cls.name}/*/{VERSION}/dataset_info.json"
    for info in sorted(storage.path(prepared).glob(pattern)):
      source = build_notes.read_source(info.parent)
      found[info.parent.parent.name] = build_notes.Build(
        tuple(source["modalities"]), request=tuple(source["request"])
      )
    return found

  @property
  def _source(self) -> source_lib.Source:
    """The data set, with the user's choices."""
    return dataclasses.replace(
      self.SOURCE,
      pickles=self.builder_config.pickles,
      skip_damaged=self.builder_config.skip_damaged,
    )

  @classmethod
  def _layouts(cls) -> str:
    return " or ".join(layout.text for layout in cls.SOURCE.layouts)

  def _info(self) -> tfds.core.DatasetInfo:
    return self.dataset_info_from_configs(
      features=examples.features(self.builder_config.modalities)
    )

  def probes(self) -> tuple[str, ...]:
    """Names of the probes, of prepared data; see `partitions.probes`."""
    return tuple(build_notes.read_source(self.data_dir)["probes"])

  def gallery(self) -> tuple[str, ...] | None:
    """Names of the gallery, of prepared data; see `partitions.gallery`."""
    # Data that were prepared before galleries could be listed have no such key.
    listed = build_notes.read_source(self.data_dir).get("gallery")
    return None if listed is None else tuple(listed)

  def download_and_prepare(self, **kwargs: Any) -> None:
    """Reads the tree, unless that was done before; see the base class.

    Args:
      **kwargs: those of `tfds.core.DatasetBuilder.download_and_prepare`.

    Raises:
      UserError: a file is damaged or refused, no sequence is usable, or the
        prepared data cannot be written. Nothing half-prepared stays behind.
    """
    prepared = pathlib.Path(self.data_dir)
    exists = prepared.exists()
    if exists and not (prepared / "dataset_info.json").exists():
      raise UserError(
        f"{prepared}: the prepared data are incomplete; delete that folder."
      )
    for stale in sorted(prepared.parent.glob("incomplete.*")):
      logging.warning(
        "%s was left by a build that was interrupted, or another build is"
        " running now; delete it if none is",
        stale,
      )
    self._notes = build_notes.Notes()
    try:
      super().download_and_prepare(**kwargs)
    except errors.Stopped as stop:
      if not any(self._unfinished.glob("*/*")):
        raise
      raise stop.keeping(
        f"what was read of {self.SOURCE.title} is in {self._unfinished}"
      ) from None
    except Exception as error:
      try:
        reading_lib.raise_user_error(error, self.data_dir)
        raise
      except remote.RefusalError:
        raise  # the next build goes on
      except Exception:
        unfinished.remove(self._unfinished)  # a mended tree is another
        with contextlib.suppress(OSError):  # TFDS leaves an empty folder.
          prepared.parent.rmdir()
        raise
    unfinished.remove(self._unfinished)
    if not exists:
      self._notes.log(self.data_dir)

  @property
  def _unfinished(self) -> pathlib.Path:
    """Where is kept what was read, while it is not prepared."""
    return pathlib.Path(self.data_dir).parent / "unfinished"

  def _split_generators(
    self, dl_manager: tfds.download.DownloadManager
  ) -> dict[str, Any]:
    del dl_manager
    config = self.builder_config
    if config.tree is None:
      raise UserError(
        f"{self.data_dir}: not prepared; give data.root, the folder that holds "
        f"{self._layouts()}."
      )
    self._notes = build_notes.Notes(config.tree.unusable)
    splits = {}
    for split in ("train", "test"):
      folders = self._folders(split)
      # TFDS refuses a split without examples, so the first is read here.
      found = self._read(split, folders)
      first = next(found, None)
      if first is None:
        continue
      if config.beam:
        found.close()
        # What comes before the first usable sequence has been noted already.
        at = next(i for i, f in enumerate(folders) if f.key == first[0])
        splits[split] = self._generate_examples(split, folders[at:])
      else:
        splits[split] = itertools.chain([first], found)
    if not splits:
      raise UserError(self._why_nothing_is_usable())
    self._write_notes()
    return splits

  def _folders(self, split: str) -> list[tree_lib.SequenceFolder]:
    """The sequences of a split, in order."""
    config = self.builder_config
    subjects = set(getattr(config.partition, split))
    return [f for f in config.tree.folders if f.subject in subjects]

  def _why_nothing_is_usable(self) -> str:
    config = self.builder_config
    reason = ", for their subjects are in neither split"
    if self._notes.skipped:
      reason = f" (the first: {': '.join(self._notes.skipped[0])})"
    hint = "."
    if "heatmaps" in config.modalities:
      hint = "; scripts/make_heatmaps.py makes heat maps."
    return (
      f"data.root {config.tree.root}: none of {len(config.tree.folders)} "
      f"sequences is usable{reason}; check data.root, data.partition, "
      f"data.train_subjects and data.test_subjects{hint}"
    )

  def _generate_examples(
    self, split: str, folders: Sequence[tree_lib.SequenceFolder]
  ) -> Any:
    """Reads one split, or returns the transform with which Beam reads it."""
    if not self.builder_config.beam:
      return self._read(split, folders)
    from data_pipelines import beam_reading

    return beam_reading.examples(
      folders,
      self._source,
      self.builder_config.modalities,
      os.path.join(self.data_dir, f"notes-{split}"),
    )

  def _process_pipeline_result(self, pipeline_result: Any) -> None:
    """Takes over the notes of Beam's workers; TFDS calls it at the end."""
    del pipeline_result
    from data_pipelines import beam_reading

    outcomes = beam_reading.take_notes(self.data_dir)
    refused = [text for outcome in outcomes for text in outcome.refused]
    if refused:
      raise reading_lib.refusal(refused)
    for outcome in outcomes:
      self._notes.add(outcome)
    self._write_notes()

  def _read(
    self, split: str, folders: Sequence[tree_lib.SequenceFolder]
  ) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yields the examples of one split in the order of the folders."""
    everything = self._folders("train") + self._folders("test")
    reading = reading_lib.read(
      folders,
      everything,
      self._source,
      self.builder_config.modalities,
      self._notes,
      f"Reading {self.SOURCE.title}, {split}",
      None if self.builder_config.beam else self._unfinished / split,
    )
    with contextlib.closing(reading):
      yield from reading
    self._write_notes()

  def _write_notes(self) -> None:
    """Writes what was skipped and what was read into the folder being built."""
    config = self.builder_config
    skipped = {path for path, _ in self._notes.skipped}
    test = set(config.partition.test)
    names = [
      (f.subject, f.key)
      for f in config.tree.folders
      if f.subject in test and f.path not in skipped
    ]
    source = {
      "root": config.tree.root,
      "request": config.request.identity(),
      "modalities": config.modalities,
      "train_subjects": config.partition.train,
      "test_subjects": config.partition.test,
      "probes": partitions.probes(config.partition, config.request, names),
      "gallery": partitions.gallery(config.partition, names),
    }
    self._notes.write(self.data_dir, source)
