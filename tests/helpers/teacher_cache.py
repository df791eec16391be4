"""Stores of two small teachers' outputs, and processes that fill them."""

import subprocess
import sys

from data_pipelines import pipeline
from data_pipelines import training
from gaitkd_jax import config as config_lib
from gaitkd_jax import distill
from gaitkd_jax import sharding
from gaitkd_jax.distill import cache as cache_lib
from tests.helpers import configs
from tests.helpers import paths

CLIPS = 2  # of every sequence
FILL = """
import sys
import jax
jax.config.update("jax_platforms", "cpu")
jax.config.update("jax_num_cpu_devices", int(sys.argv[4]))
if len(sys.argv) > 5:
  port, process = sys.argv[5:]
  jax.distributed.initialize(f"localhost:{port}", 2, int(process))
from gaitkd_jax.distill.cache import precompute
from tests.helpers import teacher_cache
config = teacher_cache.make_config(sys.argv[1], sys.argv[2])
precompute.fill(config, sys.argv[3])
"""


def make_config(prepared, trained, **changes):
  """The smoke config with two teachers of `trained`, and few clips."""
  config = configs.smoke_config(prepared).copy_and_resolve_references()
  with config.unlocked():
    config.teachers.gaitbase = config_lib.teacher(
      config.model.copy_and_resolve_references()
    )
    for name, teacher in config.teachers.items():
      teacher.checkpoint = f"{trained}/{name}"
    config.batch.identities = 8
    config.cache.views = CLIPS
    config.cache.dtype = "float32"
    config.update_from_flattened_dict(changes)
  return config


def contents(folder):
  """The bytes of every file, by its path."""
  return {
    str(path.relative_to(folder)): path.read_bytes()
    for path in sorted(folder.rglob("*"))
    if path.is_file()
  }


def with_stores(config, folder):
  """The config of a training with the stores of `folder`."""
  config = config.copy_and_resolve_references()
  for name, teacher in config.teachers.items():
    teacher.cache = str(folder / name)
  return config


def open_stores(config, folder, variables=None):
  """Opens stores of `folder` as training does."""
  config = with_stores(config, folder)
  split = training.training_split(config)
  data = cache_lib.describe_data(config.data, split)
  return cache_lib.open_stores(config, data, variables or {}), split


def restored(config):
  """The teachers and their variables."""
  teachers = distill.create_teachers(config.teachers)
  mesh = sharding.create_mesh()
  return teachers, distill.restore_teachers(config, teachers, mesh)


def batches_of(config, split):
  """Batches of numbered clips, without end."""
  return pipeline.train_batches(
    split,
    identities=config.batch.identities,
    sequences=config.batch.sequences,
    clip=pipeline.Clip(**config.clip),
    augment=pipeline.Augment(**config.augment),
    seed=config.seed,
    clips_per_sequence=CLIPS,
  )


def start_filling(log, *arguments):
  """Starts a process that fills stores; see `FILL` for its arguments."""
  with log.open("w") as file:
    return subprocess.Popen(
      [sys.executable, "-c", FILL, *map(str, arguments)],
      cwd=paths.ROOT,
      stdout=file,
      stderr=subprocess.STDOUT,
    )
