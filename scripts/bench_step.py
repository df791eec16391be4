"""Times training steps and forward passes; imports no TensorFlow.

python scripts/bench_step.py --config=configs/casiab.py --sequences=8 \
  --frames=10
python scripts/bench_step.py --sequences=8 --frames=10
python scripts/bench_step.py --families=gaitbase,deepgaitv2-3d \
  --dtypes=bfloat16
python scripts/bench_step.py --config=configs/qgait.py:walkers_w4a4 \
  --quantization=w4a4 --dtypes=float32

Times a config with and without its teachers, or families of networks in their
default sizes (all families if none is named), in float32 and bfloat16. Networks
are untrained and silhouettes random. Printed are the seconds of compilation, of
a step and of a forward pass (medians of --repeats), sequences a second,
achieved FLOP/s (twice the multiply-accumulates of convolutions and products; a
backward pass counts as two forward ones) and peak memory. The roofline is the
rate of a large matrix product in the same dtype, measured in this process,
times the number of devices; steps and forward passes are also given as a share
of it.

With --quantization the network is timed in float and in these bits, a step of
one after a step of the other, so that what else the machine does slows both;
all other keys of the config's quantization stay.
"""

from collections.abc import Callable
from collections.abc import Mapping
from collections.abc import Sequence
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
from gaitkd_jax import errors
from gaitkd_jax import models
from gaitkd_jax import sharding
from gaitkd_jax.training import programs

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
_QUANTIZATION = flags.DEFINE_string(
  "quantization", "", "bits such as w4a4, to time beside the float network"
)
_SIZES = (512, 1024, 2048, 4096, 8192)  # of the matrices of the roofline
_ENOUGH_S = 0.05  # a product that takes this long is large


def noise(
  shapes: Mapping[str, jax.ShapeDtypeStruct], classes: int = 0
) -> dict[str, np.ndarray]:
  """Arrays of these shapes: pixels are noise, pairs of clips share a label."""
  rng = np.random.default_rng(0)
  batch = {}
  for name, x in shapes.items():
    if name == "silhouettes":
      batch[name] = rng.integers(0, 2, x.shape, np.uint8) * 255
    elif name == "heatmaps":
      batch[name] = rng.integers(0, 256, x.shape, np.uint8)
    elif name == "labels":
      pairs = np.arange(x.shape[0], dtype=np.int32) // 2
      batch[name] = pairs % max(classes, 1)
    else:
      batch[name] = np.zeros(x.shape, x.dtype)
  return batch


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
    c.data.modalities = config_lib.MODALITIES  # some take heat maps
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
  return seconds_in_turns([function], repeats)[0]


def seconds_in_turns(
  functions: Sequence[Callable[[], Any]], repeats: int
) -> list[tuple[float, float]]:
  """The same of several, of which one is called after the other."""
  times: list[list[float]] = [[] for _ in functions]
  for _ in range(repeats + 1):
    for function, own in zip(functions, times, strict=True):
      start = time.perf_counter()
      jax.block_until_ready(function())
      own.append(time.perf_counter() - start)
  return [(own[0], statistics.median(own[1:])) for own in times]


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
    programs: the training step and the embedding step.
  """

  def __init__(
    self, config: ConfigDict, dtype: str, with_teachers: bool
  ) -> None:
    mesh = sharding.create_mesh()
    config = _changed(config, dtype, mesh)
    if not with_teachers:
      config_lib.without_teachers(config)
    self.programs = programs.create(config, mesh)
    key = jax.random.key(0)
    self._state = self.programs.init_state(key)
    self._frozen = jax.device_put(
      {
        name: models.init_variables(t.module, key)
        for name, t in self.programs.run_teachers.items()
      },
      jax.tree.map(lambda x: x.sharding, self.programs.train_arguments()[1]),
    )
    n, s = self.programs.clips, self.programs.frames
    classes = config.model.get("num_classes", 0)
    self._batch = sharding.put_batch(
      noise(self.programs.train_batch(), classes), mesh
    )
    _, shapes = self.programs.embed_arguments(n, s)
    self._whole_sequences = sharding.put_batch(
      noise(shapes)
      | {"lengths": np.full(n, s, np.int32), "mask": np.ones(n, bool)},
      mesh,
    )

  def embed(self) -> Any:
    """One forward pass of the student."""
    return self.programs.embed_step(
      self._state.variables, self._whole_sequences
    )

  def train(self) -> Any:
    """One training step."""
    self._state, metrics = self.programs.train_step(
      self._state, self._frozen, self._batch
    )
    return metrics


def _changed(config: ConfigDict, dtype: str, mesh: Mesh) -> ConfigDict:
  """The config with what flags say of the batch, and this dtype."""
  c = config.copy_and_resolve_references()
  c.dtype = dtype
  if _SEQUENCES.value:
    if _SEQUENCES.value % mesh.size:
      raise errors.UserError(
        f"--sequences={_SEQUENCES.value} over {mesh.size} devices"
      )
    c.batch.identities, c.batch.sequences = _SEQUENCES.value, 1
  if _FRAMES.value:
    c.clip = config_lib.clip("fixed_ordered", frames=_FRAMES.value)
  return c


def bench(
  name: str, config: ConfigDict, dtype: str, with_teachers: bool
) -> None:
  """Times one combination and prints its line; two beside each other."""
  runs = [Bench(c, dtype, with_teachers) for c in _quantizations(config)]
  forwards = seconds_in_turns([run.embed for run in runs], _REPEATS.value)
  steps = seconds_in_turns([run.train for run in runs], _REPEATS.value)
  for run, (_, forward), step in zip(runs, forwards, steps, strict=True):
    print(line(name, run, dtype, forward, *step), flush=True)
  if len(runs) > 1:
    (_, plain), (_, quantized) = steps
    print(
      f"{name} {dtype:8} a step of {_bits(runs[1])} takes "
      f"{quantized / plain:.2f} times as long as one of {_bits(runs[0])}",
      flush=True,
    )


def line(
  name: str,
  run: Bench,
  dtype: str,
  forward: float,
  compilation: float,
  step: float,
) -> str:
  """What was measured of a combination.

  Args:
    name: of the config or family.
    run: the programs.
    dtype: of the computation.
    forward: seconds of a forward pass.
    compilation: seconds of the first step.
    step: seconds of a later one.
  """
  where, memory = peak_memory()
  n, teachers = run.programs.clips, len(run.programs.teachers)
  step_flop, forward_flop = run.programs.flop(n, run.programs.frames)
  achieved = step_flop / step, forward_flop / forward
  shares = [100 * rate / roofline(dtype) for rate in achieved]
  bits = "" if _bits(run) == "float" else f" {_bits(run)}"
  return (
    f"{name} {dtype:8}{bits} teachers {teachers}: step {step:.4f} s "
    f"({n / step:.1f} sequences/s, {1e-12 * achieved[0]:.3f} TFLOP/s, "
    f"{shares[0]:.0f}% of the roofline), forward {forward:.4f} s "
    f"({n / forward:.1f} sequences/s, {1e-12 * achieved[1]:.3f} TFLOP/s, "
    f"{shares[1]:.0f}%), compilation {compilation - step:.1f} s, peak "
    f"{memory:.2f} GiB ({where})"
  )


def _quantizations(config: ConfigDict) -> list[ConfigDict]:
  """The config; or its float network, and that in the bits of the flag."""
  if not _QUANTIZATION.value:
    return [config]
  found = []
  for bits in ((0, 0), config_lib.read_bits(_QUANTIZATION.value)):
    c = config.copy_and_resolve_references()
    c.quantization.weights, c.quantization.activations = bits
    found.append(c)
  return found


def _bits(run: Bench) -> str:
  settings = run.programs.student.quantization
  return settings.name if settings else "float"


def main(argv: list[str]) -> None:
  """Times all combinations."""
  del argv
  for dtype in _DTYPES.value:
    if dtype not in ("float32", "bfloat16"):
      raise errors.UserError(
        f"--dtypes has {dtype!r}; give float32, bfloat16 or both"
      )
  if _QUANTIZATION.value:
    config_lib.read_bits(_QUANTIZATION.value)
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
