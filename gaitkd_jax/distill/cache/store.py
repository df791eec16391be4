"""The files of a store.

header.json says what the store was made from and what arrays there are. Of V
clips of every sequence, clip v of sequence i is row i * V + v of <array>.npy.
progress.json says how many rows are written. It is replaced only after they
are, so that a run that was killed at any moment goes on from there and gives
the same bytes. In an object store the arrays are in parts, see `remote`.
"""

from collections.abc import Iterable
from collections.abc import Iterator
from collections.abc import Mapping
import dataclasses
import functools
import json
import os
import pathlib
from typing import Any

import numpy as np

from gaitkd_jax import checkpoint
from gaitkd_jax import errors
from gaitkd_jax import storage
from gaitkd_jax.distill import teachers as teachers_lib
from gaitkd_jax.distill.cache import header as header_lib
from gaitkd_jax.distill.cache import remote
from gaitkd_jax.distill.cache import rows as rows_lib

HEADER, PROGRESS = "header.json", "progress.json"


class Writer:
  """Makes a store, or goes on with one.

  Attributes:
    done: rows that are written for good.
    total: rows of the store.
    sums: metrics, summed over the rows that are done.
  """

  def __init__(self, folder: str | os.PathLike[str], header: Mapping[str, Any]):
    """Makes the files, or opens those of an earlier run.

    Args:
      folder: of the store.
      header: as `describe` gives it, with "arrays" ("dtype" and "shape" by
        name), "classes" and "largest".

    Raises:
      errors.UserError: the folder has another store, or cannot be written.
    """
    self._folder = storage.path(folder)
    shapes = [array["shape"] for array in header["arrays"].values()]
    self.total = shapes[0][0]
    self.row_bytes = sum(
      np.dtype(array["dtype"]).itemsize * int(np.prod(array["shape"][1:]))
      for array in header["arrays"].values()
    )
    try:
      if isinstance(self._folder, pathlib.Path):
        self._folder.mkdir(parents=True, exist_ok=True)
      found = read_json(self._folder, HEADER)
      if found is None:
        write_json(self._folder, HEADER, header)
      else:
        header_lib.check(self._folder, found, header)
      progress = read_json(self._folder, PROGRESS)
      if progress is None:
        progress = {"done": 0, "total": self.total, "sums": {}}
        if isinstance(self._folder, pathlib.Path):
          for name, array in header["arrays"].items():
            _create(self._folder / f"{name}.npy", array)
        else:
          progress["parts"] = []
        write_json(self._folder, PROGRESS, progress)
    except OSError as e:
      raise errors.UserError(
        f"the store {self._folder} cannot be written ({e.strerror}); give "
        "another --workdir, with space for "
        f"{self.total * self.row_bytes / 2**30:.2f} GiB"
      ) from e
    self.done, self.sums = progress["done"], progress["sums"]
    self._arrays: dict[str, np.memmap] = {}
    self._parts: remote.Parts | None = None
    if isinstance(self._folder, pathlib.Path):
      self._arrays = _open(self._folder, header, "r+")
    else:
      self._parts = remote.Parts(self._folder, progress.get("parts", []))
      if "parts" not in progress and self.done < self.total:
        raise errors.UserError(
          f"{self._folder} was begun on a disk; fill it there, or give another "
          "--workdir"
        )

  def write(self, first: int, rows: Mapping[str, np.ndarray]) -> None:
    """Writes rows first, first + 1, ...; see `commit`.

    Raises:
      errors.UserError: a value is not finite, or too large for its dtype.
    """
    for name, values in rows.items():
      if not np.isfinite(values).all():
        raise errors.UserError(
          f"{name} of the teacher of {self._folder} is not finite as "
          f"{values.dtype}; set config.cache.dtype=float32, or look at its "
          "checkpoint"
        )
      if self._parts:
        self._parts.add(name, first, values)
      else:
        self._arrays[name][first : first + len(values)] = values

  def commit(self, done: int, sums: Mapping[str, float]) -> None:
    """Records that rows up to `done` are written, and their summed metrics."""
    progress = {"done": done, "total": self.total, "sums": dict(sums)}
    if self._parts:
      self._parts.write()
      progress["parts"] = self._parts.firsts
    else:
      for array in self._arrays.values():
        array.flush()
    write_json(self._folder, PROGRESS, progress)
    self.done, self.sums = done, dict(sums)


class Store:
  """A finished store.

  Attributes:
    header: what it was made from.
    clips: V, how many there are of each sequence.
  """

  def __init__(
    self, header: Mapping[str, Any], arrays: Mapping[str, np.memmap]
  ):
    self.header = header
    self.clips = header["views"]
    self._arrays = arrays

  @classmethod
  def open(
    cls, folder: str | os.PathLike[str], expected: Mapping[str, Any]
  ) -> "Store":
    """Opens a store.

    How the rows are stored (`config.cache.dtype` and `.logits`) need not agree
    with the config; scale and temperature must agree only if the largest logits
    are stored.

    Args:
      folder: of the store.
      expected: as `describe` gives it.

    Raises:
      errors.UserError: there is none, it is not finished or damaged, or it was
        made from something else.
    """
    folder = storage.path(folder)
    header, progress = read_json(folder, HEADER), read_json(folder, PROGRESS)
    if header is None:
      raise errors.UserError(
        f"there is no store of a teacher in {folder}; give "
        "<workdir>/<teacher> of a run with --mode=cache"
      )
    header_lib.check(folder, header, expected)
    done, total = (progress or {}).get("done", 0), _rows(header)
    if done != total:
      again = "--mode=cache again with the same config and workdir"
      if "imported" in header:
        again = "scripts/import_teacher.py again with the same flags"
      raise errors.UserError(
        f"{folder} has {done} of {total} rows; start {again}, so that it goes "
        "on"
      )
    if isinstance(folder, pathlib.Path):
      return cls(header, _open(folder, header, "r"))
    try:
      local = remote.fetch(folder, header, (progress or {}).get("parts"))
    except (FileNotFoundError, ValueError) as e:
      raise _damaged(folder, folder, e) from e
    return cls(header, _open(local, header, "r"))

  def has(self, array: str) -> bool:
    """Whether rows have an array of this name."""
    return array in self._arrays

  def rows(
    self, sequences: np.ndarray, clips: np.ndarray
  ) -> dict[str, np.ndarray]:
    """Returns rows [n, ...] of clips [n] of sequences [n], by array."""
    index = sequences.astype(np.int64) * self.clips + clips
    return {name: np.asarray(a[index]) for name, a in self._arrays.items()}


def look_up(
  config: Any, teachers: Mapping[str, teachers_lib.Teacher]
) -> dict[str, teachers_lib.Teacher]:
  """Lets teachers that have a `cache` read their outputs from the batch.

  Args:
    config: the whole config.
    teachers: as `distill.create_teachers` gives them.

  Returns:
    The teachers; those with a cache take batches of `attach`. What there is to
    know of imported ones was read from their stores.

  Raises:
    errors.UserError: an imported teacher has no store, or one that was not
      imported.
  """
  found = dict(teachers)
  for name, teacher in config.teachers.items():
    if teacher.cache:
      if found[name].module is None:
        imported = _imported(name, storage.path(teacher.cache))
        found[name] = dataclasses.replace(found[name], imported=imported)
      lookup = functools.partial(
        rows_lib.outputs, name=name, num_classes=found[name].num_classes
      )
      found[name] = dataclasses.replace(found[name], lookup=lookup)
  return found


def _imported(name: str, folder: storage.Path) -> teachers_lib.Imported:
  """What the store of an imported teacher says of it."""
  header = read_json(folder, HEADER)
  if header is None:
    raise errors.UserError(
      f"there is no store of teacher {name} in {folder}; give the --output of "
      "scripts/import_teacher.py"
    )
  if "imported" not in header:
    raise errors.UserError(
      f"{folder} was filled by --mode=cache, but teacher {name} is imported; "
      f"give its network as config.teachers.{name}.model"
    )
  shapes = {
    key: (1, *header["arrays"][key]["shape"][1:])
    for key in ("embedding", "logits")
    if key in header["arrays"]
  }
  shapes["neck"] = shapes["embedding"]  # of which the store has the sides
  return teachers_lib.Imported(shapes, header["imported"]["edges"])


def open_stores(
  config: Any,
  data: Mapping[str, Any],
  variables: Mapping[str, Mapping[str, Any]],
) -> dict[str, Store]:
  """Opens the stores of the teachers whose `cache` names one.

  Args:
    config: the whole config.
    data: as `describe_data` gives it.
    variables: of teachers; a teacher that is missing here is not compared with
      the one that filled the store.

  Returns:
    The stores by teacher.

  Raises:
    errors.UserError: see `Store.open`.
  """
  stores = {}
  for name, teacher in config.teachers.items():
    if teacher.cache:
      digest = ""
      if name in variables:
        digest = checkpoint.digest(variables[name])
      expected = header_lib.describe(config, name, data, digest)
      stores[name] = Store.open(teacher.cache, expected)
      if _needs_sides(config, name) and not stores[name].has("sides"):
        raise errors.UserError(
          f"{teacher.cache} has no sides behind the teacher's neck, which the "
          f"boundary level of config.teachers.{name} asks for; fill another "
          "folder with --mode=cache, or set the centre to none"
        )
  return stores


def _needs_sides(config: Any, name: str) -> bool:
  """Whether a boundary is centred by this teacher's neck."""
  teacher = config.teachers[name]
  weight = teacher.boundary_weight
  if teacher.boundary_centre == "neck" and (hasattr(weight, "items") or weight):
    return True
  return any(
    term.get("centre") == "neck" and term.get("teacher", "") in ("", name)
    for term in config.terms.values()
  )


def attach(
  batches: Iterable[Mapping[str, np.ndarray]], stores: Mapping[str, Store]
) -> Iterator[dict[str, np.ndarray]]:
  """Adds to batches the teachers' outputs for their clips.

  Args:
    batches: of `pipeline.train_batches` with numbered clips: "sequence" int32
      `[b]` and "clip" int32 `[b]`.
    stores: by teacher.

  Yields:
    The batches, with "teacher_outputs/<teacher>/<array>" `[b, ...]`.
  """
  for batch in batches:
    outputs = {}
    for teacher, store in stores.items():
      rows = store.rows(batch["sequence"], batch["clip"])
      for array, values in rows.items():
        outputs[rows_lib.batch_key(teacher, array)] = values
    yield {**batch, **outputs}


def _rows(header: Mapping[str, Any]) -> int:
  return header["data"]["sequences"] * header["views"]


def _create(path: pathlib.Path, array: Mapping[str, Any]) -> None:
  """Makes the file of an array, with all of its space."""
  np.lib.format.open_memmap(
    path, "w+", np.dtype(array["dtype"]), tuple(array["shape"])
  )
  with path.open("r+b") as file:
    # Writing to mapped memory that has no space on disk kills the process.
    os.posix_fallocate(file.fileno(), 0, path.stat().st_size)
    os.fsync(file.fileno())


def _open(
  folder: pathlib.Path, header: Mapping[str, Any], mode: str
) -> dict[str, np.memmap]:
  """Maps the arrays into memory."""
  arrays = {}
  for name, array in header["arrays"].items():
    path, wanted = folder / f"{name}.npy", tuple(array["shape"])
    try:
      found = np.lib.format.open_memmap(path, mode)
      if (found.shape, found.dtype) != (wanted, np.dtype(array["dtype"])):
        raise ValueError(f"it is {found.dtype} {list(found.shape)}")
    except (OSError, ValueError) as e:
      raise _damaged(path, folder, e) from e
    arrays[name] = found
  return arrays


def _damaged(
  path: storage.Path, folder: storage.Path, error: Exception
) -> errors.UserError:
  return errors.UserError(
    f"{path} of a teacher's store cannot be read "
    f"({' '.join(str(error).split())[:200]}); delete {folder} and fill it again"
  )


def read_json(folder: storage.Path, name: str) -> dict[str, Any] | None:
  """Reads a JSON of the store; None if there is none."""
  path = folder / name
  try:
    value = json.loads(storage.read_text(path))
    if not isinstance(value, dict):
      raise ValueError("no mapping")
  except FileNotFoundError:
    return None
  except storage.StoreError:
    raise
  except (OSError, ValueError) as e:
    raise errors.UserError(
      f"{path} of a teacher's store cannot be read ({e}); delete {folder} and "
      "fill it again"
    ) from e
  return value


def write_json(
  folder: storage.Path, name: str, value: Mapping[str, Any]
) -> None:
  """Writes a JSON of the store: the whole of it or nothing."""
  if not isinstance(folder, pathlib.Path):
    storage.write_text(folder / name, json.dumps(value, indent=2) + "\n")
    return
  new = folder / f"{name}.tmp"
  with new.open("w") as file:
    file.write(json.dumps(value, indent=2) + "\n")
    file.flush()
    os.fsync(file.fileno())
  new.replace(folder / name)
