"""Times training steps and forward passes; imports no TensorFlow.

python scripts/bench_step.py --config=configs/casiab.py --sequences=8 \
  --frames=10
python scripts/bench_step.py --sequences=8 --frames=10
python scripts/bench_step.py --families=gaitbase,deepgaitv2-3d \
  --dtypes=bfloat16

Times a config with and without its teachers, or families of networks in their
default sizes (all families if none is named), in float32 and bfloat16. Networks
are untrained and silhouettes random. Printed are the seconds of compilation, of
a step and of a forward pass (medians of --repeats), sequences a second,
achieved FLOP/s (twice the multiply-accumulates of convolutions and products; a
backward pass counts as two forward ones) and peak memory. The roofline is the
rate of a large matrix product in the same dtype, measured in this process,
times the number of devices; steps and forward passes are also given as a share
of it.
"""

from collections.abc import Callable
import functools
import resource
import statistics
import time
from typing import Any

from absl import flags
import jax
import jax.numpy as jnp
from jax.sharding import Mesh
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


def family_configs(names: list[str]) -> dict[str, ConfigDict]:
  """Configs of families in their default sizes, for CASIA-B's classes."""
  known = models.known_kinds()
  configs = {}
  for name in names or known:
    if name not in known:
      raise errors.UserError(
        f"--families has {name!r}; give some of {', '.join(known)}"
      )
    c = configs[name] = config_lib.default()
    model = known[name]
    if "num_classes" in models.config_keys(model["name"]):
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


def seconds_each(
  function: Callable[[], Any], repeats: int
) -> tuple[float, float]:
  """Returns the first call's seconds and the median of the others."""
  times = []
  for _ in range(repeats + 1):
    start = time.perf_counter()
    jax.block_until_ready(function())
    times.append(time.perf_counter() - start)
  return times[0], statistics.median(times[1:])


def peak_memory() -> tuple[str, float]:
  """Whose memory is measured, and its peak in GiB.

  The device's, if it tells, else that of this process so far.
  """
  stats = jax.local_devices()[0].memory_stats() or {}
  if "peak_bytes_in_use" in stats:
    return "device", stats["peak_bytes_in_use"] / 2**30
  usage = resource.getrusage(resource.RUSAGE_SELF)
  return "process", usage.ru_maxrss / 2**20


class Bench:
  """A student beside its teachers, compiled for random clips.

  Attributes:
    module: the student.
    teachers: by name.
    sequences: clips of the global batch.
    frames: of a clip.
  """

  def __init__(
    self, config: ConfigDict, dtype: str, with_teachers: bool
  ) -> None:
    self.sequences = (
      _SEQUENCES.value or config.batch.identities * config.batch.sequences
    )
    self.frames = _FRAMES.value or config.clip.frames
    mesh = sharding.create_mesh()
    if self.sequences % mesh.size:
      raise errors.UserError(
        f"--sequences={self.sequences} over {mesh.size} devices"
      )
    self.module = models.create_model(config.model, dtype)
    self.teachers = distill.create_teachers(
      config.teachers if with_teachers else {}, dtype
    )
    self._make_state(config, with_teachers, mesh)
    self._put_batches(config, mesh)

  def _make_state(
    self, config: ConfigDict, with_teachers: bool, mesh: Mesh
  ) -> None:
    optimizer, schedule = optim.create_optimizer(config.optim, self.module)
    key = jax.random.key(0)
    objective = distill.create_objective(
      self.module,
      self.teachers,
      config.distillation,
      config.terms if with_teachers else {},
      config.losses.cross_entropy.scale,
    )
    init = step_lib.make_init(self.module, optimizer, mesh, objective)
    self._state = init(key)
    self._frozen = jax.device_put(
      {
        name: models.init_variables(t.module, key)
        for name, t in self.teachers.items()
      },
      sharding.replicated(mesh),
    )
    self._embed_step = embed.make_embed_step(self.module, mesh)
    self._train_step = step_lib.make_train_step(
      self.module, optimizer, schedule, config.losses, objective, mesh
    )

  def _put_batches(self, config: ConfigDict, mesh: Mesh) -> None:
    n = self.sequences
    host = random_batch(n, self.frames, config.model.get("num_classes", 0))
    self._batch = sharding.put_batch(host, mesh)
    self._whole_sequences = sharding.put_batch(
      {
        **{key: host[key] for key in config_lib.MODALITIES},
        "lengths": np.full(n, self.frames, np.int32),
        "index": np.arange(n, dtype=np.int32),
        "mask": np.ones(n, bool),
      },
      mesh,
    )

  def embed(self) -> Any:
    """One forward pass of the student."""
    return self._embed_step(self._state.variables, self._whole_sequences)

  def train(self) -> Any:
    """One training step."""
    self._state, metrics = self._train_step(
      self._state, self._frozen, self._batch
    )
    return metrics

  def flop(self) -> tuple[float, float]:
    """Floating-point operations of a step and of a forward pass."""
    per_gmac = 2e9 * self.sequences * self.frames
    student = cost.gmac_per_frame(self.module)
    teachers = sum(
      cost.gmac_per_frame(t.module) for t in self.teachers.values()
    )
    return per_gmac * (3 * student + teachers), per_gmac * student


def bench(
  name: str, config: ConfigDict, dtype: str, with_teachers: bool
) -> None:
  """Times one combination and prints its line."""
  run = Bench(config, dtype, with_teachers)
  _, forward = seconds_each(run.embed, _REPEATS.value)
  compilation, step = seconds_each(run.train, _REPEATS.value)
  where, memory = peak_memory()
  step_flop, forward_flop = run.flop()
  achieved = step_flop / step, forward_flop / forward
  shares = [100 * rate / roofline(dtype) for rate in achieved]
  n = run.sequences
  print(
    f"{name} {dtype:8} teachers {len(run.teachers)}: step {step:.4f} s "
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
