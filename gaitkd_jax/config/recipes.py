"""Recipes that several config files share."""

import os
import pathlib

from ml_collections import ConfigDict

from gaitkd_jax.config import defaults
from gaitkd_jax.config import networks

# OpenGait's for residual networks, by data set: identities and sequences of a
# batch, steps after which the learning rate falls, steps in all.
SCHEDULES = dict(
  casiab=((8, 16), (20_000, 40_000, 50_000), 60_000),
  oumvlp=((32, 8), (60_000, 80_000, 100_000), 120_000),
  grew=((32, 4), (80_000, 120_000, 150_000), 180_000),
  gait3d=((32, 4), (20_000, 40_000, 50_000), 60_000),
  ccpg=((8, 16), (20_000, 40_000, 50_000), 60_000),
  sustech1k=((8, 8), (20_000, 30_000, 40_000), 50_000),
  hid=((16, 8), (20_000, 40_000), 60_000),
)
# Of GaitKD, by data set: blocks of the DeepGaitV2 that teaches, frames of a
# clip.
_GAITKD = dict(
  casiab=((1, 1, 1, 1), 30),
  grew=((1, 4, 4, 1), 30),
  gait3d=((1, 4, 4, 1), 30),
  ccpg=((1, 1, 1, 1), 30),
  sustech1k=((1, 1, 1, 1), 10),
)


def supervised(
  data: str,
  model: ConfigDict,
  clip: ConfigDict,
  augment: ConfigDict | None = None,
) -> ConfigDict:
  """One network on one benchmark, as OpenGait trains it.

  Batch, learning rate and steps are those of `SCHEDULES`, for the caller to
  change where a network has its own. On CASIA-B it computes in float32; else
  bfloat16 takes the place of OpenGait's float16.

  Args:
    data: name of the benchmark.
    model: of the network; its number of classes is set here.
    clip: see `defaults.clip`.
    augment: probabilities; None for no augmentation.

  Returns:
    The config.
  """
  c = defaults.default()
  c.dtype = "float32" if data == "casiab" else "bfloat16"
  c.model = model
  defaults.benchmark(c, data)
  c.clip = clip
  c.augment = defaults.augment() if augment is None else augment
  batch, milestones, c.train.steps = SCHEDULES[data]
  c.batch.identities, c.batch.sequences = batch
  c.optim.schedule = defaults.multistep(*milestones)
  return c


def gaitkd(data: str, second: ConfigDict | None = None) -> ConfigDict:
  """GaitKD on a benchmark: GaitBase taught by DeepGaitV2-P3D.

  The objective has GaitKD's published weights (decision 1, boundary 0.003,
  temperature 4); all else is OpenGait's recipe for DeepGaitV2 on these data.

  Args:
    data: "casiab", "grew", "gait3d", "ccpg" or "sustech1k".
    second: the network of a second teacher.

  Returns:
    The config; the teachers' checkpoints are empty, for the user to name.
  """
  blocks, frames = _GAITKD[data]
  c = supervised(
    data,
    networks.gaitbase(),
    defaults.clip("fixed_ordered", frames=frames, skip=4),
    defaults.da_augment(),
  )
  c.teachers.deepgaitv2 = defaults.teacher(networks.deepgaitv2(blocks=blocks))
  if second is not None:
    c.teachers[second.name] = defaults.teacher(second)
  defaults.benchmark(c, data)  # of the teachers too
  return c


def walkers_student() -> ConfigDict:
  """The embedded data and the student of `configs/walkers.py`, alone."""
  c = defaults.default()
  c.data = defaults.data("walkers", variant="small")
  # The full-resolution stage is left out: it is most of the time on a CPU.
  c.model = networks.gaitbase(
    channels=(8, 16, 24, 32),
    blocks=(0, 1, 1, 1),
    embedding_dim=32,
    num_classes=32,
  )
  _walkers_schedule(c, steps=200)
  c.batch.identities, c.batch.sequences = 8, 4
  return c


def walkers_teacher() -> ConfigDict:
  """The first teacher of the embedded data, alone: a small DeepGaitV2-P3D."""
  c = defaults.default()
  c.data = defaults.data("walkers", variant="small")
  c.model = networks.deepgaitv2(
    channels=(8, 16, 32, 64), blocks=(0, 1, 1, 1), num_classes=32
  )
  _walkers_schedule(c, steps=1000)
  c.batch.identities, c.batch.sequences = 8, 6
  c.train.log_every, c.train.checkpoint_every = 50, 500
  return c


def walkers_teacher_maps() -> ConfigDict:
  """The second teacher of the embedded data, alone: a small SkeletonGait++."""
  c = defaults.default()
  c.data = defaults.data(
    "walkers", variant="small", modalities=defaults.MODALITIES
  )
  c.model = networks.skeletongaitpp(
    base_channels=8, blocks=(0, 1, 1, 1), num_classes=32
  )
  _walkers_schedule(c, steps=600)
  c.batch.identities, c.batch.sequences = 8, 4
  return c


def walkers_gaitkd(
  shipped: str | os.PathLike[str], teachers: int = 1
) -> ConfigDict:
  """GaitKD on the embedded data, taught by what is shipped.

  Args:
    shipped: the folder `shipped_teachers`.
    teachers: one, or two.

  Returns:
    The config.
  """
  shipped = pathlib.Path(shipped)
  c = walkers_student()
  c.teachers.deepgaitv2 = defaults.teacher(
    walkers_teacher().model, checkpoint=str(shipped / "walkers")
  )
  if teachers > 1:
    c.data.modalities = defaults.MODALITIES
    # The student is tested on what it takes.
    c.eval.data = defaults.data("walkers", variant="small")
    c.teachers.skeletongaitpp = defaults.teacher(
      walkers_teacher_maps().model, checkpoint=str(shipped / "walkers_maps")
    )
  return c


def without_teachers(c: ConfigDict) -> ConfigDict:
  """Leaves the student alone: the baseline of a distillation."""
  c.teachers, c.terms = ConfigDict(), ConfigDict()
  return c


def _walkers_schedule(c: ConfigDict, steps: int) -> None:
  """Sets what all networks of the embedded data train with."""
  c.clip.frames, c.clip.skip = 10, 4
  c.augment.flip, c.augment.erase = 0.2, 0.2
  c.train.steps = steps
  c.optim.name, c.optim.weight_decay = "adamw", 1e-4
  c.optim.learning_rate = 3e-3
  c.optim.schedule = defaults.onecycle(c)
  c.train.log_every, c.train.checkpoint_every = 20, 100
