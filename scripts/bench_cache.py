"""Times training with cached teachers; on an idle machine.

python scripts/bench_cache.py --config=configs/walkers.py

Fills the stores of the config's teachers in a temporary folder and prints the
bytes of a sequence and the seconds. Then it times training steps without
teachers, with cached ones and with those on the device: in turns, and on the
same batches, which are in memory before. A step is reading the rows of its
batch, bringing it to the device, and the step there. It prints medians and
their ratios; and the seconds of making a batch with views and without.
"""

from collections.abc import Iterator
import pathlib
import statistics
import tempfile
import time
from typing import Any

from absl import flags
import jax
from ml_collections import config_flags
import numpy as np

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


class Run:
  """Training of one kind, a step at a time."""

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
    init = step_lib.make_init(module, optimizer, self._mesh, objective)
    self._state = init(jax.random.key(0))
    self._step = step_lib.make_train_step(
      module, optimizer, schedule, config.losses, objective, self._mesh
    )
    self._frozen, self._stores = frozen, stores

  def __call__(self, batch: dict[str, np.ndarray]) -> float:
    """Returns the seconds of a step."""
    start = time.perf_counter()
    batch = next(cache_lib.attach([batch], self._stores))
    self._state, metrics = self._step(
      self._state, self._frozen, sharding.put_batch(batch, self._mesh)
    )
    jax.block_until_ready((self._state, metrics))
    return time.perf_counter() - start


def train_batches(
  config: Any, split: Any, views: int
) -> Iterator[dict[str, np.ndarray]]:
  """Batches of the config, the same ones in every call."""
  from data_pipelines import pipeline

  return pipeline.train_batches(
    split,
    identities=config.batch.identities,
    sequences=config.batch.sequences,
    clip=pipeline.Clip(**config.clip),
    augment=pipeline.Augment(**config.augment),
    sampler=config.batch.sampler,
    seed=config.seed,
    views=views,
  )


def measure(config: Any, steps: int, folder: pathlib.Path) -> None:
  """Fills, times and prints."""
  for name, figures in precompute.fill(config, folder).items():
    print(
      f"{name}: {figures['bytes_per_sequence']} bytes a sequence, "
      f"{figures['seconds']:.1f} s to fill (compilation included)",
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
  seconds = {}
  for views in (0, config.cache.views):
    batches, times, kept = train_batches(config, split, views), [], []
    for _ in range(steps + _WARM_UP):
      start = time.perf_counter()
      kept.append(next(batches))
      times.append(time.perf_counter() - start)
    batches.close()
    seconds[views] = statistics.median(times[_WARM_UP:])
  print(
    f"making a batch: {seconds[config.cache.views]:.4f} s with views, "
    f"{seconds[0]:.4f} s without",
    flush=True,
  )
  runs = {
    "no teacher": Run(config, {}, {}, {}),
    "cached": Run(config, looked_up, {}, stores),
    "on the device": Run(config, on_device, frozen, {}),
  }
  times = {name: [] for name in runs}
  for batch in kept:
    for name, run in runs.items():  # in turns: a busy moment hits all alike
      times[name].append(run(batch))
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
