"""The data sets on which a network can be tested, and how each is scored."""

from collections.abc import Sequence
import dataclasses
import os
from typing import Any

from gaitkd_jax import config as config_lib
from gaitkd_jax import errors
from gaitkd_jax import models
from gaitkd_jax.evaluation import embed as embed_lib
from gaitkd_jax.evaluation import protocols

ALL = "all"
# Of a benchmark it is the protocol of its name.
_PROTOCOLS = {"walkers": "casiab"}


@dataclasses.dataclass(frozen=True)
class Target:
  """A data set to be tested on.

  Attributes:
    name: such as "casiab" or "walkers:tiny".
    data: the section that takes the place of `config.eval.data`.
    protocol: by which it is scored.
    division: of its subjects; empty for its own, tested on strangers.
  """

  name: str
  data: Any
  protocol: str
  division: str = ""

  @property
  def title(self) -> str:
    """The name, and the division where figures are not the benchmark's."""
    return self.name + (f" ({self.division})" if self.division else "")

  @property
  def file(self) -> str:
    """What is added to a step to name its files."""
    return f"on_{self.name.replace(':', '_')}"


def find(
  config: Any, on: str, known: str = ""
) -> tuple[list[Target], list[str]]:
  """Finds the data sets that are asked for.

  Args:
    config: the whole config; where its test data are prepared, others are
      looked for.
    on: see `cross_domain.evaluate_on`.
    known: the name of one that "all" leaves out.

  Returns:
    Those at hand, and, for "all", the names of the others.

  Raises:
    errors.UserError: one that is named is unknown or not at hand.
  """
  # TensorFlow is loaded by a run, not by an import of this module.
  from data_pipelines import datasets

  names = [
    name
    for name in datasets.NAMES
    if isinstance(
      protocols.PROTOCOLS.get(_protocol(name)), protocols.ScoredProtocol
    )
  ]
  finder = _Finder(config)
  targets: list[Target] = []
  absent: list[str] = []
  if on == ALL:
    for name in names:
      if name == known:
        continue
      try:
        found = finder.prepared(name)
      except errors.UserError as e:
        absent.append(f"{name} ({e})")
        continue
      targets += [target for target in found if target.name != known]
      if not found:
        absent.append(name)
    return targets, absent
  for entry in on.split(","):
    name, _, detail = entry.strip().partition(":")
    if name not in names:
      raise errors.UserError(
        f"--on: there is no data set {name!r} with a protocol of its own; give "
        f"all, or some of {', '.join(names)}, separated by commas"
      )
    targets += finder.given(name, detail) if detail else finder.named(name)
  given = [target.name for target in targets]
  for name in given:
    if given.count(name) > 1:
      raise errors.UserError(f"--on={on} names {name} twice; name it once")
  return targets, absent


class _Finder:
  """Finds data sets for the network of a config."""

  def __init__(self, config: Any):
    self._own = embed_lib.test_data(config)
    self._trained = config.data
    module = models.create_model(config.model, config.dtype)
    # The first that is there; a network does not see what it does not take.
    alone = [("silhouettes",)] if module.in_channels == 1 else []
    self._modalities = [*alone, config_lib.MODALITIES]

  def given(self, name: str, detail: str) -> list[Target]:
    """A folder of real data, or a variant of walkers."""
    modalities = self._modalities[0]
    if name == "walkers":
      return [self._target(name, modalities, variant=detail)]
    halves = self._own.partition == "halves"
    return [
      self._target(
        name,
        modalities,
        "halves" if halves else "",
        root=os.path.expanduser(detail),
        partition="halves" if halves else "",
      )
    ]

  def named(self, name: str) -> list[Target]:
    """What is prepared of a data set, which has to be there."""
    try:
      found = self.prepared(name)
    except errors.UserError as e:
      raise errors.UserError(f"--on={name}: {e}") from e
    if found:
      return found
    detail = "tiny" if name == "walkers" else "<folder of the data set>"
    raise errors.UserError(
      f"--on={name}: it is not prepared in {self._own.prepared}; give "
      f"--on={name}:{detail}"
    )

  def prepared(self, name: str) -> list[Target]:
    """What is prepared of a data set: one build, or variants of walkers.

    Raises:
      errors.UserError: there are builds, but none that fits, or too many.
    """
    from data_pipelines import datasets

    builds = datasets.builder_class(name).builds(self._own.prepared).values()
    found = []
    for variant in dict.fromkeys(build.variant for build in builds):
      fitting = [
        [b for b in builds if (b.variant, b.modalities) == (variant, wanted)]
        for wanted in self._modalities
      ]
      if same := next(filter(None, fitting), []):
        found.append(self._of_build(name, _sole(name, same)))
    if builds and not found:
      raise errors.UserError(
        "prepared without the heat maps that the network takes"
      )
    return found

  def _of_build(self, name: str, build: Any) -> Target:
    partition, train, test = build.request
    # A division that was read from a file cannot be asked for: its path is not
    # known.
    asked = partition in ("", "halves")
    division = "halves" if partition == "halves" else "another division"
    return self._target(
      name,
      build.modalities,
      "" if build.own_division else division,
      variant=build.variant,
      partition=partition if asked else "",
      train_subjects=tuple(train) if asked else (),
      test_subjects=tuple(test) if asked else (),
    )

  def _target(
    self,
    name: str,
    modalities: Sequence[str],
    division: str = "",
    **values: Any,
  ) -> Target:
    data = config_lib.data(
      name,
      prepared=self._own.prepared,
      cache_gib=self._own.cache_gib,
      modalities=tuple(modalities),
      **values,
    )
    if _were_trained_on(self._trained, data):
      division = "subjects of the training"
    return Target(name_of(data), data, _protocol(name), division)


def _were_trained_on(trained: Any, tested: Any) -> bool:
  """Whether variants of walkers share people: they count from the same one."""
  from data_pipelines.walkers import spec

  if {trained.name, tested.name} != {"walkers"}:
    return False
  # An unknown variant is found when it is prepared.
  trained_on, tested_on = (
    spec.SIZES[data.variant].split(split) if data.variant in spec.SIZES else ()
    for data, split in ((trained, "train"), (tested, "test"))
  )
  return not set(trained_on).isdisjoint(tested_on)


def _sole(name: str, builds: Sequence[Any]) -> Any:
  """The one build, or the one of the data set's own division."""
  own = [build for build in builds if build.own_division]
  if len(builds) > 1 and len(own) != 1:
    raise errors.UserError(
      f"prepared {len(builds)} times; give --on={name}:<folder> for one of them"
    )
  return own[0] if own else builds[0]


def _protocol(name: str) -> str:
  return _PROTOCOLS.get(name, name)


def name_of(data: Any) -> str:
  """The name of a data set, with its variant if it has several."""
  return f"{data.name}:{data.variant}" if data.name == "walkers" else data.name
