"""Embeddings of the batches that are done, kept until a store is written.

A folder of `header.json`, which says what embeds what, and of pieces
`<first>-<end>.npz`: "index" int `[m]` and "embedding" float32 `[m, p, d]` of
batches first, first + 1, ..., end - 1. Every file is written whole or not at
all, so what is there can be used, however the program ended.
"""

from collections.abc import Mapping
import io
import json
import re
import time
from typing import Any

import jax
import numpy as np

from gaitkd_jax import errors
from gaitkd_jax import storage

_HEADER = "header.json"
_PIECE = re.compile(r"(\d+)-(\d+)\.npz")
_EVERY = 60.0  # seconds between two pieces


class Partial:
  """What is done of embedding a split, in all processes; the first writes.

  Attributes:
    done: batches that need not be embedded again.
  """

  def __init__(self, folder: storage.Place, identity: Mapping[str, Any]):
    """Opens what an earlier run has left; of anything else it is deleted.

    Args:
      folder: that all processes can read.
      identity: JSON that tells the network, the sequences and the batches from
        others.

    Raises:
      errors.UserError: the folder cannot be written.
    """
    self._folder = storage.path(folder)
    self._writes = not jax.process_index()
    self._new: list[tuple[np.ndarray, np.ndarray]] = []
    self._since = time.monotonic()
    header = json.dumps(identity, sort_keys=True)
    self._pieces = _pieces(self._folder) if self._is_of(header) else []
    self.done = max((end for _, end, _ in self._pieces), default=0)
    self._kept = self.done
    if self._writes and not self._is_of(header):
      try:
        self.discard()
        storage.write_text(self._folder / _HEADER, header)
      except OSError as e:
        raise self._refusal(e) from e

  def pieces(self) -> list[tuple[np.ndarray, np.ndarray]]:
    """Index and embeddings of what is done, piece by piece."""
    found = []
    for _, _, path in self._pieces:
      content = io.BytesIO(storage.read_bytes(path))
      with np.load(content, allow_pickle=False) as piece:
        found.append((piece["index"], piece["embedding"]))
    return found

  def add(self, index: np.ndarray, embedding: np.ndarray) -> None:
    """Takes the next batch; from time to time it is written."""
    self.done += 1
    if self._writes:
      self._new.append((index, embedding))
      if time.monotonic() - self._since > _EVERY:
        self.keep()

  def keep(self) -> None:
    """Writes what was added.

    Raises:
      errors.UserError: the folder cannot be written.
    """
    if not self._new:
      return
    path = self._folder / f"{self._kept}-{self.done}.npz"
    content = io.BytesIO()
    index, embedding = (np.concatenate(x) for x in zip(*self._new, strict=True))
    try:
      np.savez(content, index=index, embedding=embedding)
      storage.write_bytes(path, content.getvalue())
    except OSError as e:
      raise self._refusal(e) from e
    self._new, self._kept = [], self.done
    self._since = time.monotonic()

  def discard(self) -> None:
    """Deletes the folder, in the first process."""
    if self._writes:
      storage.remove_folder(self._folder)

  def _is_of(self, header: str) -> bool:
    path = self._folder / _HEADER
    return storage.exists(path) and storage.read_text(path, "replace") == header

  def _refusal(self, error: OSError) -> errors.UserError:
    return errors.UserError(
      f"{self._folder} cannot be written ({error.strerror or error}); make "
      "room, or give another --workdir"
    )


def _pieces(folder: storage.Path) -> list[tuple[int, int, storage.Path]]:
  """The pieces that follow one another from batch 0 on: first, end, path."""
  there = {}
  for name in storage.names(folder):
    if piece := _PIECE.fullmatch(name):
      first, end = map(int, piece.groups())
      there[first] = first, end, folder / name
  found, at = [], 0
  while at in there:
    found.append(there[at])
    at = there[at][1]
  return found
