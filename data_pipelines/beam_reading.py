"""Reads the sequences of a tree with Apache Beam.

All workers must see the tree and the prepared folder under the same paths, as
they do on one machine or with a shared file system.
"""

from collections.abc import Iterator
from collections.abc import Sequence
import json
import pathlib
from typing import Any

import apache_beam as beam

from data_pipelines import examples as examples_lib
from data_pipelines import frames
from data_pipelines import source as source_lib
from data_pipelines import tree
from gaitkd_jax.errors import UserError

_NOTES = "notes"


def _read(
  folder: tree.SequenceFolder,
  source: source_lib.Source,
  modalities: Sequence[str],
) -> Iterator[Any]:
  """Yields the example, or a note of why there is none."""
  try:
    example = examples_lib.read(folder, source, modalities)
  except frames.EmptySequenceError as finding:
    note = {"path": folder.path, "skipped": str(finding)}
  except UserError as error:
    # Beam would bury the error in a traceback; `take_notes` raises it later.
    note = {"path": folder.path, "refused": str(error)}
  else:
    yield folder.key, example
    return
  yield beam.pvalue.TaggedOutput(_NOTES, json.dumps(note))


class _Examples(beam.PTransform):
  def __init__(
    self,
    folders: Sequence[tree.SequenceFolder],
    source: source_lib.Source,
    modalities: Sequence[str],
    notes: str,
  ):
    super().__init__()
    self._folders, self._arguments = folders, (source, modalities)
    self._notes = notes

  def expand(self, pipeline: beam.Pipeline) -> beam.PCollection:
    outputs = (
      pipeline
      | "Folders" >> beam.Create(self._folders)
      | "Spread" >> beam.Reshuffle()
      | "Read"
      >> beam.FlatMap(_read, *self._arguments).with_outputs(
        _NOTES, main="examples"
      )
    )
    _ = outputs[_NOTES] | "Notes" >> beam.io.WriteToText(self._notes)
    return outputs["examples"]


def examples(
  folders: Sequence[tree.SequenceFolder],
  source: source_lib.Source,
  modalities: Sequence[str],
  notes: str,
) -> beam.PTransform:
  """Returns the transform that reads the sequences of one split.

  Args:
    folders: the sequences' folders.
    source: the data set.
    modalities: see `frames.read_sequence`.
    notes: how the paths of the files of notes begin.

  Returns:
    A transform from nothing to (key, example).
  """
  return _Examples(folders, source, modalities, notes)


def take_notes(folder: str) -> list[tuple[str, str]]:
  """Reads and deletes the files of notes in a folder.

  Returns:
    (path, reason) of the sequences that were skipped.

  Raises:
    UserError: a file was damaged or refused; of several, the first.
  """
  notes = []
  for path in sorted(pathlib.Path(folder).glob("notes-*")):
    notes += [json.loads(line) for line in path.read_text().splitlines()]
    path.unlink()
  notes.sort(key=lambda note: note["path"])
  for note in notes:
    if "refused" in note:
      raise UserError(note["refused"])
  return [(note["path"], note["skipped"]) for note in notes]
