"""One recipe on several data sets, for objectives that are compared."""

from collections.abc import Callable
import pathlib

from ml_collections import ConfigDict

from gaitkd_jax.config import defaults
from gaitkd_jax.config import networks
from gaitkd_jax.config import variants

# GaitKD's recipes: blocks of the DeepGaitV2 that teaches, frames of a clip,
# identities and sequences of a batch, milestones of the learning rate, steps.
_BENCHMARKS = dict(
  gait3d=((1, 4, 4, 1), 30, (32, 4), (20_000, 40_000, 50_000), 60_000),
  ccpg=((1, 1, 1, 1), 30, (8, 16), (20_000, 40_000, 50_000), 60_000),
  sustech1k=((1, 1, 1, 1), 10, (8, 8), (20_000, 30_000, 40_000), 50_000),
)


def distillation(
  file: str,
  variant: str,
  change: Callable[[ConfigDict], None],
  teachers: int = 1,
) -> ConfigDict:
  """A student, its teachers and GaitKD's two levels, then `change`.

  Args:
    file: of the config, three folders above which lie the shipped teachers.
    variant: empty for the embedded data; "gait3d", "ccpg" or "sustech1k";
      each with "smoke" or "_smoke" behind it for a trial of three steps.
    change: sets the objective.
    teachers: one (DeepGaitV2) or two (on the embedded data SkeletonGait++, on
      a benchmark SwinGait).

  Returns:
    The config.

  Raises:
    errors.UserError: unknown variant.
  """
  name = variant.removesuffix("smoke").removesuffix("_")
  c = defaults.default()
  if name in _BENCHMARKS:
    _benchmark(c, name, teachers)
  else:
    _walkers(c, pathlib.Path(file).parents[2] / "shipped_teachers", teachers)
  change(c)
  trial = "smoke" if variant.endswith("smoke") else ""
  if name in _BENCHMARKS or not name:
    return variants.with_variant(c, trial)
  return variants.with_variant(c, variant, **dict.fromkeys(_BENCHMARKS))


def silence_gaitkd(c: ConfigDict) -> None:
  """Takes GaitKD's two levels away, for a rival in their place."""
  for teacher in c.teachers.values():
    teacher.decision_weight = teacher.boundary_weight = 0.0


def warm_up(c: ConfigDict) -> ConfigDict:
  """A weight that rises to 1 within a twelfth of `train.steps`.

  As in the recipes of DKD, GDKD and grouped distillation: 20 of 240 epochs.
  """
  steps = c.train.get_ref("steps") // 12 + 1  # a trial has too few
  return ConfigDict(dict(kind="linear", start=0.0, end=1.0, steps=steps))


def walkers_student(c: ConfigDict) -> None:
  """Sets the embedded data and the student of `configs/walkers.py`."""
  c.data = defaults.data("walkers", variant="small")
  # The full-resolution stage is left out: it is most of the time on a CPU.
  c.model = networks.gaitbase(
    channels=(8, 16, 24, 32),
    blocks=(0, 1, 1, 1),
    embedding_dim=32,
    num_classes=32,
  )
  c.clip.frames, c.clip.skip = 10, 4
  c.augment.flip, c.augment.erase = 0.2, 0.2
  c.batch.identities, c.batch.sequences = 8, 4
  c.train.steps = 200
  c.optim.name, c.optim.weight_decay = "adamw", 1e-4
  c.optim.learning_rate = 3e-3
  c.optim.schedule = defaults.onecycle(c)
  c.train.log_every, c.train.checkpoint_every = 20, 100


def _walkers(c: ConfigDict, folder: pathlib.Path, teachers: int) -> None:
  walkers_student(c)
  c.teachers.deepgaitv2 = defaults.teacher(
    networks.deepgaitv2(
      channels=(8, 16, 32, 64), blocks=(0, 1, 1, 1), num_classes=32
    ),
    checkpoint=str(folder / "walkers"),
  )
  if teachers > 1:
    c.data.modalities = defaults.MODALITIES
    # The student is tested on what it takes.
    c.eval.data = defaults.data("walkers", variant="small")
    c.teachers.skeletongaitpp = defaults.teacher(
      networks.skeletongaitpp(
        base_channels=8, blocks=(0, 1, 1, 1), num_classes=32
      ),
      checkpoint=str(folder / "walkers_maps"),
    )


def _benchmark(c: ConfigDict, name: str, teachers: int) -> None:
  blocks, frames, batch, milestones, steps = _BENCHMARKS[name]
  c.dtype = "bfloat16"
  c.model = networks.gaitbase()
  c.teachers.deepgaitv2 = defaults.teacher(networks.deepgaitv2(blocks=blocks))
  if teachers > 1:
    c.teachers.swingait = defaults.teacher(networks.swingait())
  defaults.benchmark(c, name)
  c.clip = defaults.clip("fixed_ordered", frames=frames, skip=4)
  c.augment = defaults.da_augment()
  c.batch.identities, c.batch.sequences = batch
  c.optim.schedule = defaults.multistep(*milestones)
  c.train.steps = steps
