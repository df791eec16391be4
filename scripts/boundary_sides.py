"""What the signs of teachers' channels tell, and how far students follow them.

python scripts/boundary_sides.py --config=configs/walkers.py \
  --students=runs/walkers_baseline,runs/walkers

Of clips of the test split (`--config.data`, or `--config.eval.data`) it prints,
of every teacher: how far a channel lies from zero, |mean| / deviation; the bits
that its sign carries, of the embedding as it is and behind the neck; and the
share of channels that are one-sided, with one sign in 95 % of the clips. Of
every student, a workdir of the config's model: the share of signs on which it
agrees with the teacher, as they are and centred (the teacher's behind its neck,
the student's around its mean over these clips); half is chance.
"""

import itertools
from typing import Any

from absl import flags
import jax
from ml_collections import config_flags
import numpy as np

from data_pipelines import datasets
from data_pipelines import pipeline
from data_pipelines import store
from gaitkd_jax import checkpoint
from gaitkd_jax import cli
from gaitkd_jax import config as config_lib
from gaitkd_jax import distill
from gaitkd_jax import errors
from gaitkd_jax import losses
from gaitkd_jax import models
from gaitkd_jax import placement
from gaitkd_jax import sharding
from gaitkd_jax.models import inputs

_CONFIG = config_flags.DEFINE_config_file("config", lock_config=True)
_STUDENTS = flags.DEFINE_list("students", [], "workdirs of the config's model")
_CLIPS = flags.DEFINE_integer("clips", 320, "of the test split", 2)
_BATCH = 32

Outputs = dict[str, np.ndarray]


def read_clips(config: Any, count: int) -> list[dict[str, np.ndarray]]:
  """Batches of clips of the test split, evenly drawn, not augmented."""
  data = config.eval.data or config.data
  if set(config.data.modalities) - set(data.modalities):
    data = config.data  # the teachers read what the student is not tested on
  split = store.SequenceStore.from_builder(
    datasets.prepare(data), "test", data.cache_gib
  )
  batches = pipeline.clip_batches(
    split,
    batch_size=_BATCH,
    clip=pipeline.Clip(**config.clip),
    augment=pipeline.Augment(**config_lib.augment()),
    seed=config.seed,
    clips_per_sequence=1,
  )
  whole = len(split) // _BATCH
  wanted = -(-count // _BATCH)
  step = max(1, whole // wanted)
  keys = (*config_lib.MODALITIES, "lengths")
  return [
    {key: batch[key] for key in keys if key in batch}
    for batch in itertools.islice(batches, 0, whole, step)
  ][:wanted]


def outputs_of(
  module: models.GaitNetwork, variables: Any, batches: list[dict[str, Any]]
) -> Outputs:
  """A network's "embedding", and "neck" if it has one, of all clips."""

  @jax.jit
  def apply(variables: Any, batch: Any) -> dict[str, jax.Array]:
    x = inputs.network_input(batch, module.in_channels)
    out = module.apply(variables, x, batch.get("lengths"))
    return {key: out[key] for key in ("embedding", "neck") if key in out}

  found = [jax.device_get(apply(variables, batch)) for batch in batches]
  return {k: np.concatenate([one[k] for one in found]) for k in found[0]}


def describe_teacher(name: str, outputs: Outputs) -> str:
  """A row of the table of teachers."""
  embedding = outputs["embedding"]
  distance = np.abs(embedding.mean(0)) / (embedding.std(0) + 1e-12)
  cells = [f"{distance.mean():.2f}"]
  for key in ("embedding", "neck"):
    if key not in outputs:
      cells += ["-", "-"]
      continue
    share = np.mean(outputs[key] > 0, axis=0)
    one_sided = np.mean(np.maximum(share, 1 - share) >= 0.95)
    bits = float(losses.boundary_bits(outputs[key], outputs[key]))
    cells += [f"{bits:.2f}", f"{100 * one_sided:.0f} %"]
  return f"| {name} | " + " | ".join(cells) + " |"


def describe_student(workdir: str, student: Outputs, teacher: Outputs) -> str:
  """The shares of agreement, as cells."""
  cells = []
  for key, centre in (("embedding", "none"), ("neck", "neck")):
    if key not in teacher:
      cells.append("-")
      continue
    share = losses.boundary_agreement(
      student["embedding"], teacher[key], centre=centre
    )
    cells.append(f"{100 * float(share):.1f} %")
  return f"| {workdir} | " + " | ".join(cells) + " |"


def main(argv: list[str]) -> None:
  """Prints both tables."""
  del argv
  config = _CONFIG.value
  config_lib.check(config)
  if not config.teachers:
    raise errors.UserError("the config has no teacher; give one with teachers")
  mesh = sharding.create_mesh(1)
  batches = read_clips(config, _CLIPS.value)
  teachers = distill.create_teachers(config.teachers, config.dtype)
  frozen = distill.restore_teachers(config, teachers, mesh)
  said = {
    name: outputs_of(teacher.module, frozen[name], batches)
    for name, teacher in teachers.items()
  }
  print(f"{_BATCH * len(batches)} clips of the test split\n")
  print(
    "| teacher | mean / deviation | bits | one-sided | bits behind the", end=""
  )
  print(" neck | one-sided |\n|---|---|---|---|---|---|")
  for name, outputs in said.items():
    print(describe_teacher(name, outputs))
  if not _STUDENTS.value:
    return
  module = models.create_model(config.model, config.dtype)
  place = placement.place(module, config.sharding.classifier, mesh)
  init = jax.jit(lambda key: models.init_variables(module, key))
  for name, outputs in said.items():
    print(f"\n| student, with {name} | signs agree | centred |\n|---|---|---|")
    for workdir in _STUDENTS.value:
      variables = checkpoint.restore_model(
        workdir, jax.eval_shape(init, jax.random.key(0)), place
      )
      student = outputs_of(module, variables, batches)
      if student["embedding"].shape[-1] != outputs["embedding"].shape[-1]:
        print(f"| {workdir} | - | - |")
        continue
      print(describe_student(workdir, student, outputs))


if __name__ == "__main__":
  cli.run(main)
