"""Times training steps and forward passes of any config; imports no TensorFlow.

python scripts/bench_step.py --config=configs/casiab.py --sequences=8 \
  --frames=10

For float32 and bfloat16, with and without the teachers (untrained, on random
silhouettes): compilation, seconds a step and a forward pass (median of
--repeats), sequences a second, achieved FLOP/s (twice the multiply-accumulates
of convolutions and products; a backward pass counts as two forward ones) and
peak memory.
"""

import resource
import statistics
import time

from absl import flags
import jax
from ml_collections import config_flags
import numpy as np

from gaitkd_jax import cli
from gaitkd_jax import cost
from gaitkd_jax import distill
from gaitkd_jax import errors
from gaitkd_jax import models
from gaitkd_jax import optim
from gaitkd_jax import sharding
from gaitkd_jax import step as step_lib

_CONFIG = config_flags.DEFINE_config_file("config", lock_config=True)
_SEQUENCES = flags.DEFINE_integer(
  "sequences", 0, "clips of the global batch; 0: the config's"
)
_FRAMES = flags.DEFINE_integer("frames", 0, "of a clip; 0: the config's")
_REPEATS = flags.DEFINE_integer("repeats", 5, "timed steps", lower_bound=1)
_DTYPES = flags.DEFINE_list("dtypes", ["float32", "bfloat16"], "to time")


def random_batch(n: int, s: int, classes: int) -> dict[str, np.ndarray]:
  """Silhouettes of noise; pairs of clips share a label."""
  rng = np.random.default_rng(0)
  return {
    "silhouettes": rng.integers(0, 2, (n, s, 64, 44), np.uint8) * 255,
    "labels": (np.arange(n, dtype=np.int32) // 2) % max(classes, 1),
  }


def seconds_each(function, repeats: int) -> tuple[float, float]:
  """Returns the first call's seconds and the median of the others."""
  times = []
  for _ in range(repeats + 1):
    start = time.perf_counter()
    jax.block_until_ready(function())
    times.append(time.perf_counter() - start)
  return times[0], statistics.median(times[1:])


def peak_memory() -> tuple[str, float]:
  """GiB: of the device where it tells, else of this process so far."""
  stats = jax.local_devices()[0].memory_stats() or {}
  if "peak_bytes_in_use" in stats:
    return "device", stats["peak_bytes_in_use"] / 2**30
  usage = resource.getrusage(resource.RUSAGE_SELF)
  return "process", usage.ru_maxrss / 2**20


def bench(config, dtype: str, with_teachers: bool) -> None:
  """Times one combination and prints its line."""
  n = _SEQUENCES.value or config.batch.identities * config.batch.sequences
  s = _FRAMES.value or config.clip.frames
  mesh = sharding.create_mesh()
  if n % mesh.size:
    raise errors.UserError(f"--sequences={n} over {mesh.size} devices")
  module = models.create_model(config.model, dtype)
  chosen = config.teachers if with_teachers else {}
  teachers = distill.create_teachers(chosen, dtype)
  optimizer, schedule = optim.create_optimizer(config.optim)
  key = jax.random.key(0)
  state = step_lib.make_init(module, optimizer, mesh)(key)
  frozen = jax.device_put(
    {
      name: models.init_variables(t.module, key) for name, t in teachers.items()
    },
    sharding.replicated(mesh),
  )
  host = random_batch(n, s, config.model.get("num_classes", 0))
  batch = sharding.put_batch(host, mesh)
  whole = sharding.put_batch(
    {
      "silhouettes": host["silhouettes"],
      "lengths": np.full(n, s, np.int32),
      "index": np.arange(n, dtype=np.int32),
      "mask": np.ones(n, bool),
    },
    mesh,
  )
  embed_step = step_lib.make_embed_step(module, mesh)
  _, forward = seconds_each(
    lambda: embed_step(state.variables, whole), _REPEATS.value
  )
  train_step = step_lib.make_train_step(
    module, optimizer, schedule, config.losses, teachers, mesh
  )

  def one_step():
    nonlocal state
    state, metrics = train_step(state, frozen, batch)
    return metrics

  compilation, step = seconds_each(one_step, _REPEATS.value)
  gmac = cost.gmac_per_frame(module) * n * s
  taught = sum(cost.gmac_per_frame(t.module) for t in teachers.values()) * n * s
  where, memory = peak_memory()
  print(
    f"{dtype:8} teachers {len(teachers)}: step {step:.4f} s "
    f"({n / step:.1f} sequences/s, {2e-3 * (3 * gmac + taught) / step:.3f} "
    f"TFLOP/s), forward {forward:.4f} s ({n / forward:.1f} sequences/s, "
    f"{2e-3 * gmac / forward:.3f} TFLOP/s), compilation "
    f"{compilation - step:.1f} s, peak {memory:.2f} GiB ({where})",
    flush=True,
  )


def main(argv: list[str]) -> None:
  """Times all combinations."""
  del argv
  config = cli.config(_CONFIG)
  print(
    f"{config.model.name}, {jax.device_count()} x "
    f"{jax.devices()[0].device_kind}, jax {jax.__version__}"
  )
  for dtype in _DTYPES.value:
    for with_teachers in (False, True) if len(config.teachers) else (False,):
      bench(config, dtype, with_teachers)


if __name__ == "__main__":
  cli.run(main)
