"""Times training steps and forward passes; imports no TensorFlow.

python scripts/bench_step.py --config=configs/casiab.py --sequences=8 \
  --frames=10
python scripts/bench_step.py --sequences=8 --frames=10
python scripts/bench_step.py --families=gaitbase,deepgaitv2-3d \
  --dtypes=bfloat16

Of a config with and without its teachers, or of families in their default
sizes (all where none is named), in float32 and bfloat16, untrained and on
random silhouettes: compilation, seconds a step and a forward pass (median of
--repeats), sequences a second, achieved FLOP/s (twice the multiply-accumulates
of convolutions and products; a backward pass counts as two forward ones) and
peak memory. The roofline is the rate of a large matrix product in the same
dtype, measured in this process, times the devices; steps and forward passes are
also given as a share of it.
"""

import functools
import resource
import statistics
import time

from absl import flags
import jax
import jax.numpy as jnp
from ml_collections import ConfigDict
from ml_collections import config_flags
import numpy as np

from gaitkd_jax import cli
from gaitkd_jax import config as config_lib
from gaitkd_jax import cost
from gaitkd_jax import distill
from gaitkd_jax import errors
from gaitkd_jax import models
from gaitkd_jax import sharding
from gaitkd_jax.evaluation import embed
from gaitkd_jax.models import part_network
from gaitkd_jax.training import optim
from gaitkd_jax.training import step as step_lib

_CONFIG = config_flags.DEFINE_config_file("config", lock_config=True)
_FAMILIES = flags.DEFINE_list(
  "families", [], "instead of --config, e.g. gaitbase,deepgaitv2-p3d"
)
_SEQUENCES = flags.DEFINE_integer(
  "sequences", 0, "clips of the global batch; 0: the config's"
)
_FRAMES = flags.DEFINE_integer("frames", 0, "of a clip; 0: the config's")
_REPEATS = flags.DEFINE_integer("repeats", 5, "timed steps", lower_bound=1)
_DTYPES = flags.DEFINE_list("dtypes", ["float32", "bfloat16"], "to time")
_SIZES = (512, 1024, 2048, 4096, 8192)  # of the matrices of the roofline
_ENOUGH_S = 0.05  # a product that takes this long is large


def random_batch(n: int, s: int, classes: int) -> dict[str, np.ndarray]:
  """Silhouettes and heat maps of noise; pairs of clips share a label."""
  rng = np.random.default_rng(0)
  return {
    "silhouettes": rng.integers(0, 2, (n, s, 64, 44), np.uint8) * 255,
    "heatmaps": rng.integers(0, 256, (n, s, 64, 44, 2), np.uint8),
    "labels": (np.arange(n, dtype=np.int32) // 2) % max(classes, 1),
  }


def families() -> dict[str, dict[str, str]]:
  """Every network, and every mode of DeepGaitV2, as a model config by name."""
  known = {}
  for name in models.MODELS:
    if name == "deepgaitv2":
      for mode in part_network.BLOCKS:
        known[f"{name}-{mode}"] = dict(name=name, mode=mode)
    else:
      known[name] = dict(name=name)
  return known


def family_configs(names: list[str]) -> dict[str, ConfigDict]:
  """Configs of families in their default sizes, for CASIA-B's classes."""
  known = families()
  configs = {}
  for name in names or known:
    if name not in known:
      raise errors.UserError(
        f"--families has {name!r}; give some of {', '.join(known)}"
      )
    c = configs[name] = config_lib.default()
    model = dict(known[name])
    if hasattr(models.create_model(model), "num_classes"):
      model["num_classes"] = config_lib.TRAIN_SUBJECTS["casiab"]
    c.model = ConfigDict(model)
  return configs


@functools.cache
def roofline(dtype: str) -> float:
  """FLOP/s of all devices together: the best of some square products."""
  best = 0.0
  product = jax.jit(jnp.matmul)
  for size in _SIZES:
    x = jnp.ones((size, size), dtype)
    seconds = min(
      seconds_each(lambda x=x: product(x, x), 1)[1] for _ in range(5)
    )
    best = max(best, 2 * size**3 / seconds)
    if seconds > _ENOUGH_S:
      break
  return best * jax.device_count()


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


def bench(name: str, config, dtype: str, with_teachers: bool) -> None:
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
  objective = distill.create_objective(
    module,
    teachers,
    config.distillation,
    config.terms if with_teachers else {},
    config.losses.cross_entropy.scale,
  )
  state = step_lib.make_init(module, optimizer, mesh, objective)(key)
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
      **{key: host[key] for key in config_lib.MODALITIES},
      "lengths": np.full(n, s, np.int32),
      "index": np.arange(n, dtype=np.int32),
      "mask": np.ones(n, bool),
    },
    mesh,
  )
  embed_step = embed.make_embed_step(module, mesh)
  _, forward = seconds_each(
    lambda: embed_step(state.variables, whole), _REPEATS.value
  )
  train_step = step_lib.make_train_step(
    module, optimizer, schedule, config.losses, objective, mesh
  )

  def one_step():
    nonlocal state
    state, metrics = train_step(state, frozen, batch)
    return metrics

  compilation, step = seconds_each(one_step, _REPEATS.value)
  gmac = cost.gmac_per_frame(module) * n * s
  taught = sum(cost.gmac_per_frame(t.module) for t in teachers.values()) * n * s
  where, memory = peak_memory()
  achieved = 2e9 * (3 * gmac + taught) / step, 2e9 * gmac / forward
  shares = [100 * rate / roofline(dtype) for rate in achieved]
  print(
    f"{name} {dtype:8} teachers {len(teachers)}: step {step:.4f} s "
    f"({n / step:.1f} sequences/s, {1e-12 * achieved[0]:.3f} TFLOP/s, "
    f"{shares[0]:.0f}% of the roofline), forward {forward:.4f} s "
    f"({n / forward:.1f} sequences/s, {1e-12 * achieved[1]:.3f} TFLOP/s, "
    f"{shares[1]:.0f}%), compilation {compilation - step:.1f} s, peak "
    f"{memory:.2f} GiB ({where})",
    flush=True,
  )


def main(argv: list[str]) -> None:
  """Times all combinations."""
  del argv
  for dtype in _DTYPES.value:
    if dtype not in ("float32", "bfloat16"):
      raise errors.UserError(
        f"--dtypes has {dtype!r}; give float32, bfloat16 or both"
      )
  if _CONFIG.value is None:
    configs = family_configs(_FAMILIES.value)
  elif _FAMILIES.value:
    raise errors.UserError("--config and --families are both given; give one")
  else:
    config = cli.config(_CONFIG)
    configs = {config.model.name: config}
  print(
    f"{jax.device_count()} x {jax.devices()[0].device_kind}, jax "
    f"{jax.__version__}; roofline (matrix product): "
    + ", ".join(
      f"{dtype} {1e-12 * roofline(dtype):.3f} TFLOP/s"
      for dtype in _DTYPES.value
    ),
    flush=True,
  )
  for name, config in configs.items():
    for dtype in _DTYPES.value:
      for with_teachers in (False, True) if len(config.teachers) else (False,):
        bench(name, config, dtype, with_teachers)


if __name__ == "__main__":
  cli.run(main)
