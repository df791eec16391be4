"""Methods of distillation as variants: the same networks, other objectives."""

from collections.abc import Callable
from collections.abc import Mapping
import dataclasses
import os
from typing import Any

from ml_collections import ConfigDict

from gaitkd_jax.config import defaults
from gaitkd_jax.config import networks
from gaitkd_jax.config import recipes
from gaitkd_jax.config import variants

# Beside the embedded data, on which every method runs.
_BENCHMARKS = ("gait3d", "ccpg", "sustech1k")


@dataclasses.dataclass(frozen=True)
class Method:
  """A method of distillation.

  Attributes:
    about: what it is, and who published it.
    change: sets its objective in a config that has GaitKD's.
    rank1: the figure on the embedded data, in docs/study.md; 0 where that has
      none.
    published: figures that its authors have, by benchmark.
    teachers: one (DeepGaitV2) or two (on the embedded data SkeletonGait++, on
      a benchmark SwinGait).
  """

  about: str
  change: Callable[[ConfigDict], None]
  rank1: float = 0.0
  published: Mapping[str, str] = dataclasses.field(default_factory=dict)
  teachers: int = 1


def rival(
  kind: str,
  weight: float | Callable[[ConfigDict], ConfigDict] = 1.0,
  **options: Any,
) -> Callable[[ConfigDict], None]:
  """Returns the change that puts one term in the place of GaitKD's two levels.

  Args:
    kind: of the term, which is also its name.
    weight: of it, or a function that makes one from the config.
    **options: of its loss.
  """

  def change(c: ConfigDict) -> None:
    for teacher in c.teachers.values():
      teacher.decision_weight = teacher.boundary_weight = 0.0
    value = weight(c) if callable(weight) else weight
    c.terms[kind] = defaults.term(kind, weight=value, **options)

  return change


def warm_up(c: ConfigDict) -> ConfigDict:
  """A weight that rises to 1 within a twelfth of `train.steps`.

  As in the recipes of DKD, GDKD and grouped distillation: 20 of 240 epochs.
  """
  steps = c.train.get_ref("steps") // 12 + 1  # a trial has too few
  return ConfigDict(dict(kind="linear", start=0.0, end=1.0, steps=steps))


def distillation(
  methods: Mapping[str, Method], shipped: str | os.PathLike[str]
) -> dict[str, variants.Variant]:
  """The variants of a file of methods.

  Args:
    methods: by name.
    shipped: the folder `shipped_teachers`.

  Returns:
    Each method on the embedded data as "<name>", then all of them on the
    benchmarks as "<name>_<benchmark>".
  """
  return {
    name: _on_walkers(method, shipped) for name, method in methods.items()
  } | {
    f"{name}_{data}": _on_benchmark(method, data)
    for name, method in methods.items()
    for data in _BENCHMARKS
  }


def _on_walkers(
  method: Method, shipped: str | os.PathLike[str]
) -> variants.Variant:
  def recipe() -> ConfigDict:
    c = recipes.walkers_gaitkd(shipped, method.teachers)
    method.change(c)
    return c

  if not method.rank1:
    return variants.Variant(recipe, about=method.about)
  return variants.Variant(
    recipe,
    expected=f"Rank-1 {method.rank1:.2f} after 100 steps",
    source="docs/study.md",
    about=method.about,
  )


def _on_benchmark(method: Method, data: str) -> variants.Variant:
  def recipe() -> ConfigDict:
    second = networks.swingait() if method.teachers > 1 else None
    c = recipes.gaitkd(data, second)
    method.change(c)
    return c

  if data not in method.published:
    return variants.Variant(recipe)
  return variants.Variant(recipe, method.published[data], variants.GAITKD)
