"""Saves the states of a training, and restores the newest.

What a checkpoint holds is described in `checkpoint`.
"""

from collections.abc import Callable
from collections.abc import Mapping
from collections.abc import Sequence
import contextlib
import dataclasses
import math
import sys
from typing import Any

import jax
from orbax import checkpoint as ocp
from orbax.checkpoint.checkpoint_managers import preservation_policy

from gaitkd_jax import checkpoint
from gaitkd_jax import errors
from gaitkd_jax import failures
from gaitkd_jax import mirror
from gaitkd_jax import storage

# Keys of the item "optimizer" that have another name than the state's field:
# checkpoints from before the fields were renamed can still be restored.
_FIELDS = {"aids": "aux", "aids_opt_state": "aux_opt_state"}
# Keys beside a checkpoint's metrics: what was scored, and what decides.
_BASIS, _METRIC = "basis", "primary_metric"
# Key of the meta of a checkpoint that was saved before it could be scored.
_OWES = "owes_scores"
# So many checkpoints in a row may fail; one more ends the run.
_TOLERATED = 2
# Errors of a program, not of a disk or a store.
_BUGS = (TypeError, AttributeError, LookupError, AssertionError, NameError)


class Checkpointer:
  """Saves in the background; keeps the two newest checkpoints and the best.

  Scores are compared only where they are of one basis. Of every basis the best
  checkpoint is kept.
  """

  def __init__(
    self,
    folder: checkpoint.Paths,
    best: str,
    basis: str = "",
    *,
    unnamed: bool = True,
  ):
    """Opens the folder, or makes it.

    Args:
      folder: where the steps lie.
      best: the metric, higher is better, that decides which checkpoint is the
        best.
      basis: names what is scored, and how, from now on.
      unnamed: whether scores of before bases were named are of this one.
    """
    self._folder = storage.absolute(folder)
    self._mirror: mirror.Mirror | None = None
    if checkpoint.is_mirrored(self._folder):
      self._mirror = mirror.Mirror(self._folder)
      self._folder = self._mirror.folder
    self._best = best
    self._basis = basis
    self._unnamed = basis if unnamed else ""
    if (
      not storage.is_remote(folder)
      and self._folder.exists()
      and not self._folder.is_dir()
    ):
      raise errors.UserError(
        f"{self._folder} is a file, where checkpoints are to lie; move it away"
      )
    self._saving: int | None = None  # the step that is being written
    self._failed: list[int] = []  # those that could not be, one after another
    try:
      self._manager = self._open()
    except (OSError, ValueError) as e:
      if storage.is_remote(self._folder) and storage.refusal(e):
        raise  # nothing is damaged
      raise errors.UserError(
        f"the checkpoints in {self._folder} cannot be opened; one may be "
        "damaged: delete it, or give another --workdir "
        f"({checkpoint.first_line(e)})"
      ) from e

  def _open(self, clean: bool = True) -> ocp.CheckpointManager:
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
        # What was being written when a run was killed.
        cleanup_tmp_directories=clean,
        # Else threads wait for half an hour where a folder cannot be made.
        async_options=ocp.AsyncOptions(create_directories_asynchronously=False),
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

  def __exit__(self, kind: type[BaseException] | None, *rest: object) -> None:
    """Waits until everything is written.

    Raises:
      errors.UserError: the newest checkpoint could not be written.
    """
    ended = kind is None or issubclass(kind, errors.Stopped)
    try:
      self.settle()
    except errors.UserError:
      if ended:
        raise
    with contextlib.suppress(Exception):
      self._manager.close()
    if self._failed:
      self._remove_unfinished()
    if self._mirror:
      try:
        self._mirror.close()
      except errors.UserError as e:
        if ended:
          raise
        print(e, file=sys.stderr, flush=True)
    if self._failed and ended:
      raise errors.UserError(
        f"checkpoint {self._failed[-1]}, the last one, could not be written; "
        f"{self._last_whole()}: make room, or correct what was said above, and "
        "start the same command again"
      )

  @property
  def latest_step(self) -> int | None:
    """The newest finished checkpoint, or None."""
    return self._manager.latest_step()

  @property
  def best_step(self) -> int | None:
    """The checkpoint with the best metric of this basis, or None."""
    self.settle()
    if (step := self._manager.best_step()) is None:
      return None
    score = self._score(self._manager.metrics(step) or {}, self._basis)
    return step if math.isfinite(score) else None

  def last_whole_step(self) -> int | None:
    """The newest checkpoint that is written, or None; waits for it."""
    self.settle()
    return checkpoint.newest(self._folder)

  def settle(self, wait: bool = True) -> None:
    """Finds out whether what is being saved was written.

    If it was not, that is said, what is there of it is removed, and the run
    goes on with the checkpoints that it has; the next one is tried anew.

    Args:
      wait: whether to wait for it; else nothing is done while it is written.

    Raises:
      errors.UserError: it was not, and neither were the two before it; or
        there are several processes, which would not know of each other.
    """
    if self._saving is None or (not wait and self._is_written_later()):
      return
    step, self._saving = self._saving, None
    try:
      self._manager.wait_until_finished()
    except Exception as e:
      self._give_up(step, e)
    else:
      self._failed.clear()

  def _is_written_later(self) -> bool:
    """Whether something is being written; of several processes, always."""
    return jax.process_count() > 1 or self._manager.is_saving_in_progress()

  def _give_up(self, step: int, error: Exception) -> None:
    """Says that a checkpoint was not written, and makes ready for the next."""
    if isinstance(error, _BUGS):
      raise error
    self._failed.append(step)
    text = f"checkpoint {step} could not be written ({failures.short(error)})"
    if jax.process_count() > 1:
      raise errors.UserError(
        f"{text}; {self._last_whole()}: correct that, then start again"
      ) from error
    self._remove_unfinished()
    # The manager has forgotten older checkpoints that are still there.
    with contextlib.suppress(Exception):
      self._manager.close()
    try:
      self._manager = self._open(clean=False)
    except (OSError, ValueError) as e:
      raise errors.UserError(
        f"{text}, and {self._folder} cannot be opened again "
        f"({failures.short(e)}); correct that, then start again"
      ) from error
    if len(self._failed) > _TOLERATED:
      raise errors.UserError(
        f"{text}, nor could the {_TOLERATED} before it; {self._last_whole()}: "
        "make room, or correct that, then start again"
      ) from error
    print(
      f"{text}; the run goes on: {self._last_whole()}",
      file=sys.stderr,
      flush=True,
    )

  def _remove_unfinished(self) -> None:
    """Makes room; threads of a save that failed may still write to it."""
    remote = storage.is_remote(self._folder)  # there it has a step's name
    with contextlib.suppress(OSError):
      for name in storage.names(self._folder):
        place = self._folder / name
        if not name.isdecimal() or (
          remote and not checkpoint.is_finished(place)
        ):
          storage.remove_folder(place)

  def _last_whole(self) -> str:
    step = checkpoint.newest(self._folder)
    return (
      "there is no whole one yet"
      if step is None
      else f"the last whole one is {self._folder / str(step)}"
    )

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

    Whether it was written is found out by `settle`, at the next `save` at the
    latest.

    Args:
      step: number of the checkpoint; if it exists, nothing is saved.
      state: a `step.TrainState`; its aux is part of the optimiser's item.
      meta: JSON.
      metrics: of an evaluation of this state, if there was one.
      owes_scores: whether there was to be one, see `add_scores`.

    Raises:
      errors.UserError: see `settle`.
    """
    self.settle()
    if self._failed:
      self._remove_unfinished()
    if self._manager.latest_step() == step:
      return
    meta = {**meta, _OWES: True} if owes_scores else meta
    try:
      if self._mirror:
        self._mirror.check()
      self._manager.save(
        step,
        args=ocp.args.Composite(
          model=ocp.args.StandardSave(state.variables),
          optimizer=ocp.args.StandardSave(_optimizer_item(state)),
          meta=ocp.args.JsonSave(dict(meta)),
        ),
        metrics=None if metrics is None else self._named(metrics),
      )
      self._saving = step
    except Exception as e:
      self._give_up(step, e)

  @property
  def owes_scores(self) -> bool:
    """Whether an evaluation of the newest checkpoint is still to be done."""
    self.settle()
    step = self._manager.latest_step()
    if step is None or not checkpoint.restored_meta(
      self._folder / str(step)
    ).get(_OWES):
      return False
    return self._manager.metrics(step) is None

  def add_scores(self, step: int, metrics: Mapping[str, float] | None) -> None:
    """Adds the scores that a checkpoint owes; all of them or nothing."""
    if metrics is None:
      return
    self.settle()
    with ocp.Checkpointer(ocp.JsonCheckpointHandler("metrics")) as writer:
      writer.save(
        self._folder / str(step) / "metrics",
        args=ocp.args.JsonSave(self._named(metrics)),
        force=True,
      )
    self._manager.reload()
    if self._mirror:
      self._mirror.again(step)

  def _named(self, metrics: Mapping[str, float]) -> dict[str, Any]:
    """Scores, with what they are of."""
    named = {_BASIS: self._basis, _METRIC: self._best} if self._basis else {}
    return {**metrics, **named}

  def restore(self, abstract: Any, sharding: checkpoint.Where) -> Any:
    """Restores the newest state onto devices, however many it was saved on.

    Args:
      abstract: a `step.TrainState` of shapes.
      sharding: of every array, or a function from a tree to theirs.

    Returns:
      The state.

    Raises:
      errors.UserError: the checkpoint is of another model or optimiser.
    """
    step = self._manager.latest_step()
    place = checkpoint.Place(self._folder, step)
    model = checkpoint.read_item(place, "model", abstract.variables, sharding)
    rest = checkpoint.read_item(
      place, "optimizer", _optimizer_item(abstract), sharding
    )
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
    for i, one in enumerate(checkpoints):
      if one.metrics is None:
        continue
      value = self.score(one.metrics, None)
      if math.isfinite(value):
        basis = one.metrics.get(_BASIS, self.unnamed)
        best[basis] = max(best.get(basis, (value, i)), (value, i))
    preserved = {i for _, i in best.values()}
    return [i in preserved for i in range(len(checkpoints))]


def _optimizer_item(state: Any) -> dict[str, Any]:
  """What training needs besides the model; aux only where there is some."""
  item = {"step": state.step, "opt_state": state.opt_state}
  if jax.tree.leaves(state.aux):
    item |= {key: getattr(state, field) for key, field in _FIELDS.items()}
  return item
