"""Checkpoints of Orbax, with the model and the optimiser as separate items.

A checkpoint `<folder>/<step>/` has the items
  model:     {"params", "batch_stats"}, which is all that a teacher or a test
             reads,
  optimizer: {"step", "opt_state"}, which training needs as well,
  meta:      JSON, such as the model's config.
"""

from collections.abc import Callable
from collections.abc import Mapping
from collections.abc import Sequence
import dataclasses
import functools
import hashlib
import json
import math
import os
import pathlib
from typing import Any

import jax
from jax.sharding import Sharding
import numpy as np
from orbax import checkpoint as ocp
from orbax.checkpoint.checkpoint_managers import preservation_policy

from gaitkd_jax import array_names
from gaitkd_jax import errors

Paths = str | os.PathLike[str]
# Keys of the item "optimizer" that have another name than the state's field:
# checkpoints from before the fields were renamed can still be restored.
_FIELDS = {"aids": "aux", "aids_opt_state": "aux_opt_state"}
# Keys beside a checkpoint's metrics: what was scored, and what decides.
_BASIS, _METRIC = "basis", "primary_metric"
# Key of the meta of a checkpoint that was saved before it could be scored.
_OWES = "owes_scores"


class Checkpointer:
  """Saves in the background; keeps the two newest checkpoints and the best.

  Scores are compared only where they are of one basis. Of every basis the best
  checkpoint is kept.
  """

  def __init__(
    self, folder: Paths, best: str, basis: str = "", *, unnamed: bool = True
  ):
    """Opens the folder, or makes it.

    Args:
      folder: where the steps lie.
      best: the metric, higher is better, that decides which checkpoint is the
        best.
      basis: names what is scored, and how, from now on.
      unnamed: whether scores of before bases were named are of this one.
    """
    self._folder = pathlib.Path(folder).resolve()
    self._best = best
    self._basis = basis
    self._unnamed = basis if unnamed else ""
    if self._folder.exists() and not self._folder.is_dir():
      raise errors.UserError(
        f"{self._folder} is a file, where checkpoints are to lie; move it away"
      )
    try:
      self._manager = self._open()
    except (OSError, ValueError) as e:
      raise errors.UserError(
        f"the checkpoints in {self._folder} cannot be opened; one may be "
        f"damaged: delete it, or give another --workdir ({_first_line(e)})"
      ) from e

  def _open(self) -> ocp.CheckpointManager:
    return ocp.CheckpointManager(
      self._folder,
      options=ocp.CheckpointManagerOptions(
        preservation_policy=preservation_policy.AnyPreservationPolicy(
          [
            preservation_policy.LatestN(2),
            _BestOfEachBasis(self._score, self._unnamed),
          ]
        ),
        best_fn=lambda metrics: self._score(metrics, self._basis),
      ),
    )

  def _score(self, metrics: Mapping[str, Any], basis: str | None) -> float:
    """What ranks a checkpoint among those of a basis; None: of its own."""
    own = metrics.get(_BASIS, self._unnamed)
    if basis not in (None, own):
      return -math.inf
    value = metrics.get(metrics.get(_METRIC, self._best), math.nan)
    return value if math.isfinite(value) else -math.inf

  def __enter__(self) -> "Checkpointer":
    return self

  def __exit__(self, *unused: object) -> None:
    self._manager.close()  # waits until everything is written

  @property
  def latest_step(self) -> int | None:
    """The newest finished checkpoint, or None."""
    return self._manager.latest_step()

  @property
  def best_step(self) -> int | None:
    """The checkpoint with the best metric of this basis, or None."""
    self._manager.wait_until_finished()
    if (step := self._manager.best_step()) is None:
      return None
    score = self._score(self._manager.metrics(step) or {}, self._basis)
    return step if math.isfinite(score) else None

  def save(
    self,
    step: int,
    state: Any,
    meta: Mapping[str, Any],
    metrics: Mapping[str, float] | None,
    *,
    owes_scores: bool = False,
  ) -> None:
    """Starts saving; `state` may be donated as soon as this returns.

    Args:
      step: number of the checkpoint; if it exists, nothing is saved.
      state: a `step.TrainState`; its aux is part of the optimiser's item.
      meta: JSON.
      metrics: of an evaluation of this state, if there was one.
      owes_scores: whether there was to be one, see `add_scores`.
    """
    if self._manager.latest_step() == step:
      return
    meta = {**meta, _OWES: True} if owes_scores else meta
    self._manager.save(
      step,
      args=ocp.args.Composite(
        model=ocp.args.StandardSave(state.variables),
        optimizer=ocp.args.StandardSave(_optimizer_item(state)),
        meta=ocp.args.JsonSave(dict(meta)),
      ),
      metrics=None if metrics is None else self._named(metrics),
    )

  @property
  def owes_scores(self) -> bool:
    """Whether an evaluation of the newest checkpoint is still to be done."""
    self._manager.wait_until_finished()
    step = self._manager.latest_step()
    if step is None or not restored_meta(self._folder / str(step)).get(_OWES):
      return False
    return self._manager.metrics(step) is None

  def add_scores(self, step: int, metrics: Mapping[str, float] | None) -> None:
    """Adds the scores that a checkpoint owes; all of them or nothing."""
    if metrics is None:
      return
    self._manager.wait_until_finished()
    with ocp.Checkpointer(ocp.JsonCheckpointHandler("metrics")) as writer:
      writer.save(
        self._folder / str(step) / "metrics",
        args=ocp.args.JsonSave(self._named(metrics)),
        force=True,
      )
    self._manager.reload()

  def _named(self, metrics: Mapping[str, float]) -> dict[str, Any]:
    """Scores, with what they are of."""
    named = {_BASIS: self._basis, _METRIC: self._best} if self._basis else {}
    return {**metrics, **named}

  def restore(self, abstract: Any, sharding: Sharding) -> Any:
    """Restores the newest state onto the devices of `sharding`.

    Args:
      abstract: a `step.TrainState` of shapes.
      sharding: of every array.

    Returns:
      The state.

    Raises:
      errors.UserError: the checkpoint is of another model or optimiser.
    """
    step = self._manager.latest_step()
    place = _Place(self._folder, step)
    model = _read(place, "model", abstract.variables, sharding)
    rest = _read(place, "optimizer", _optimizer_item(abstract), sharding)
    rest = {_FIELDS.get(key, key): value for key, value in rest.items()}
    return dataclasses.replace(abstract, **model, **rest)


@dataclasses.dataclass
class _BestOfEachBasis(preservation_policy.PreservationPolicy):
  """Preserves the best checkpoint of every basis, of equal ones the newest."""

  score: Callable[[Mapping[str, Any], str | None], float]
  unnamed: str

  def should_preserve(
    self,
    checkpoints: Sequence[preservation_policy.PolicyCheckpointInfo],
    *,
    context: preservation_policy.PreservationContext,
  ) -> Sequence[bool]:
    """See the base class."""
    del context
    best: dict[str, tuple[float, int]] = {}
    for i, checkpoint in enumerate(checkpoints):
      if checkpoint.metrics is None:
        continue
      value = self.score(checkpoint.metrics, None)
      if math.isfinite(value):
        basis = checkpoint.metrics.get(_BASIS, self.unnamed)
        best[basis] = max(best.get(basis, (value, i)), (value, i))
    preserved = {i for _, i in best.values()}
    return [i in preserved for i in range(len(checkpoints))]


def _optimizer_item(state: Any) -> dict[str, Any]:
  """What training needs besides the model; aux only where there is some."""
  item = {"step": state.step, "opt_state": state.opt_state}
  if jax.tree.leaves(state.aux):
    item |= {key: getattr(state, field) for key, field in _FIELDS.items()}
  return item


def restore_model(
  path: Paths, abstract: Mapping[str, Any], sharding: Sharding
) -> dict[str, Any]:
  """Reads the variables of a checkpoint, and nothing else in it.

  Args:
    path: a workdir, its `checkpoints` folder, or one step in it.
    abstract: shapes of `{"params": ..., "batch_stats": ...}`.
    sharding: of every array.

  Returns:
    The variables.

  Raises:
    errors.UserError: there is no checkpoint, or it is of another model.
  """
  return _read(_find(path), "model", abstract, sharding)


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
  path: Paths, variables: Mapping[str, Any], sharding: Sharding
) -> tuple[dict[str, Any], list[str], list[str]]:
  """Takes those arrays from a checkpoint that have the same name and shape.

  For a network that starts from another one, such as a SwinGait from a
  DeepGaitV2. This is OpenGait's `restore_ckpt_strict: false`.

  Args:
    path: see `restore_model`.
    variables: of the network that starts.
    sharding: of every array.

  Returns:
    The variables, the names of the arrays that were taken from the checkpoint,
    and the names of those that were not.

  Raises:
    errors.UserError: there is no checkpoint, or nothing in it fits.
  """
  place = _find(path)
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
  read = array_names.by_current_name(_read(place, "model", stored, sharding))
  variables = jax.tree.map_with_path(
    lambda k, x: (
      read[array_names.name(k)] if array_names.name(k) in taken else x
    ),
    variables,
  )
  return variables, taken, [name for name in wanted if name not in taken]


def save_model(
  folder: Paths, variables: Any, meta: Mapping[str, Any], step: int = 0
) -> None:
  """Writes a checkpoint with a model alone, such as a converted one."""
  with ocp.CheckpointManager(pathlib.Path(folder).resolve()) as manager:
    manager.save(
      step,
      args=ocp.args.Composite(
        model=ocp.args.StandardSave(variables),
        meta=ocp.args.JsonSave(dict(meta)),
      ),
    )


def restored_meta(path: Paths) -> dict[str, Any]:
  """The JSON of the checkpoint that `restore_model` would read.

  Raises:
    errors.UserError: there is no checkpoint, or it cannot be read.
  """
  place = _find(path)
  file = _folder(place, "meta") / "metadata"
  if not file.exists():
    return {}
  try:
    return json.loads(file.read_text())
  except (OSError, ValueError) as e:
    raise errors.UserError(
      f"the meta of checkpoint {place} cannot be read; it may be damaged: "
      f"delete it or name another ({_first_line(e)})"
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
    tree = _read(place, item, _stored(place, item), here)
    for key, array in jax.tree.leaves_with_path(tree):
      found[f"{item}/{array_names.name(key)}"] = np.asarray(array)
  return found


def digest(variables: Mapping[str, Any]) -> str:
  """SHA-256 of the names, shapes, dtypes and bytes of a network's variables."""
  result = hashlib.sha256()
  for path, leaf in jax.tree.leaves_with_path(variables):
    name = jax.tree_util.keystr(path, simple=True, separator="/")
    array = np.ascontiguousarray(leaf)
    result.update(f"{name} {array.shape} {array.dtype}\n".encode())
    result.update(array.tobytes())
  return result.hexdigest()


@dataclasses.dataclass(frozen=True)
class _Place:
  folder: pathlib.Path
  step: int

  def __str__(self) -> str:
    return str(self.folder / str(self.step))


def newest_step(path: Paths) -> int | None:
  """The number of the newest checkpoint of a workdir; None if it has none."""
  return max(_steps(pathlib.Path(path) / "checkpoints"), default=None)


def _steps(folder: pathlib.Path) -> list[int]:
  """The numbers of the finished checkpoints of a folder."""
  return [
    int(p.name)
    for p in (folder.iterdir() if folder.is_dir() else ())
    if p.name.isdecimal() and (p / "model").is_dir()
  ]


def _find(path: Paths) -> _Place:
  path = pathlib.Path(path).expanduser().resolve()
  if path.name.isdecimal() and (path / "model").is_dir():
    return _Place(path.parent, int(path.name))
  for folder in (path / "checkpoints", path):
    if steps := _steps(folder):
      return _Place(folder, max(steps))
  raise errors.UserError(
    f"there is no checkpoint in {path}; give the workdir of a training run or "
    "one step of its checkpoints folder"
  )


def _read(place: _Place, item: str, abstract: Any, sharding: Sharding) -> Any:
  target = jax.tree.map(
    lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=sharding),
    abstract,
  )
  stored = _stored(place, item)
  wanted, found = array_names.shapes(target), array_names.shapes(stored)
  if wanted != found and wanted == (found := _current_names(place, found)):
    old = array_names.by_current_name(_read(place, item, stored, sharding))
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
      return reader.restore(_folder(place, item), target)
    except (OSError, ValueError) as e:
      raise errors.UserError(
        f"the {item} of checkpoint {place} cannot be read; it may be damaged: "
        f"delete it or name another ({_first_line(e)})"
      ) from e


def _folder(place: _Place, item: str) -> pathlib.Path:
  return place.folder / str(place.step) / item


def _stored(place: _Place, item: str) -> Any:
  """The shapes and dtypes of an item of a checkpoint."""
  with ocp.StandardCheckpointer() as reader:
    try:
      return reader.metadata(_folder(place, item)).item_metadata.tree
    except (OSError, ValueError, AttributeError) as e:
      raise errors.UserError(
        f"the {item} of checkpoint {place} cannot be read; it may be damaged "
        f"or unfinished: delete it or name another ({_first_line(e)})"
      ) from e


def _current_names(
  place: _Place, shapes: Mapping[str, tuple[int, ...]]
) -> dict[str, tuple[int, ...]]:
  """The shapes by the names of today; says so if there are others."""
  current = {array_names.current(name): shape for name, shape in shapes.items()}
  if current.keys() != shapes.keys():
    _tell_earlier(place)
  return current


@functools.cache  # once for all items
def _tell_earlier(place: _Place) -> None:
  print(
    f"checkpoint {place} is of an earlier version, which named arrays "
    "otherwise; they are read under today's names",
    flush=True,
  )


def _text(shape: tuple[int, ...] | None) -> str:
  return "absent" if shape is None else str(list(shape))


def _first_line(error: Exception) -> str:
  return (str(error).splitlines() or [type(error).__name__])[0][:200]
