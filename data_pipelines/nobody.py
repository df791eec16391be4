"""Why a split of prepared data has nobody in it, for whoever asks for it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from data_pipelines import build_notes
from data_pipelines import partitions

if TYPE_CHECKING:
  import tensorflow_datasets as tfds

_NAMED = 3  # subjects of a list that are named


def why(builder: tfds.core.DatasetBuilder, split: str) -> str:
  """Says whom the split wants, who is there, and how that is changed.

  Args:
    builder: of prepared data.
    split: "train" or "test", which is missing from them.
  """
  said = f"split {split!r} of {builder.name} in {builder.data_path}"
  source = getattr(builder, "SOURCE", None)
  if source is None:  # not of a tree
    return f"{said} has no sequences; delete that folder"
  config = builder.builder_config
  notes = build_notes.read_source(builder.data_path)
  partition, train, test = notes["request"]
  there = {*notes["train_subjects"], *notes["test_subjects"]}
  if config.tree is not None:
    there |= {folder.subject for folder in config.tree.folders}
  if named := {"train": train, "test": test}[split]:
    wanted, where = named, f"data.{split}_subjects"
  elif partition not in ("", partitions.HALVES):
    # Of a file only its digest is noted; without the tree it may be elsewhere.
    wanted, where = (), "its JSON file"
    if config.request is not None:
      where = config.request.partition
      wanted = getattr(partitions.read(where), split)
  else:
    wanted = getattr(source.partition, split)
    where = f"the division of {source.title}"
  are = f"{len(there)} are there ({_some(sorted(there))})"
  if wanted is None:
    reason = f"{where} wants all who do not test, and of the subjects {are}"
  elif found := sorted(there & set(wanted)):
    report = f"see {build_notes.SKIPPED_FILE} there"
    reason = f"none of {_some(found)} has a usable sequence: {report}"
  else:
    reason = (
      f"{where} wants {len(wanted)} subjects ({_some(wanted)}), of whom none "
      f"is there; {are}"
    )
  hint = getattr(builder, "HINTS", {}).get(split, "")
  if hint:
    return f"{said} has no sequences: {reason}; {hint}"
  return (
    f"{said} has no sequences: {reason}; for a trial on few subjects give "
    "--config.data.partition=halves, else a JSON file with TRAIN_SET and "
    f"TEST_SET as data.partition, or names as data.{split}_subjects"
  )


def _some(subjects: Sequence[str]) -> str:
  more = len(subjects) - _NAMED
  text = ", ".join(subjects[:_NAMED])
  return f"{text} and {more} others" if more > 0 else text
