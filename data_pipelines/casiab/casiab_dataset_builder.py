"""CASIA-B as a TFDS dataset."""

import collections
from collections.abc import Iterator
from collections.abc import Sequence
import concurrent.futures
import contextlib
import dataclasses
import hashlib
import itertools
import json
import os
import pathlib
from typing import Any

from absl import logging
import numpy as np
import tensorflow as tf
import tensorflow_datasets as tfds
import tqdm

from data_pipelines.casiab import frames
from data_pipelines.casiab import tree as tree_lib
from gaitkd_jax.errors import UserError

_VERSION = "1.0.0"
_TRAIN = tuple(f"{i:03d}" for i in range(1, 75))
_TEST = tuple(f"{i:03d}" for i in range(75, 125))
_WORKERS = 8
# Sequences read ahead; a raw one takes half a megabyte once it is pre-treated.
_AHEAD = 4 * _WORKERS
_LOGGED = 10
# Written beside the prepared data.
SKIPPED_FILE = "skipped.txt"
_SOURCE_FILE = "source.json"


@dataclasses.dataclass(eq=False)
class CasiabConfig(tfds.core.BuilderConfig):
  """One source of CASIA-B: a tree of files and two lists of subjects.

  Attributes:
    tree: what is to be read; None where prepared data are only looked up.
    train_subjects: subjects of the split "train".
    test_subjects: subjects of the split "test".
  """

  tree: tree_lib.Tree | None = dataclasses.field(default=None, repr=False)
  train_subjects: tuple[str, ...] = dataclasses.field(default=(), repr=False)
  test_subjects: tuple[str, ...] = dataclasses.field(default=(), repr=False)


class Builder(tfds.core.GeneratorBasedBuilder):
  """Prepares CASIA-B; made by `make_builder`."""

  VERSION = tfds.core.Version(_VERSION)

  def __init__(self, **kwargs):
    self._skipped: list[tuple[str, str]] = []
    super().__init__(**kwargs)

  def _info(self) -> tfds.core.DatasetInfo:
    return self.dataset_info_from_configs(
      features=tfds.features.FeaturesDict(
        {
          "silhouettes": tfds.features.Sequence(
            tfds.features.Tensor(
              shape=(64, 64), dtype=np.uint8, encoding="zlib"
            )
          ),
          "subject": tfds.features.Text(),
          "condition": tfds.features.Text(),
          "view": tfds.features.Text(),
        }
      ),
    )

  def download_and_prepare(self, **kwargs) -> None:
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
      logging.warning("Left by an interrupted or running build: %s", stale)
    self._skipped.clear()
    try:
      super().download_and_prepare(**kwargs)
    except Exception as error:
      with contextlib.suppress(OSError):  # TFDS leaves an empty folder behind.
        prepared.parent.rmdir()
      _raise_user_error(error, self.data_dir)
      raise
    if not exists:
      self._report()

  def _report(self) -> None:
    for path, reason in sorted(self._skipped)[:_LOGGED]:
      logging.warning("Skipped %s: %s", path, reason)
    if self._skipped:
      logging.warning(
        "Skipped %d sequences in all; they are listed in %s",
        len(self._skipped),
        os.path.join(self.data_dir, SKIPPED_FILE),
      )

  def _split_generators(
    self, dl_manager: tfds.download.DownloadManager
  ) -> dict[str, Iterator[tuple[str, dict[str, Any]]]]:
    del dl_manager
    config = self.builder_config
    if config.tree is None:
      raise UserError(
        f"{self.data_dir}: not prepared; give data.root, the folder that holds "
        f"{tree_lib.LAYOUT}."
      )
    splits = {}
    wanted = {"train": config.train_subjects, "test": config.test_subjects}
    for split, subjects in wanted.items():
      examples = self._generate_examples(
        split, [f for f in config.tree.folders if f.subject in set(subjects)]
      )
      # TFDS refuses a split without examples, so ask for the first one here.
      first = next(examples, None)
      if first is not None:
        splits[split] = itertools.chain([first], examples)
    if not splits:
      raise UserError(
        f"data.root {config.tree.root}: none of {len(config.tree.folders)} "
        "sequences is usable"
        + (
          f" (the first: {': '.join(self._skipped[0])})"
          if self._skipped
          else ", for their subjects are in neither split"
        )
        + "; check data.root, data.train_subjects and data.test_subjects."
      )
    self._write_notes()
    return splits

  def _generate_examples(
    self, split: str, folders: Sequence[tree_lib.SequenceFolder]
  ) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yields the examples of one split in the order of the folders."""
    bar = tqdm.tqdm(
      disable=None,  # shown on a terminal only
      total=len(folders),
      desc=f"Reading CASIA-B, {split}",
      unit=" sequences",
      mininterval=1.0,
    )
    pool = concurrent.futures.ThreadPoolExecutor(_WORKERS)
    try:
      waiting = collections.deque()
      for folder in itertools.chain(folders, [None] * _AHEAD):
        if folder is not None:
          waiting.append((folder, pool.submit(frames.read_sequence, folder)))
        if not waiting or (folder is not None and len(waiting) < _AHEAD):
          continue
        done, future = waiting.popleft()
        try:
          silhouettes = future.result()
        except frames.EmptySequenceError as finding:
          self._skipped.append((done.path, str(finding)))
          continue
        finally:
          bar.update(1)
        yield (
          done.key,
          {
            "silhouettes": silhouettes,
            "subject": done.subject,
            "condition": done.condition,
            "view": done.view,
          },
        )
      self._write_notes()
    finally:
      pool.shutdown(cancel_futures=True)
      bar.close()

  def _write_notes(self) -> None:
    """Writes what was skipped and where from, into the folder being built."""
    config = self.builder_config
    folder = pathlib.Path(self.data_dir)
    lines = (f"{path}\t{reason}\n" for path, reason in sorted(self._skipped))
    (folder / SKIPPED_FILE).write_text("".join(lines), errors="replace")
    source = {
      "root": config.tree.root,
      "train_subjects": config.train_subjects,
      "test_subjects": config.test_subjects,
    }
    (folder / _SOURCE_FILE).write_text(json.dumps(source, indent=2))


def _raise_user_error(error: BaseException, data_dir: str) -> None:
  """Raises the `UserError` that lies below TFDS's wrapping, if one does."""
  cause: BaseException | None = error
  while cause is not None:
    if isinstance(cause, UserError):
      raise cause from None
    if isinstance(cause, OSError | tf.errors.OpError):
      reason = " ".join(str(cause).split())
      raise UserError(
        f"{data_dir}: the prepared data cannot be written ({reason}); check "
        "the disk, or give another data.prepared."
      ) from error
    cause = cause.__cause__ or cause.__context__


def _subject_lists(
  train: Sequence[str], test: Sequence[str]
) -> tuple[tuple[str, ...], tuple[str, ...]]:
  """Fills in CASIA-B's own split; no subject is in both lists."""
  train, test = (
    tuple(dict.fromkeys(f"{i:03d}" if isinstance(i, int) else i for i in ids))
    for ids in (train, test)
  )
  if both := sorted(set(train) & set(test)):
    raise UserError(
      f"data.train_subjects and data.test_subjects both name {both[0]}; remove "
      "it from one of them."
    )
  return (
    train or tuple(i for i in _TRAIN if i not in set(test)),
    test or tuple(i for i in _TEST if i not in set(train)),
  )


def _sole_prepared(
  prepared: str, train: Sequence[str], test: Sequence[str]
) -> str:
  """Finds the one prepared build; returns its config's name."""
  lists = _subject_lists(train, test)
  found = []
  pattern = f"{Builder.name}/*/{_VERSION}/dataset_info.json"
  for info in sorted(pathlib.Path(prepared).glob(pattern)):
    if train or test:
      source = json.loads((info.parent / _SOURCE_FILE).read_text())
      made_for = source["train_subjects"], source["test_subjects"]
      if tuple(map(tuple, made_for)) != lists:
        continue
    found.append(info.parent.parent.name)
  if len(found) != 1:
    raise UserError(
      f"data.root is not given, and {prepared} holds {len(found)} prepared "
      "builds of these CASIA-B subjects rather than one; give data.root, the "
      f"folder that holds {tree_lib.LAYOUT}."
    )
  return found[0]


def _log_subjects(
  tree: tree_lib.Tree, named: Sequence[str], used: Sequence[str]
) -> None:
  there = {folder.subject for folder in tree.folders}
  if missing := sorted(set(named) - there):
    logging.warning(
      "Not in %s, though listed: subjects %s", tree.root, ", ".join(missing)
    )
  if unused := sorted(there - set(used)):
    logging.warning("In neither split: subjects %s", ", ".join(unused))
  if tree.ignored:
    logging.warning(
      "Ignored %d folders in %s whose names do not fit %s",
      tree.ignored,
      tree.root,
      tree_lib.LAYOUT,
    )


def make_builder(
  root: str | os.PathLike[str],
  prepared: str | os.PathLike[str],
  train_subjects: Sequence[str] = (),
  test_subjects: Sequence[str] = (),
) -> Builder:
  """Makes the builder of one tree of CASIA-B; prepares nothing yet.

  The prepared data are kept by a fingerprint of the root, of every file's path,
  size and time, and of the lists of subjects, so changed files are read anew.
  A split without a usable sequence is absent from `builder.info.splits`.

  Args:
    root: the folder that holds `<subject>/<condition>/<view>/`, with PNG files
      or one pickle in each; "" takes the only build that `prepared` holds.
    prepared: where prepared data are kept.
    train_subjects: such as ("001", "002"); empty: 001-074, without those of
      `test_subjects`.
    test_subjects: empty: 075-124, without those of `train_subjects`.

  Returns:
    The builder; `download_and_prepare()` reads the tree where that is needed.

  Raises:
    UserError: the root is missing or holds no sequence; a subject is in both
      lists; or `root` is empty and not exactly one build is there.
  """
  prepared = os.path.abspath(os.path.expanduser(prepared))
  if not root:
    name = _sole_prepared(prepared, train_subjects, test_subjects)
    return Builder(config=CasiabConfig(name=name), data_dir=prepared)
  tree = tree_lib.scan(root)
  train, test = _subject_lists(train_subjects, test_subjects)
  _log_subjects(tree, [*train_subjects, *test_subjects], [*train, *test])
  key = json.dumps([_VERSION, tree.fingerprint, train, test])
  config = CasiabConfig(
    name=hashlib.sha256(key.encode()).hexdigest()[:16],
    tree=tree,
    train_subjects=train,
    test_subjects=test,
  )
  return Builder(config=config, data_dir=prepared)
