"""The arrays of a store in an object store, which has no room to fill in.

The rows between two records of progress are an object of their own,
`<array>/<first row>.npy`; progress.json names the first rows of those that
count. To be read they are put together in files on the disk, which are mapped:
the same bytes as those of a store on a disk.
"""

from collections.abc import Mapping
from collections.abc import Sequence
import io
import pathlib
from typing import Any

import numpy as np
import tqdm

from gaitkd_jax import storage


class Parts:
  """Collects rows, and writes them as parts.

  Attributes:
    firsts: the first rows of the parts that are written.
  """

  def __init__(self, folder: storage.Path, firsts: Sequence[int]):
    self.firsts = list(firsts)
    self._folder = folder
    self._rows: dict[str, list[np.ndarray]] = {}
    self._first: int | None = None

  def add(self, name: str, first: int, rows: np.ndarray) -> None:
    """Keeps rows of an array until `write`."""
    if self._first is None:
      self._first = first
    self._rows.setdefault(name, []).append(rows)

  def write(self) -> None:
    """Writes what was added.

    Raises:
      OSError: the store refuses it; it is still kept.
    """
    if self._first is None:
      return
    for name, rows in self._rows.items():
      file = io.BytesIO()
      np.save(file, np.concatenate(rows))
      place = _place(self._folder, name, self._first)
      storage.write_bytes(place, file.getvalue())
    self.firsts.append(self._first)
    self._rows, self._first = {}, None


def fetch(
  folder: storage.Path, header: Mapping[str, Any], firsts: Sequence[int] | None
) -> pathlib.Path:
  """Puts the arrays together in files on the disk.

  Args:
    folder: of the store.
    header: its own.
    firsts: of `Parts`, of a store that is finished; None: it was copied from a
      disk, and its arrays are whole.

  Returns:
    The folder of `<array>.npy`; it is removed when the program ends.

  Raises:
    OSError: a part cannot be read.
    ValueError: a part is not what the header says.
  """
  if firsts is None:
    return storage.fetch(folder)
  local = storage.scratch()
  parts = [(name, first) for name in header["arrays"] for first in firsts]
  arrays = {
    name: np.lib.format.open_memmap(
      local / f"{name}.npy",
      "w+",
      np.dtype(array["dtype"]),
      tuple(array["shape"]),
    )
    for name, array in header["arrays"].items()
  }
  done = dict.fromkeys(arrays, 0)
  for name, first in tqdm.tqdm(
    parts, desc=f"read {folder.name}", unit="part", disable=None
  ):
    place, array = _place(folder, name, first), arrays[name]
    content = io.BytesIO(storage.read_bytes(place))
    rows = np.load(content, allow_pickle=False)
    if rows.dtype != array.dtype or first != done[name]:
      raise ValueError(f"{place} is {rows.dtype}, and {done[name]} rows came")
    array[first : first + len(rows)] = rows
    done[name] += len(rows)
  for name, array in arrays.items():
    if done[name] != len(array):
      raise ValueError(f"{name} has {done[name]} of {len(array)} rows")
    array.flush()
  return local


def _place(folder: storage.Path, name: str, first: int) -> storage.Path:
  return folder / name / f"{first:09}.npy"
