"""Distils a small student of every family from a teacher of every other.

python scripts/distill_matrix.py --steps=20

On the embedded data (walkers, variant tiny, with heat maps). Every network is
first trained alone for as many steps, which makes the teachers; then every
student learns from each of them by GaitKD. Where parts do not lie at the same
heights they are paired by height, and where widths differ the student has a
connector. Prints a matrix, students down and teachers across: what applies
(D decision level, B boundary level; o parts by overlap; c connector) and how
much the weighted distillation loss changed from the first to the last step; and
below it, in a line each, why something was left out.
"""

from collections.abc import Mapping
from collections.abc import Sequence
import dataclasses
import functools
import time
from typing import Any

from absl import flags
from flax import linen as nn
import jax
from ml_collections import ConfigDict
import numpy as np
import tqdm

from data_pipelines import training
from gaitkd_jax import cli
from gaitkd_jax import config as config_lib
from gaitkd_jax import distill
from gaitkd_jax import errors
from gaitkd_jax import models
from gaitkd_jax import sharding
from gaitkd_jax.training import optim
from gaitkd_jax.training import step as step_lib

_STEPS = flags.DEFINE_integer("steps", 20, "of every training", lower_bound=2)
_FAMILIES = flags.DEFINE_list("families", [], "some of them; empty for all")

_DEEP = dict(channels=(4, 8, 16, 16), blocks=(1, 1, 1, 1))
_PLAIN = dict(channels=(4, 8, 16))
FAMILIES = {
  "gaitbase": dict(name="gaitbase", embedding_dim=16, **_DEEP),
  "deepgaitv2-2d": dict(name="deepgaitv2", mode="2d", **_DEEP),
  "deepgaitv2-p3d": dict(name="deepgaitv2", mode="p3d", **_DEEP),
  "deepgaitv2-3d": dict(name="deepgaitv2", mode="3d", **_DEEP),
  "skeletongait": dict(name="deepgaitv2", in_channels=2, **_DEEP),
  "skeletongaitpp": dict(
    name="skeletongaitpp", base_channels=4, blocks=(1, 1, 1, 1)
  ),
  "swingait": dict(
    name="swingait", channels=(4, 8), blocks=(1, 1, 1, 1), dim=16
  ),
  "gaitset": dict(name="gaitset", embedding_dim=16, **_PLAIN),
  "gaitpart": dict(name="gaitpart", embedding_dim=16, **_PLAIN),
  "gaitgl": dict(name="gaitgl", neck=True, **_PLAIN),
}
# Keys of a batch under which it holds a teacher's outputs.
_PREFIX = "teacher_outputs/"

Batch = Mapping[str, Any]


def default_config() -> ConfigDict:
  """The embedded data and short clips."""
  c = config_lib.default()
  c.data = config_lib.data(
    "walkers", variant="tiny", modalities=config_lib.MODALITIES
  )
  c.clip.frames, c.clip.skip = 8, 2
  c.batch.identities, c.batch.sequences = 4, 2
  c.optim.name, c.optim.learning_rate = "adamw", 1e-3
  return c


class Experiments:
  """Networks that are trained on the same batches."""

  def __init__(self, config: ConfigDict, steps: int):
    self._config = config
    self._mesh = sharding.create_mesh(1)
    split = training.training_split(config)
    self.classes = split.num_classes
    batches = training.train_batches(config, split, 0)
    self._batches = [next(batches) for _ in range(steps)]

  def model(self, name: str) -> nn.Module:
    """A network of a family, with a classifier where the family has one."""
    options = dict(FAMILIES[name])
    if "num_classes" in models.config_keys(options["name"]):
      options["num_classes"] = self.classes
    return models.create_model(options)

  def run(
    self,
    name: str,
    teachers: Mapping[str, distill.Teacher],
    distillation: Mapping[str, str] | None,
    outputs: Sequence[Batch] | None,
  ) -> tuple[Mapping[str, Any], list[dict[str, np.ndarray]]]:
    """Trains a network.

    Args:
      name: of its family.
      teachers: whom it learns from; they look their outputs up in the batch.
      distillation: how teachers are put together.
      outputs: of the teacher, by batch, see `outputs_of`.

    Returns:
      The trained variables, and metrics by step.
    """
    module = self.model(name)
    objective = distill.create_objective(module, teachers, distillation)
    optimizer, schedule = optim.create_optimizer(self._config.optim)
    init = step_lib.make_init(module, optimizer, self._mesh, objective)
    state = init(jax.random.key(0))
    train_step = step_lib.make_train_step(
      module, optimizer, schedule, self._config.losses, objective, self._mesh
    )
    history = []
    for i, batch in enumerate(self._batches):
      extra = outputs[i] if outputs else {}
      batch = sharding.put_batch(batch | extra, self._mesh)
      state, metrics = train_step(state, {}, batch)
      history.append(metrics)
    return state.variables, jax.device_get(history)

  def outputs_of(self, name: str, variables: Mapping[str, Any]) -> list[Batch]:
    """What a trained network makes of every batch, as keys of a batch."""
    teacher = self.teacher(name)

    @jax.jit
    def apply(variables: Mapping[str, Any], batch: Batch) -> Batch:
      out = distill.teacher_outputs({name: teacher}, {name: variables}, batch)
      keys = ("embedding", "logits")
      return {f"{_PREFIX}{k}": out[name][k] for k in keys if k in out[name]}

    return [
      jax.device_get(apply(variables, sharding.put_batch(b, self._mesh)))
      for b in self._batches
    ]

  def teacher(self, name: str, **changes: Any) -> distill.Teacher:
    """A teacher with GaitKD's weights."""
    config = config_lib.teacher(ConfigDict(FAMILIES[name]))
    made = distill.create_teachers({name: config})[name]
    return dataclasses.replace(made, module=self.model(name), **changes)


def pair(
  experiments: Experiments,
  student: str,
  teacher: str,
  outputs: Sequence[Batch],
) -> tuple[str, Sequence[str]]:
  """Distils once.

  Returns:
    The cell of the matrix, and what was left out.
  """
  module = experiments.model(student)
  lookup = functools.partial(_look_up, outputs[0].keys())
  source = experiments.teacher(teacher, lookup=lookup)
  marks = ""
  if _width(module) != _width(source.module):
    source = dataclasses.replace(source, connector=True)
    marks += "c"
  distillation = dict(decision="sum", boundary="sum", parts="truncate")
  if module.bins != source.module.bins:
    distillation["parts"] = "overlap"
    marks += "o"
  teachers = {teacher: source}
  notes = distill.check_compatible(module, student, teachers, distillation)
  _, history = experiments.run(student, teachers, distillation, outputs)

  def weighted(metrics: Mapping[str, np.ndarray]) -> float:
    decision = metrics.get(f"decision/{teacher}", 0.0)
    return decision + 0.003 * metrics[f"boundary/{teacher}"]

  first, last = weighted(history[0]), weighted(history[-1])
  if not np.isfinite([m["loss"] for m in history]).all():
    raise errors.UserError(f"{student} from {teacher}: a loss is not finite")
  level = "DB" if f"decision/{teacher}" in history[0] else "B"
  return f"{level}{marks} {100 * (last / first - 1):+.0f}%", notes


def _width(module: nn.Module) -> int:
  """The width of a network's embedding."""
  clips = np.zeros((1, 2, 64, 44, module.in_channels), np.float32)
  out = jax.eval_shape(
    lambda: module.init_with_output(jax.random.key(0), clips)[0]
  )
  return out["embedding"].shape[-1]


def _look_up(keys: Sequence[str], batch: Batch) -> Batch:
  return {key.removeprefix(_PREFIX): batch[key] for key in keys}


def main(argv: list[str]) -> None:
  """Prints the matrix."""
  del argv
  names = _FAMILIES.value or list(FAMILIES)
  for name in names:
    if name not in FAMILIES:
      raise errors.UserError(
        f"--families has {name!r}; give some of {', '.join(FAMILIES)}"
      )
  experiments = Experiments(default_config(), _STEPS.value)
  outputs, start = {}, time.monotonic()
  for name in tqdm.tqdm(names, desc="teachers", disable=None):
    variables, _ = experiments.run(name, {}, None, None)
    outputs[name] = experiments.outputs_of(name, variables)
  width = max(map(len, names)) + 2
  print(" " * width + "".join(f"{name:>16}" for name in names), flush=True)
  reasons = []
  for student in names:
    cells = []
    for teacher in names:
      cell, notes = (
        ("-", ())
        if teacher == student
        else pair(experiments, student, teacher, outputs[teacher])
      )
      cells.append(f"{cell:>16}")
      reasons += [f"{student} from {teacher}: {note}" for note in notes]
    print(f"{student:<{width}}" + "".join(cells), flush=True)
  print("\n".join(reasons))
  minutes = (time.monotonic() - start) / 60
  print(f"{len(names)} families, {_STEPS.value} steps each, {minutes:.1f} min")


if __name__ == "__main__":
  cli.run(main)
