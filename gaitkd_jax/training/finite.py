"""What is done where a loss, a gradient or a state is not finite."""

from collections.abc import Callable
from collections.abc import Mapping
from collections.abc import Sequence
import json
import math
import sys
from typing import Any

import jax
import jax.numpy as jnp
import tqdm

from gaitkd_jax import array_names
from gaitkd_jax import errors
from gaitkd_jax import storage
from gaitkd_jax import workdir as workdir_lib
from gaitkd_jax.training import watch

_SHOWN = 4  # sequences of a batch that a line names
# Metrics that are no terms of the loss.
_NO_TERMS = (*watch.WATCHED, "learning_rate")


class Guard:
  """Ends a run, or counts, where a step is not finite.

  Such a step is found exactly, whether or not it is logged: `watch.Watch` looks
  at all of them. What it held is written to `nonfinite/<step>.json` of the
  workdir: its metrics, and the names of the batch's sequences.
  """

  def __init__(
    self,
    allowed: int,
    workdir: storage.Path,
    batch_names: Callable[[int], Sequence[str]],
    last_checkpoint: Callable[[], int | None],
  ):
    """Begins to count.

    Args:
      allowed: how many steps in a row may be skipped, `train.skip_nonfinite`.
      workdir: of the run.
      batch_names: from the number of a batch, from 0, to its sequences' names.
      last_checkpoint: gives the newest whole checkpoint, or None.
    """
    self._allowed = allowed
    self._workdir = workdir
    self._batch_names = batch_names
    self._last_checkpoint = last_checkpoint
    self._in_a_row = 0
    self._skipped = 0

  def skips(self, done: watch.Done) -> bool:
    """Whether the update of a step was left out, because it is not finite.

    It is said on standard error. Ask for every step, in their order.

    Raises:
      errors.UserError: the step is not finite, and as many as are allowed
        before it were not either.
    """
    if done.finite:
      self._in_a_row = 0
      return False
    scalars = {k: float(v) for k, v in jax.device_get(done.metrics).items()}
    names = list(self._batch_names(done.step - 1))
    self._in_a_row += 1
    self._skipped += 1
    what = _what(done.step, scalars)
    if not jax.process_index():
      what += f"; {self._batch(done.step, scalars, names)}"
    if self._in_a_row <= self._allowed:
      if not jax.process_index():
        tqdm.tqdm.write(
          f"step {done.step} is skipped ({self._in_a_row} in a row of "
          f"{self._allowed} allowed, {self._skipped} since the start): {what}",
          file=sys.stderr,
        )
      return True
    before = self._in_a_row - 1
    advice = (
      f"as were the {before} steps before it, which were skipped"
      if before
      else "train.skip_nonfinite=N would skip up to N such steps in a row"
    )
    raise errors.UserError(
      f"{what}; {self._kept()}; lower optim.learning_rate, set "
      f"optim.clip_norm, or look at these sequences ({advice})"
    )

  def check_state(self, step: int, state: Any) -> None:
    """Checks a state before it is saved.

    Args:
      step: its number.
      state: a `step.TrainState`.

    Raises:
      errors.UserError: a parameter, a running statistic, or something of the
        optimiser's state is not finite.
    """
    learnt = {**state.variables, "opt_state": state.opt_state}
    if len(bad := not_finite(learnt)):
      raise errors.UserError(
        f"the state after step {step} is not finite in {len(bad)} arrays, such "
        f"as {bad[0]}, though its loss and gradient are; {self._kept()}; lower "
        "optim.learning_rate or set optim.clip_norm"
      )

  def _batch(
    self, step: int, scalars: Mapping[str, float], names: Sequence[str]
  ) -> str:
    """Names the batch, and keeps all of it in a file."""
    clean = {k: v if math.isfinite(v) else str(v) for k, v in scalars.items()}
    content = {"step": step, "metrics": clean, "sequences": list(names)}
    path = self._workdir / "nonfinite" / f"{step}.json"
    try:
      workdir_lib.write_text(json.dumps(content, indent=2) + "\n", path)
      kept = f"all in {path}"
    except errors.UserError as e:
      kept = str(e)
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return f"the batch is {', '.join(names[:_SHOWN])}{more} ({kept})"

  def _kept(self) -> str:
    last = self._last_checkpoint()
    if last is None:
      return "there is no checkpoint yet"
    return f"the last whole checkpoint is that of step {last}"


def not_finite(tree: Any) -> list[str]:
  """The names of the arrays that hold a number which is not finite."""
  leaves = {
    array_names.name(path): leaf
    for path, leaf in jax.tree.leaves_with_path(tree)
    if jnp.issubdtype(leaf.dtype, jnp.inexact)
  }
  if not leaves:
    return []
  finite = jax.device_get(_all_finite(list(leaves.values())))
  return [name for name, ok in zip(leaves, finite, strict=True) if not ok]


@jax.jit
def _all_finite(arrays: list[jax.Array]) -> jax.Array:
  """Bool [k], for each of k arrays."""
  return jnp.stack([jnp.all(jnp.isfinite(x)) for x in arrays])


def _what(step: int, scalars: Mapping[str, float]) -> str:
  """Names what is not finite: the sum, and those of its terms that are not."""
  name = next(k for k in watch.WATCHED if not math.isfinite(scalars[k]))
  text = f"the {name} is {scalars[name]} at step {step}"
  terms = {k: v for k, v in scalars.items() if k not in _NO_TERMS}
  bad = [k for k, v in terms.items() if not math.isfinite(v)]
  if name == "gradient_norm":
    return f"{text}, though the loss is {scalars['loss']:.4g}"
  if not bad:
    return f"{text}, though its terms are finite: look at their weights"
  which = "all of its terms are not finite" if len(bad) == len(terms) else ""
  return f"{text}: {which or ', '.join(f'{k} is {terms[k]}' for k in bad)}"
