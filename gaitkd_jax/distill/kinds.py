"""What a row of the table of objectives declares; see `terms.KINDS`."""

from collections.abc import Callable
from collections.abc import Mapping
from collections.abc import Sequence
import dataclasses
import inspect
from typing import Any

import jax
import numpy as np

# Arguments of losses that a term gives and no config.
_GIVEN = ("labels", "overlap", "part_weight")


@dataclasses.dataclass(frozen=True)
class Several:
  """What is known of several teachers when they are put together.

  Attributes:
    values: the unweighted loss of each.
    weights: of each, at this step.
    student: the student's array.
    teachers: the array of each teacher.
    overlaps: of each, see `Pair.overlap`.
    options: of the loss of each.
  """

  values: Sequence[jax.Array]
  weights: Sequence[jax.Array]
  student: jax.Array
  teachers: Sequence[jax.Array]
  overlaps: Sequence[np.ndarray | None]
  options: Sequence[Mapping[str, Any]] = ()


@dataclasses.dataclass(frozen=True)
class Memory:
  """What a loss remembers from step to step.

  Attributes:
    argument: the loss's argument that takes it; the next memory is the loss's
      second result.
    init: makes the memory of step 0 from a pair of shapes (see
      `Pairing.abstract`) and the options.
    options: of `init`, with their defaults. One that the loss knows too is
      given to both.
    by_class: whether the leading axis of the memory, an array, is of classes,
      which are split where those of the student's classifier are.
  """

  argument: str
  init: Callable[..., Any]
  options: Mapping[str, Any] = dataclasses.field(default_factory=dict)
  by_class: bool = False


@dataclasses.dataclass(frozen=True)
class Kind:
  """A row of the table.

  A loss that has arguments `labels` (without a default), `scale` or `overlap`
  is given them; where it has no `overlap`, the teacher's parts are mixed
  before. Its other arguments that have a default are the options of the kind.

  Attributes:
    loss: a pure function of the student's array and the teacher's.
    end_point: the array of both networks that it takes.
    teacher_end_point: which array of the teacher, where options decide it.
    any_end_point: whether the option `end_points` may name other arrays, such
      as feature maps.
    calibrated: whether its `scale`, if it has one, is that of the student's
      cross entropy unless the config gives another.
    memory: what it remembers, if anything.
    other_clips: runs the networks on other clips and gives their outputs to the
      loss: a function of the context, the pair, the teacher's name and the
      options.
    alone: whether it needs no teacher.
    modes: how several teachers may be put together, beside the weighted sum of
      their losses; of these only the proportions of the weights may matter.
    diagnostics: by metric, options with which the loss is computed once more,
      only to be logged.
    measures: further functions of the same arrays, only to be logged, as
      "<term>_<measure>"; they are given those options that they know.
    of_teachers: keys of `config.teachers.<name>` that give the "weight" and
      options; a kind that has them is a term of every run with teachers, and
      `config.distillation.<kind>` is its mode.
  """

  loss: Callable[..., Any]
  end_point: str
  teacher_end_point: Callable[[Mapping[str, Any]], str] | None = None
  any_end_point: bool = False
  calibrated: bool = True
  memory: Memory | None = None
  other_clips: Callable[..., jax.Array] | None = None
  alone: bool = False
  modes: Mapping[str, Callable[[Several], jax.Array]] = dataclasses.field(
    default_factory=dict
  )
  diagnostics: Mapping[str, Mapping[str, Any]] = dataclasses.field(
    default_factory=dict
  )
  measures: Mapping[str, Callable[..., jax.Array]] = dataclasses.field(
    default_factory=dict
  )
  of_teachers: Mapping[str, str] = dataclasses.field(default_factory=dict)

  @property
  def arguments(self) -> Mapping[str, inspect.Parameter]:
    """The arguments of the loss."""
    return inspect.signature(self.loss).parameters

  @property
  def needs_labels(self) -> bool:
    """Whether the loss looks at the truth."""
    labels = self.arguments.get("labels")
    return labels is not None and labels.default is inspect.Parameter.empty

  @property
  def options(self) -> list[str]:
    """What a config may set, beside the options of the memory."""
    hidden = (*_GIVEN, *(self.memory.options if self.memory else ()))
    functions = [self.other_clips] if self.other_clips else []
    found = [
      argument.name
      for function in (*functions, self.loss)
      for argument in inspect.signature(function).parameters.values()
      if argument.default is not inspect.Parameter.empty
      and argument.name not in hidden
    ]
    return list(dict.fromkeys(found))
