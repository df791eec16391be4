"""Checkpoints of Orbax, with the model and the optimiser as separate items.

A checkpoint `<folder>/<step>/` has the items
  model:     {"params", "batch_stats"}, which is all that a teacher or a test
             reads,
  optimizer: {"step", "opt_state"}, which training needs as well,
  meta:      JSON, such as the model's config.
"""

from collections.abc import Callable
from collections.abc import Mapping
import dataclasses
import functools
import hashlib
import json
import os
from typing import Any

import jax
from jax.experimental import multihost_utils
from jax.sharding import Sharding
import numpy as np
from orbax import checkpoint as ocp

from gaitkd_jax import array_names
from gaitkd_jax import errors
from gaitkd_jax import mirror
from gaitkd_jax import quantize
from gaitkd_jax import storage

Paths = str | os.PathLike[str]
# One sharding, or a function from a tree to that of each array, such as a
# `placement.Placement`.
Where = Sharding | Callable[[Any], Any]
# The stores that Orbax reaches itself.
_REACHED = "gs://"


def restore_model(
  path: Paths,
  abstract: Mapping[str, Any],
  sharding: Where,
  quantization: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
  """Reads the variables of a checkpoint, and nothing else in it.

  Args:
    path: a workdir, its `checkpoints` folder, or one step in it.
    abstract: shapes of `{"params": ..., "batch_stats": ...}`.
    sharding: of every array, or a function from a tree to theirs.
    quantization: `quantize.Settings.form` of the network; None: it is float.

  Returns:
    The variables.

  Raises:
    errors.UserError: there is no checkpoint, or it is of another model, or of
      one in other bits.
  """
  check_quantization(path, quantization)
  return read_item(_find(path), "model", abstract, sharding)


def check_quantization(path: Paths, wanted: Mapping[str, Any] | None) -> None:
  """Refuses a checkpoint in other bits than the network has.

  Args:
    path: see `restore_model`.
    wanted: see `restore_model`.

  Raises:
    errors.UserError: there is no checkpoint, or its form is another one.
  """
  stored = restored_meta(path).get("quantization") or {}
  wanted = wanted or {}
  if stored == wanted:
    return
  keys = stored or dict.fromkeys(wanted, 0)
  advice = " ".join(
    f"--config.quantization.{key}={value}"
    for key, value in keys.items()
    if value != wanted.get(key)
    and (stored or key in ("weights", "activations"))
  )
  more = (
    ""
    if stored
    else (", or make it one with --mode=quantize or --config.train.init_from")
  )
  raise errors.UserError(
    f"checkpoint {_find(path)} is {quantize.describe(stored)}, and "
    f"config.quantization asks for {quantize.describe(wanted)}; give "
    f"{advice}{more}"
  )


def stored_shapes(path: Paths) -> dict[str, tuple[int, ...]]:
  """The shapes of a checkpoint's network, by today's names of its arrays.

  Args:
    path: see `restore_model`.

  Raises:
    errors.UserError: there is no checkpoint, or it cannot be read.
  """
  place = _find(path)
  return _current_names(place, array_names.shapes(_stored(place, "model")))


def restore_matching(
  path: Paths,
  variables: Mapping[str, Any],
  sharding: Where,
  quantized: bool = False,
) -> tuple[dict[str, Any], list[str], list[str]]:
  """Takes those arrays from a checkpoint that have the same name and shape.

  For a network that starts from another one, such as a SwinGait from a
  DeepGaitV2. This is OpenGait's `restore_ckpt_strict: false`.

  Args:
    path: see `restore_model`.
    variables: of the network that starts.
    sharding: of every array, or a function from a tree to theirs.
    quantized: whether the network that starts is. One that is not takes
      nothing from one that is: its weights only make sense with their steps.

  Returns:
    The variables, the names of the arrays that were taken from the checkpoint,
    and the names of those that were not.

  Raises:
    errors.UserError: there is no checkpoint, or nothing in it fits, or it is
      quantised and the network is not.
  """
  place = _find(path)
  if not quantized:
    check_quantization(path, None)
  stored = _stored(place, "model")
  wanted, found = (
    array_names.shapes(variables),
    _current_names(place, array_names.shapes(stored)),
  )
  taken = [name for name, shape in wanted.items() if found.get(name) == shape]
  if not taken:
    raise errors.UserError(
      f"no array of checkpoint {place} has a name and shape of this network; "
      "give the checkpoint of one that shares its first stages"
    )
  read = array_names.by_current_name(
    read_item(place, "model", stored, sharding)
  )
  variables = jax.tree.map_with_path(
    lambda k, x: (
      read[array_names.name(k)] if array_names.name(k) in taken else x
    ),
    variables,
  )
  return variables, taken, [name for name in wanted if name not in taken]


def check_place(workdir: Paths) -> None:
  """Raises a UserError if checkpoints cannot be written there, by several."""
  if jax.process_count() > 1 and is_mirrored(storage.path(workdir)):
    raise errors.UserError(
      f"--workdir {workdir}: several processes can write checkpoints to gs:// "
      "or to a folder that all of them see; give one of these"
    )


def is_mirrored(place: storage.Path) -> bool:
  """Whether Orbax cannot reach a place, so that copies are made."""
  return storage.is_remote(place) and not str(place).startswith(_REACHED)


def save_model(
  folder: Paths, variables: Any, meta: Mapping[str, Any], step: int = 0
) -> None:
  """Writes a checkpoint with a model alone, such as a converted one."""
  target = storage.absolute(folder)
  local = storage.scratch() if is_mirrored(target) else target
  with ocp.CheckpointManager(local) as manager:
    manager.save(
      step,
      args=ocp.args.Composite(
        model=ocp.args.StandardSave(variables),
        meta=ocp.args.JsonSave(dict(meta)),
      ),
    )
  if local is not target:
    last = f"{step}/{mirror.FINISHED}"
    storage.upload(local, target, last)


def restored_meta(path: Paths) -> dict[str, Any]:
  """The JSON of the checkpoint that `restore_model` would read.

  Raises:
    errors.UserError: there is no checkpoint, or it cannot be read.
  """
  place = _find(path)
  try:
    return json.loads(storage.read_text(_folder(place, "meta") / "metadata"))
  except (FileNotFoundError, NotADirectoryError):
    return {}
  except storage.StoreError:
    raise
  except (OSError, ValueError) as e:
    raise errors.UserError(
      f"the meta of checkpoint {place} cannot be read; it may be damaged: "
      f"delete it or name another ({first_line(e)})"
    ) from e


def restored_step(path: Paths) -> int:
  """The number of the checkpoint that `restore_model` would read."""
  return _find(path).step


def read_arrays(path: Paths) -> dict[str, np.ndarray]:
  """All arrays of a checkpoint, the optimiser's included, by name.

  Args:
    path: see `restore_model`.

  Raises:
    errors.UserError: there is no checkpoint, or it cannot be read.
  """
  place = _find(path)
  here = jax.sharding.SingleDeviceSharding(jax.devices()[0])
  found = {}
  for item in ("model", "optimizer"):
    tree = read_item(place, item, _stored(place, item), here)
    for key, array in jax.tree.leaves_with_path(tree):
      found[f"{item}/{array_names.name(key)}"] = np.asarray(array)
  return found


def digest(variables: Mapping[str, Any]) -> str:
  """SHA-256 of the names, shapes, dtypes and bytes of a network's variables."""
  result = hashlib.sha256()
  for path, leaf in jax.tree.leaves_with_path(variables):
    name = jax.tree_util.keystr(path, simple=True, separator="/")
    array = np.ascontiguousarray(_whole(leaf))
    result.update(f"{name} {array.shape} {array.dtype}\n".encode())
    result.update(array.tobytes())
  return result.hexdigest()


def _whole(array: Any) -> Any:
  """The array in every process; all of them call this if it is split."""
  if not isinstance(array, jax.Array) or array.is_fully_addressable:
    return array
  if array.is_fully_replicated:
    return array.addressable_data(0)
  return multihost_utils.process_allgather(array, tiled=True)


@dataclasses.dataclass(frozen=True)
class Place:
  """A step of a folder of checkpoints."""

  folder: storage.Path
  step: int

  def __str__(self) -> str:
    return str(self.folder / str(self.step))


def newest_step(path: Paths) -> int | None:
  """The number of the newest checkpoint of a workdir; None if it has none."""
  return newest(storage.path(path) / "checkpoints")


def newest(folder: storage.Path) -> int | None:
  """The number of the newest finished checkpoint of a folder, if any."""
  steps = sorted(int(n) for n in storage.names(folder) if n.isdecimal())
  finished = (n for n in reversed(steps) if is_finished(folder / str(n)))
  return next(finished, None)


def is_finished(step: storage.Path) -> bool:
  """Whether a folder is a checkpoint that was written to its end.

  On a disk it gets its name when it is; in a store, a file that is written
  last.
  """
  if storage.is_remote(step):
    return mirror.FINISHED in storage.names(step)  # a single request
  return (step / "model").is_dir()


def _find(path: Paths) -> Place:
  path = storage.absolute(path)
  if path.name.isdecimal() and is_finished(path):
    return Place(path.parent, int(path.name))
  for folder in (path / "checkpoints", path):
    if (step := newest(folder)) is not None:
      return Place(folder, step)
  raise errors.UserError(
    f"there is no checkpoint in {path}; give the workdir of a training run or "
    "one step of its checkpoints folder"
  )


def read_item(place: Place, item: str, abstract: Any, sharding: Where) -> Any:
  """Reads an item of a checkpoint, by today's names of its arrays.

  Args:
    place: of the checkpoint.
    item: "model" or "optimizer".
    abstract: its shapes.
    sharding: of every array, or a function from a tree to theirs.

  Raises:
    errors.UserError: it is of another network, or cannot be read.
  """
  where = (
    sharding(abstract)
    if callable(sharding)
    else jax.tree.map(lambda _: sharding, abstract)
  )
  target = jax.tree.map(
    lambda x, s: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=s),
    abstract,
    where,
  )
  stored = _stored(place, item)
  wanted, found = array_names.shapes(target), array_names.shapes(stored)
  if wanted != found and wanted == (found := _current_names(place, found)):
    old = array_names.by_current_name(read_item(place, item, stored, sharding))
    return jax.tree.map_with_path(lambda k, _: old[array_names.name(k)], target)
  if wanted != found:
    different = [k for k in wanted | found if wanted.get(k) != found.get(k)]
    key = min(different)
    raise errors.UserError(
      f"checkpoint {place} is of another {item}: {len(different)} arrays "
      f"differ, such as {key}, {_text(found.get(key))} there and "
      f"{_text(wanted.get(key))} in the config; use the config that wrote it"
    )
  with ocp.StandardCheckpointer() as reader:
    try:
      return reader.restore(_readable(_folder(place, item)), target)
    except (OSError, ValueError) as e:
      _check_access(place, item, e)
      raise errors.UserError(
        f"the {item} of checkpoint {place} cannot be read; it may be damaged: "
        f"delete it or name another ({first_line(e)})"
      ) from e


def _check_access(place: Place, item: str, error: Exception) -> None:
  """Raises a UserError where a store refuses what is not damaged."""
  if storage.is_remote(place.folder) and (why := storage.refusal(error)):
    raise errors.UserError(
      f"the {item} of checkpoint {place} cannot be read ({why}); correct that, "
      "or name another"
    ) from error


def _folder(place: Place, item: str) -> storage.Path:
  return place.folder / str(place.step) / item


def _stored(place: Place, item: str) -> Any:
  """The shapes and dtypes of an item of a checkpoint."""
  with ocp.StandardCheckpointer() as reader:
    try:
      folder = _readable(_folder(place, item))
      return reader.metadata(folder).item_metadata.tree
    except (OSError, ValueError, AttributeError) as e:
      _check_access(place, item, e)
      raise errors.UserError(
        f"the {item} of checkpoint {place} cannot be read; it may be damaged "
        f"or unfinished: delete it or name another ({first_line(e)})"
      ) from e


@functools.cache  # once for all that is read of it
def _readable(folder: storage.Path) -> storage.Path:
  """A folder that Orbax can read."""
  return storage.fetch(folder) if is_mirrored(folder) else folder


def _current_names(
  place: Place, shapes: Mapping[str, tuple[int, ...]]
) -> dict[str, tuple[int, ...]]:
  """The shapes by the names of today; says so if there are others."""
  current = {array_names.current(name): shape for name, shape in shapes.items()}
  if current.keys() != shapes.keys():
    _tell_earlier(place)
  return current


@functools.cache  # once for all items
def _tell_earlier(place: Place) -> None:
  print(
    f"checkpoint {place} is of an earlier version, which named arrays "
    "otherwise; they are read under today's names",
    flush=True,
  )


def _text(shape: tuple[int, ...] | None) -> str:
  return "absent" if shape is None else str(list(shape))


def first_line(error: Exception) -> str:
  """The beginning of what Orbax says."""
  return (str(error).splitlines() or [type(error).__name__])[0][:200]
