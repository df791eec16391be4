"""Writes and reads stores of embeddings.

A store is a folder of `header.json` (what is in it and what made it) and of
shards `embeddings-00000.npz`, ..., NumPy's uncompressed archives of the arrays
"embeddings" `[m, p, d]` and "subjects", "conditions", "views", "names" str
`[m]`. Being uncompressed, the embeddings are mapped where they lie in the
archive: rows are read without the rest.
"""

from collections.abc import Iterator
from collections.abc import Mapping
from collections.abc import Sequence
import json
import math
import os
import pathlib
import re
import tempfile
from typing import Any

import numpy as np

from gaitkd_jax import errors
from gaitkd_jax import storage
from gaitkd_jax.evaluation import embedded as embedded_lib
from gaitkd_jax.evaluation.store import shard as shard_lib

FORMAT = 1
HEADER = "header.json"
DTYPES = ("float32", "float16")
TEXTS = shard_lib.TEXTS
Texts = Sequence[str] | np.ndarray
# The header's key of what the embeddings were made from.
_METADATA = "facts"
_SHARD_BYTES = 64 * 2**20
_OURS = re.compile(r"header\.json|embeddings-\d+\.npz")


def is_store(path: str | os.PathLike[str]) -> bool:
  """Whether `path` looks like a store, whole or damaged."""
  if storage.is_remote(path):
    place = storage.path(path)
    if place.suffix == ".npz" and storage.exists(place):
      return True
    return any(_OURS.fullmatch(name) for name in storage.names(place))
  path = pathlib.Path(path)
  if path.is_file():
    return path.suffix == ".npz"
  return (path / HEADER).exists() or any(path.glob("embeddings-*.npz"))


def write(
  folder: str | os.PathLike[str],
  embeddings: np.ndarray,
  subjects: Texts,
  conditions: Texts,
  views: Texts,
  names: Texts,
  metadata: Mapping[str, Any],
  dtype: str = "float32",
) -> storage.Path:
  """Writes a store, the whole of it or nothing.

  It is written beside `folder`, below a hidden name that begins like it, and
  then takes its place. What an earlier store of that path holds stays until
  then. In an object store an earlier one is gone as soon as its header is,
  which is before the first new shard, and the new one is there with its header,
  which comes last.

  Args:
    folder: the store; a new or empty folder, or a store to be replaced.
    embeddings: finite, `[n, p, d]`.
    subjects: str `[n]`.
    conditions: str `[n]`, such as "nm-01".
    views: str `[n]`, such as "090".
    names: str `[n]`, each once.
    metadata: JSON: what the embeddings were made from.
    dtype: "float32" or "float16", in which they are stored.

  Returns:
    The folder.

  Raises:
    errors.UserError: lengths differ, a name is there twice, an embedding is not
      finite or beyond float16, or the folder is something else or cannot be
      written.
  """
  target = storage.path(folder)
  if storage.is_remote(target):
    local = storage.scratch() / target.name
  else:
    target = local = pathlib.Path(os.path.abspath(target))
  given = zip(TEXTS, (subjects, conditions, views, names), strict=True)
  columns = {key: np.asarray(x, dtype=str) for key, x in given}
  _check_columns(embeddings, columns)
  if dtype not in DTYPES:
    raise errors.UserError(
      f"embeddings cannot be stored as {dtype!r}; give one of "
      f"{', '.join(DTYPES)}"
    )
  _check_place(target)
  row_bytes = math.prod(embeddings.shape[1:]) * np.dtype(dtype).itemsize
  rows = max(1, _SHARD_BYTES // max(1, row_bytes))
  starts = range(0, len(embeddings), rows)
  header = {
    "format": FORMAT,
    "count": len(embeddings),
    "shape": list(embeddings.shape[1:]),
    "dtype": dtype,
    "shards": [min(rows, len(embeddings) - start) for start in starts],
    _METADATA: dict(metadata),
  }
  text = json.dumps(header, indent=2) + "\n"
  try:
    local.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(
      prefix=f".{local.name}-", dir=local.parent
    ) as aside:
      # A folder of its own, since only this process may read `aside`.
      new = pathlib.Path(aside, "new")
      new.mkdir()
      for i, start in enumerate(starts):
        part = slice(start, start + rows)
        texts = {key: column[part] for key, column in columns.items()}
        np.savez(
          _place(new, i),
          embeddings=_convert(embeddings[part], texts["names"], dtype),
          **texts,  # type: ignore[arg-type]  # no key is allow_pickle
        )
      (new / HEADER).write_text(text)
      _swap(new, local, pathlib.Path(aside, "old"))
    if target is not local:
      _upload(local, target)
  except OSError as e:
    raise errors.UserError(
      f"{target} cannot be written ({e.strerror or e}); give another folder, "
      "or make room"
    ) from e
  return target


def _upload(folder: pathlib.Path, target: storage.Path) -> None:
  """Replaces a store in an object store."""
  storage.remove(target / HEADER)
  storage.upload(folder, target, HEADER)
  for name in storage.names(target):
    # Of a larger store of before.
    if _OURS.fullmatch(name) and not (folder / name).exists():
      storage.remove(target / name)


def _swap(new: pathlib.Path, folder: pathlib.Path, old: pathlib.Path) -> None:
  """Replaces a folder by a new one; what was there before goes to `old`.

  Raises:
    OSError: it cannot be done; the folder is as it was.
  """
  if folder.exists():
    folder.rename(old)
  try:
    new.rename(folder)
  except OSError:
    if old.exists():
      old.rename(folder)
    raise


class EmbeddingStore:
  """Embeddings on disk; made by `open`.

  `store[start:stop]` and `store[rows]`, int `[k]`, read `[k, p, d]` from the
  shards concerned; `np.asarray(store)` reads all. Neither files nor mapped
  memory stay open in between.

  Attributes:
    subjects: str `[n]`.
    conditions: str `[n]`.
    views: str `[n]`.
    names: str `[n]`, each once.
    metadata: what the embeddings were made from; empty where it is not known.
    shape: (n, p, d).
    dtype: of what is read: float32 or float16.
  """

  def __init__(
    self,
    path: pathlib.Path,
    shards: Sequence[shard_lib.Shard],
    metadata: Mapping[str, Any],
  ):
    """Joins shards that `open` has checked."""
    self._path = path
    self._shards = tuple(shards)
    self._starts = np.cumsum([0, *(shard.shape[0] for shard in shards)])
    self.metadata = dict(metadata)
    self.dtype = shards[0].read_dtype
    self.shape = (int(self._starts[-1]), *shards[0].shape[1:])
    self.subjects, self.conditions, self.views, self.names = (
      np.concatenate([shard.columns[key] for shard in shards]) for key in TEXTS
    )
    _check_names(self.names, f"{path}: ")

  @classmethod
  def open(cls, path: str | os.PathLike[str]) -> "EmbeddingStore":
    """Opens and checks a store.

    Args:
      path: a folder that `write` made; or one .npz file of the arrays
        "embeddings", "subjects", "conditions", "views" and, if they are not
        "<subject>-<condition>-<view>", "names". A compressed one is read into
        memory.

    Raises:
      errors.UserError: there is no store, or it is incomplete, damaged or of
        another program.
    """
    path = storage.path(path)
    if not storage.is_remote(path):
      return cls._open(path)
    try:
      local = storage.fetch(path)
    except FileNotFoundError:
      raise _absent(path) from None
    try:
      return cls._open(local)
    except errors.UserError as e:
      text = str(e).replace(str(local), str(path))
      raise errors.UserError(text) from e

  @classmethod
  def _open(cls, path: pathlib.Path) -> "EmbeddingStore":
    """Opens a store on the disk."""
    if path.is_file():
      return cls(path, [shard_lib.open_shard(path)], {})
    if not path.is_dir():
      raise _absent(path)
    header = _read_header(path)
    shards = []
    for i, rows in enumerate(header["shards"]):
      file = _place(path, i)
      if not file.exists():
        raise errors.UserError(
          f"{file} is missing, one of {len(header['shards'])} shards; copy the "
          "store again, or write it anew"
        )
      shard = shard_lib.open_shard(file)
      wanted = (rows, *header["shape"])
      if shard.shape != wanted or shard.dtype != header["dtype"]:
        raise errors.UserError(
          f"{file} holds {shard.dtype} {list(shard.shape)}, but {HEADER} says "
          f"{header['dtype']} {list(wanted)}; copy the store again, or write "
          "it anew"
        )
      shards.append(shard)
    return cls(path, shards, header[_METADATA])

  @property
  def labels(self) -> embedded_lib.Labels:
    """Subjects, conditions and views."""
    return embedded_lib.Labels(self.subjects, self.conditions, self.views)

  def __len__(self) -> int:
    """Number of embeddings."""
    return self.shape[0]

  def __getitem__(self, rows: slice | np.ndarray) -> np.ndarray:
    """Reads `[k, p, d]`; negative numbers count from the end.

    Raises:
      IndexError: a row does not exist.
      errors.UserError: a shard has changed or cannot be read.
    """
    if isinstance(rows, slice):
      rows = np.arange(*rows.indices(len(self)))
    rows = np.asarray(rows)
    if rows.dtype == bool or rows.ndim != 1:
      raise IndexError("give a slice or a one-dimensional array of rows")
    rows = rows.astype(np.int64)
    if rows.size and not -len(self) <= rows.min() <= rows.max() < len(self):
      raise IndexError(f"rows of {self._path} go from 0 to {len(self) - 1}")
    rows = rows % len(self)
    result = np.empty((len(rows), *self.shape[1:]), self.dtype)
    shard_of = np.searchsorted(self._starts, rows, side="right") - 1
    for i in np.unique(shard_of):
      places = np.flatnonzero(shard_of == i)
      values = self._shards[i].read(rows[places] - self._starts[i])
      # A run of rows, the usual case, is copied once.
      if len(places) == places[-1] - places[0] + 1:
        result[places[0] : places[-1] + 1] = values
      else:
        result[places] = values
    return result

  def __iter__(self) -> Iterator[np.ndarray]:
    """Yields `[p, d]` in turn, reading a shard at a time."""
    for start, stop in zip(self._starts, self._starts[1:], strict=False):
      yield from self[start:stop]

  def __array__(
    self, dtype: Any = None, copy: bool | None = None
  ) -> np.ndarray:
    """Reads all, for `np.asarray(store)`."""
    if copy is False:
      raise ValueError("a store is on the disk; reading it makes a copy")
    return np.asarray(self[:], dtype)


def _absent(path: storage.Path) -> errors.UserError:
  return errors.UserError(
    f"{path}: there is no such store of embeddings; write one with "
    "--mode=embed, or give the path of another"
  )


def _place(folder: pathlib.Path, number: int) -> pathlib.Path:
  return folder / f"embeddings-{number:05}.npz"


def _check_columns(
  embeddings: np.ndarray, columns: Mapping[str, np.ndarray]
) -> None:
  """Raises a UserError for what cannot be written as one store."""
  if len(embeddings.shape) != 3 or not all(embeddings.shape):
    raise errors.UserError(
      f"embeddings have the shape {list(embeddings.shape)}; give [sequences, "
      "parts, channels], at least one of each"
    )
  lengths = {key: len(column) for key, column in columns.items()}
  if set(lengths.values()) != {len(embeddings)}:
    others = ", ".join(f"{n} {key}" for key, n in lengths.items())
    raise errors.UserError(
      f"{len(embeddings)} embeddings, {others}; give one of each a sequence"
    )
  _check_names(columns["names"], "")


def _check_names(names: np.ndarray, where: str) -> None:
  values, counts = np.unique(names, return_counts=True)
  if (counts > 1).any():
    raise errors.UserError(
      f"{where}{(counts > 1).sum()} names are there more than once, such as "
      f"{values[np.argmax(counts > 1)]}; give every sequence a name of its own"
    )


def _check_place(folder: storage.Path) -> None:
  """Raises a UserError if the folder is something else than a store."""
  if storage.is_remote(folder):
    found = storage.names(folder)
    # Shards without a header are what a killed run leaves.
    foreign = [name for name in found if not _OURS.fullmatch(name)]
    other = bool(foreign) and HEADER not in found
  elif not folder.exists():
    return
  elif not folder.is_dir():
    raise errors.UserError(f"{folder} is a file; give another folder")
  else:
    other = any(folder.iterdir()) and not (folder / HEADER).exists()
  if other:
    raise errors.UserError(
      f"{folder} holds something else than embeddings; give another folder"
    )


def _convert(
  embeddings: np.ndarray, names: np.ndarray, dtype: str
) -> np.ndarray:
  """Brings rows `[m, p, d]` to the dtype of the store."""
  with np.errstate(over="ignore"):
    result = np.ascontiguousarray(embeddings, dtype)
  finite = np.isfinite(result).all(axis=(1, 2))
  if finite.all():
    return result
  i = np.argmin(finite)
  if np.isfinite(embeddings[i]).all():
    largest = float(np.abs(embeddings[i]).max())
    raise errors.UserError(
      f"the embedding of sequence {names[i]} reaches {largest:.3g}, beyond "
      f"{dtype}"
      + ("; store float32" if dtype == "float16" else "; the network is broken")
    )
  raise errors.UserError(
    f"the embedding of sequence {names[i]} is not finite; the network or its "
    "checkpoint is broken"
  )


def _read_header(folder: pathlib.Path) -> dict[str, Any]:
  """Reads a header whose fields have the right types and agree."""
  path = folder / HEADER
  if not path.exists():
    raise errors.UserError(
      f"{folder} has no {HEADER}, so it is no store of embeddings; give one "
      "that --mode=embed wrote"
    )
  try:
    header = json.loads(path.read_text())
  except (OSError, ValueError) as e:
    raise shard_lib.damaged(path, e) from e
  if not isinstance(header, dict) or header.get("format") != FORMAT:
    found = header.get("format") if isinstance(header, dict) else None
    raise errors.UserError(
      f"{path} is of format {found!r}, and this program reads {FORMAT}; write "
      "the store anew"
    )
  shards: Any = header.get("shards")
  shape: Any = header.get("shape")
  fits = (
    all(
      isinstance(x, list) and x and all(type(v) is int and v > 0 for v in x)
      for x in (shards, shape)
    )
    and len(shape) == 2
    and header.get("dtype") in DTYPES
    and isinstance(header.get(_METADATA), dict)
  )
  if not fits:
    raise shard_lib.damaged(path, "a field is missing or wrong")
  if header.get("count") != sum(shards):
    raise errors.UserError(
      f"{path} counts {header.get('count')} embeddings, but its shards have "
      f"{sum(shards)}; copy the store again, or write it anew"
    )
  return header
