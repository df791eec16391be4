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
from data_pipelines import source as source_lib
from data_pipelines import tree

_NOTES = "notes"


def _read(
  folder: tree.SequenceFolder,
  source: source_lib.Source,
  modalities: Sequence[str],
) -> Iterator[Any]:
  """Yields the example and a note of what `build_notes.Notes` is to know."""
  outcome = examples_lib.read(folder, source, modalities)
  # Beam would bury an exception in a traceback; `take_notes` sees to it later.
  yield beam.pvalue.TaggedOutput(_NOTES, json.dumps(outcome.note()))
  if outcome.example is not None:
    yield folder.key, outcome.example


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


def take_notes(folder: str) -> list[examples_lib.Outcome]:
  """Reads and deletes the files of notes in a folder.

  Returns:
    What became of every sequence, by path, without the examples.
  """
  notes = []
  for path in sorted(pathlib.Path(folder).glob("notes-*")):
    notes += [json.loads(line) for line in path.read_text().splitlines()]
    path.unlink()
  notes.sort(key=lambda note: note["folder"]["path"])
  return [examples_lib.Outcome.of_note(note) for note in notes]
