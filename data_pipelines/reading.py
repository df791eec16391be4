"""Reads the sequences of a data set and takes notes of what is odd in them."""

from collections.abc import Iterator
from collections.abc import Sequence
import contextlib
import pathlib

import tensorflow as tf
import tqdm

from data_pipelines import build_notes
from data_pipelines import examples
from data_pipelines import source as source_lib
from data_pipelines import tree
from data_pipelines import unfinished
from gaitkd_jax.errors import UserError

_LISTED = 20  # damaged files that an error names


def read(
  folders: Sequence[tree.SequenceFolder],
  everything: Sequence[tree.SequenceFolder],
  source: source_lib.Source,
  modalities: Sequence[str],
  notes: build_notes.Notes,
  title: str,
  saved: pathlib.Path | None = None,
) -> Iterator[tuple[str, examples.Example]]:
  """Reads the sequences of one split with a bar.

  Args:
    folders: of the split.
    everything: of all splits: if a file is damaged, all of them are searched
      for further ones.
    source: the data set.
    modalities: see `frames.read_sequence`.
    notes: takes what is found.
    title: of the bar.
    saved: see `unfinished.outcomes`; None: all are read.

  Yields:
    The key and the example of what can be used, in order.

  Raises:
    UserError: files are damaged or refused; names up to 20 of them.
  """
  if saved is None:
    outcomes = examples.read_ahead(folders, source, modalities)
  else:
    outcomes = unfinished.outcomes(folders, source, modalities, saved)
  for outcome in _with_bar(outcomes, len(folders), title):
    if outcome.refused:
      raise refusal(_all_refused(everything, source, modalities, notes))
    notes.add(outcome)
    if outcome.example is not None:
      yield outcome.folder.key, outcome.example


def refusal(refused: Sequence[str]) -> UserError:
  """The error that names damaged and refused files, a sentence each."""
  go_on = "data.skip_damaged=True goes on without"
  if len(refused) == 1:
    return UserError(f"{refused[0].rstrip('.')}; {go_on}.")
  count = f"{len(refused)}"
  if len(refused) > _LISTED:
    count = f"more than {_LISTED}"
  return UserError(
    f"{count} files are damaged or refused: {' '.join(refused[:_LISTED])} "
    f"{go_on} all of them."
  )


def raise_user_error(error: BaseException, folder: str) -> None:
  """Raises the `UserError` that TFDS has wrapped, if there is one.

  Args:
    error: of a build.
    folder: of the prepared data.
  """
  cause: BaseException | None = error
  while cause is not None:
    if isinstance(cause, UserError):
      raise cause from None
    if isinstance(cause, OSError | tf.errors.OpError):
      reason = " ".join(str(cause).split())
      raise UserError(
        f"{folder}: the prepared data cannot be written ({reason}); check "
        "the disk, or give another data.prepared."
      ) from error
    cause = cause.__cause__ or cause.__context__


def _all_refused(
  everything: Sequence[tree.SequenceFolder],
  source: source_lib.Source,
  modalities: Sequence[str],
  notes: build_notes.Notes,
) -> list[str]:
  """Looks through what was not read yet; stops when there are too many."""
  unread = [folder for folder in everything if folder.key not in notes.clean]
  found: list[str] = []
  searching = _with_bar(
    examples.read_ahead(unread, source, modalities),
    len(unread),
    "Looking for further damaged files",
  )
  with contextlib.closing(searching):
    for outcome in searching:
      found += outcome.refused
      if len(found) > _LISTED:
        break
  return found


def _with_bar(
  outcomes: Iterator[examples.Outcome], count: int, title: str
) -> Iterator[examples.Outcome]:
  with (
    contextlib.closing(outcomes),
    tqdm.tqdm(
      disable=None,  # shown on a terminal only
      total=count,
      desc=title,
      unit=" sequences",
      mininterval=1.0,
    ) as bar,
  ):
    for outcome in outcomes:
      bar.update(1)
      yield outcome
