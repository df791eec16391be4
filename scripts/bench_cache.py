"""Times training with cached teachers. Run it on an idle machine.

python scripts/bench_cache.py --config=configs/walkers.py

First it fills the cache of the config's teachers in a temporary folder, and
prints the bytes of a sequence and the seconds. Then it times training steps
without teachers, with cached ones, and with teachers on the device, in turns
and on the same batches, which are in memory already. The time of a step
includes reading the rows of the batch from the cache and bringing the batch to
the device. It prints medians and their ratios, and the seconds of making a
batch with the numbered clips of the cache and with new clips.
"""

import pathlib
import statistics
import tempfile
import time
from typing import Any

from absl import flags
import jax
from ml_collections import config_flags
import numpy as np

from data_pipelines import store
from data_pipelines import training
from gaitkd_jax import cli
from gaitkd_jax import config as config_lib
from gaitkd_jax import distill
from gaitkd_jax import errors
from gaitkd_jax import models
from gaitkd_jax import sharding
from gaitkd_jax.distill import cache as cache_lib
from gaitkd_jax.distill.cache import precompute
from gaitkd_jax.training import optim
from gaitkd_jax.training import step as step_lib

_CONFIG = config_flags.DEFINE_config_file("config", lock_config=True)
_STEPS = flags.DEFINE_integer("steps", 30, "timed steps of each kind", 1)
_WARM_UP = 3


class Training:
  """Training with one kind of teachers, a step at a time."""

  def __init__(
    self,
    config: Any,
    teachers: dict[str, distill.Teacher],
    frozen: dict[str, Any],
    stores: dict[str, cache_lib.Store],
  ):
    self._mesh = sharding.create_mesh()
    module = models.create_model(config.model, config.dtype)
    optimizer, schedule = optim.create_optimizer(config.optim, module)
    objective = distill.create_objective(module, teachers)
    choice = config.sharding.classifier
    init = step_lib.make_init(module, optimizer, self._mesh, objective, choice)
    self._state = init(jax.random.key(0))
    self._step = step_lib.make_train_step(
      module,
      optimizer,
      schedule,
      config.losses,
      objective,
      self._mesh,
      classifier=choice,
    )
    self._frozen, self._stores = frozen, stores

  def __call__(self, batch: dict[str, np.ndarray]) -> float:
    """Trains a step; returns its seconds."""
    start = time.perf_counter()
    batch = next(cache_lib.attach([batch], self._stores))
    self._state, metrics = self._step(
      self._state, self._frozen, sharding.put_batch(batch, self._mesh)
    )
    jax.block_until_ready((self._state, metrics))
    return time.perf_counter() - start


def make_batches(
  config: Any, split: store.SequenceStore, steps: int, cached: bool
) -> tuple[list[dict[str, np.ndarray]], float]:
  """Makes the first batches of a run; also returns the median seconds."""
  batches = training.train_batches(config, split, 0, cached)
  times, made = [], []
  for _ in range(steps + _WARM_UP):
    start = time.perf_counter()
    made.append(next(batches))
    times.append(time.perf_counter() - start)
  batches.close()
  return made, statistics.median(times[_WARM_UP:])


def measure(config: Any, steps: int, folder: pathlib.Path) -> None:
  """Fills the cache, times and prints."""
  for name, filled in precompute.fill(config, folder).items():
    print(
      f"{name}: {filled['bytes_per_sequence']} bytes a sequence, "
      f"{filled['seconds']:.1f} s to fill (compilation included)",
      flush=True,
    )
  split = training.training_split(config)
  on_device = distill.create_teachers(config.teachers, config.dtype)
  frozen = distill.restore_teachers(config, on_device, sharding.create_mesh())
  with_stores = config.copy_and_resolve_references()
  with with_stores.unlocked():
    for name, teacher in with_stores.teachers.items():
      teacher.cache = str(folder / name)
  looked_up = cache_lib.look_up(with_stores, on_device)
  data = cache_lib.describe_data(config.data, split)
  stores = cache_lib.open_stores(with_stores, data, frozen)
  _, seconds_new = make_batches(config, split, steps, cached=False)
  batches, seconds_cached = make_batches(config, split, steps, cached=True)
  print(
    f"making a batch: {seconds_cached:.4f} s with the clips of the cache, "
    f"{seconds_new:.4f} s with new ones",
    flush=True,
  )
  trainings = {
    "no teacher": Training(config, {}, {}, {}),
    "cached": Training(config, looked_up, {}, stores),
    "on the device": Training(config, on_device, frozen, {}),
  }
  times = {name: [] for name in trainings}
  for batch in batches:
    # In turns, so that a busy moment of the machine hits all alike.
    for name, step in trainings.items():
      times[name].append(step(batch))
  medians = {
    name: statistics.median(values[_WARM_UP:]) for name, values in times.items()
  }
  for name, median in medians.items():
    print(
      f"{name}: {median:.4f} s a step, "
      f"{median / medians['no teacher']:.3f} x no teacher",
      flush=True,
    )


def main(argv: list[str]) -> None:
  """Runs the benchmark."""
  del argv
  config = cli.config(_CONFIG)
  config_lib.check(config)
  if not config.teachers:
    raise errors.UserError("the config has no teachers; give another --config")
  print(
    f"{jax.device_count()} x {jax.devices()[0].device_kind}, jax "
    f"{jax.__version__}",
    flush=True,
  )
  with tempfile.TemporaryDirectory() as folder:
    measure(config, _STEPS.value, pathlib.Path(folder))


if __name__ == "__main__":
  cli.run(main)
