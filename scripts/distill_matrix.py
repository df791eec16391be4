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

import dataclasses
import functools
import time

from absl import flags
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


class Trials:
  """Networks that are trained on the same batches."""

  def __init__(self, config: ConfigDict, steps: int):
    self._config = config
    self._mesh = sharding.create_mesh(1)
    split = training.training_split(config)
    self.classes = split.num_classes
    batches = training.train_batches(config, split, 0)
    self._batches = [next(batches) for _ in range(steps)]

  def model(self, name: str):
    """A network of a family, with a classifier where the family has one."""
    options = dict(FAMILIES[name])
    if "num_classes" in models.config_keys(options["name"]):
      options["num_classes"] = self.classes
    return models.create_model(options)

  def run(self, name: str, teachers, distillation, said):
    """Trains a network; `said`, by batch, is what the teachers say of it.

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
      batch = sharding.put_batch(batch | (said[i] if said else {}), self._mesh)
      state, metrics = train_step(state, {}, batch)
      history.append(metrics)
    return state.variables, jax.device_get(history)

  def says(self, name: str, variables):
    """What a trained network says of every batch."""
    teacher = self.teacher(name)

    @jax.jit
    def teach(variables, batch):
      out = distill.teacher_outputs({name: teacher}, {name: variables}, batch)
      keys = ("embedding", "logits")
      return {f"taught/{k}": out[name][k] for k in keys if k in out[name]}

    return [
      jax.device_get(teach(variables, sharding.put_batch(b, self._mesh)))
      for b in self._batches
    ]

  def teacher(self, name: str, **changes):
    """A teacher with GaitKD's weights."""
    config = config_lib.teacher(ConfigDict(FAMILIES[name]))
    made = distill.create_teachers({name: config})[name]
    return dataclasses.replace(made, module=self.model(name), **changes)


def pair(trials: Trials, student: str, teacher: str, said):
  """Distils once.

  Returns:
    The cell of the matrix, and what was left out.
  """
  module = trials.model(student)
  lookup = functools.partial(_look_up, said[0].keys())
  taught = trials.teacher(teacher, lookup=lookup)
  shapes = [
    jax.eval_shape(
      lambda m=m: m.init_with_output(
        jax.random.key(0),
        np.zeros((1, 2, 64, 44, m.in_channels), np.float32),
      )[0]
    )
    for m in (module, taught.module)
  ]
  widths = [shape["embedding"].shape[-1] for shape in shapes]
  marks = ""
  if widths[0] != widths[1]:
    taught = dataclasses.replace(taught, connector=True)
    marks += "c"
  distillation = dict(decision="sum", boundary="sum", parts="truncate")
  if module.bins != taught.module.bins:
    distillation["parts"] = "overlap"
    marks += "o"
  teachers = {teacher: taught}
  notes = distill.check_compatible(module, student, teachers, distillation)
  _, history = trials.run(student, teachers, distillation, said)

  def asked(metrics):
    decision = metrics.get(f"decision/{teacher}", 0.0)
    return decision + 0.003 * metrics[f"boundary/{teacher}"]

  first, last = asked(history[0]), asked(history[-1])
  if not np.isfinite([m["loss"] for m in history]).all():
    raise errors.UserError(f"{student} from {teacher}: a loss is not finite")
  level = "DB" if f"decision/{teacher}" in history[0] else "B"
  return f"{level}{marks} {100 * (last / first - 1):+.0f}%", notes


def _look_up(keys, batch):
  return {key.removeprefix("taught/"): batch[key] for key in keys}


def main(argv: list[str]) -> None:
  """Prints the matrix."""
  del argv
  names = _FAMILIES.value or list(FAMILIES)
  for name in names:
    if name not in FAMILIES:
      raise errors.UserError(
        f"--families has {name!r}; give some of {', '.join(FAMILIES)}"
      )
  trials = Trials(default_config(), _STEPS.value)
  said, start = {}, time.monotonic()
  for name in tqdm.tqdm(names, desc="teachers", disable=None):
    said[name] = trials.says(name, trials.run(name, {}, None, None)[0])
  width = max(map(len, names)) + 2
  print(" " * width + "".join(f"{name:>16}" for name in names), flush=True)
  reasons = []
  for student in names:
    cells = []
    for teacher in names:
      cell, notes = (
        ("-", ())
        if teacher == student
        else pair(trials, student, teacher, said[teacher])
      )
      cells.append(f"{cell:>16}")
      reasons += [f"{student} from {teacher}: {note}" for note in notes]
    print(f"{student:<{width}}" + "".join(cells), flush=True)
  print("\n".join(reasons))
  minutes = (time.monotonic() - start) / 60
  print(f"{len(names)} families, {_STEPS.value} steps each, {minutes:.1f} min")


if __name__ == "__main__":
  cli.run(main)
