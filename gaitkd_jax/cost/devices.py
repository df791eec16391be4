"""Accelerators that a program can be compiled for, and their peak rates.

Sources of the rates:
  TPU: https://docs.cloud.google.com/tpu/docs/v4, .../v5e, .../v5p-training and
    .../v6e, "key chip specifications".
  NVIDIA: the data sheets at https://www.nvidia.com/en-us/data-center/a100/,
    .../h100/ and .../h200/, SXM, without sparsity.
A network of float32 multiplies in what JAX takes by default for float32
(https://docs.jax.dev/en/latest/201/precision.html): one pass of bfloat16 on a
TPU, TensorFloat-32 on these GPUs.
"""

from collections.abc import Mapping
import dataclasses
import math
from typing import Any

from gaitkd_jax import errors

_GIB = 2**30
# JAX takes this share of a GPU's memory when it starts; the environment's
# XLA_PYTHON_CLIENT_MEM_FRACTION changes it.
_GPU_SHARE = 0.75
_FLAT = ("1x1", "2x2", "2x4", "4x4", "4x8")
_CUBES = ("2x2x1", "2x2x2", "2x2x4", "2x4x4")
_ONE_HOST = ("1x1x1", "1x1x2", "1x1x4", "1x1x8")


@dataclasses.dataclass(frozen=True)
class Device:
  """One chip, by its publisher.

  Attributes:
    name: as it is sold.
    platform: JAX's name of it, "tpu" or "cuda".
    flops: peak FLOP/s by the dtype of a network.
    bandwidth: of its memory, peak bytes/s.
    memory_gb: in its publisher's words; 16 GB of a TPU are 16 GiB.
    usable: bytes that a program can have; of a TPU what its compiler allows, of
      a GPU what JAX takes by default.
    topologies: arrangements of such chips, from small to large, as the compiler
      names them; the first is the default.
    options: what the compiler has to be told of it beside the topology.
  """

  name: str
  platform: str
  flops: Mapping[str, float]
  bandwidth: float
  memory_gb: int
  usable: int
  topologies: tuple[str, ...]
  options: Mapping[str, Any] = dataclasses.field(default_factory=dict)


@dataclasses.dataclass(frozen=True)
class Target:
  """Some devices that a program is compiled for.

  Attributes:
    name: as `--target` gives it, with the topology if there is a choice.
    device: one of them.
    topology: one of the device's.
  """

  name: str
  device: Device
  topology: str

  @property
  def count(self) -> int:
    """Devices."""
    return math.prod(map(int, self.topology.split("x")))

  @property
  def larger(self) -> tuple[str, ...]:
    """Names of the targets with more of these devices."""
    all_ = [name for name, t in TARGETS.items() if t.device is self.device]
    return tuple(all_[all_.index(self.name) + 1 :])


def _tpu(
  name: str,
  tera: float,
  bandwidth: float,
  memory_gb: int,
  usable_gib: float,
  topologies: tuple[str, ...],
  **options: Any,
) -> Device:
  return Device(
    name=name,
    platform="tpu",
    flops={"bfloat16": 1e12 * tera, "float32": 1e12 * tera},
    bandwidth=bandwidth,
    memory_gb=memory_gb,
    usable=int(usable_gib * _GIB),
    topologies=topologies,
    options=options,
  )


@dataclasses.dataclass(frozen=True)
class _Chip:
  """What the compiler of GPUs has to know beside the memory.

  Attributes:
    capability: CUDA's compute capability.
    cores: streaming multiprocessors.
    units: float32 units of a core.
    shared: bytes of shared memory of a core.
    shared_block: of these, what a block can have.
    cache: bytes, on level 2.
    clock_ghz: of the cores.
  """

  capability: tuple[int, int]
  cores: int
  units: int
  shared: int
  shared_block: int
  cache: int
  clock_ghz: float


def _gpu(
  name: str,
  tera: tuple[float, float],
  bandwidth: float,
  memory_gb: int,
  found: int,
  chip: _Chip,
) -> Device:
  """A GPU; `tera` is of bfloat16 and TensorFloat-32.

  `found` are the bytes that the driver reports.
  """
  bfloat16, float32 = tera
  return Device(
    name=name,
    platform="cuda",
    flops={"bfloat16": 1e12 * bfloat16, "float32": 1e12 * float32},
    bandwidth=bandwidth,
    memory_gb=memory_gb,
    usable=int(_GPU_SHARE * found),
    topologies=_ONE_HOST,
    options={"target_config": _gpu_description(name, bandwidth, found, chip)},
  )


def _gpu_description(
  name: str, bandwidth: float, found: int, chip: _Chip
) -> str:
  """The `GpuTargetConfigProto` of a GPU, as text.

  XLA keeps such descriptions in xla/backends/gpu/target_config/specs/ of
  https://github.com/openxla/xla.
  """
  major, minor = chip.capability
  return f"""
gpu_device_info {{
  threads_per_block_limit: 1024 threads_per_warp: 32
  threads_per_core_limit: 2048
  core_count: {chip.cores} fpus_per_core: {chip.units}
  shared_memory_per_block: 49152 shared_memory_per_core: {chip.shared}
  shared_memory_per_block_optin: {chip.shared_block}
  registers_per_core_limit: 65536 registers_per_block_limit: 65536
  block_dim_limit_x: 2147483647
  block_dim_limit_y: 65535 block_dim_limit_z: 65535
  memory_bandwidth: {int(bandwidth)} device_memory_size: {found}
  l2_cache_size: {chip.cache} clock_rate_ghz: {chip.clock_ghz}
  cuda_compute_capability {{ major: {major} minor: {minor} }}
}}
platform_name: "CUDA"
dnn_version_info {{ major: 9 minor: 10 }}
device_description_str: "{name}"
"""


_AMPERE = _Chip(
  capability=(8, 0),
  cores=108,
  units=64,
  shared=167_936,
  shared_block=166_912,
  cache=41_943_040,
  clock_ghz=1.41,
)
_HOPPER = _Chip(
  capability=(9, 0),
  cores=132,
  units=128,
  shared=233_472,
  shared_block=232_448,
  cache=52_428_800,
  clock_ghz=1.98,
)
DEVICES: Mapping[str, Device] = {
  "v4": _tpu(
    # Its two cores work as one device, as they do on a TPU machine.
    *("TPU v4", 275, 1200e9, 32, 30.75, _CUBES),
    chip_config_name="megacore",
  ),
  "v5e": _tpu("TPU v5e", 197, 819e9, 16, 15.75, _FLAT),
  "v5p": _tpu("TPU v5p", 459, 2765e9, 95, 95.74, _CUBES),
  "v6e": _tpu("TPU v6e", 918, 1640e9, 32, 31.25, _FLAT),
  "a100": _gpu(
    *("NVIDIA A100-SXM4-80GB", (312, 156), 2039e9, 80, 85_100_068_864),
    chip=_AMPERE,
  ),
  "h100": _gpu(
    *("NVIDIA H100 80GB HBM3", (989.4, 494.7), 3352e9, 80, 84_978_434_048),
    chip=_HOPPER,
  ),
  "h200": _gpu(
    *("NVIDIA H200 141GB HBM3e", (989.4, 494.7), 4800e9, 141, 151_397_597_184),
    chip=_HOPPER,
  ),
}


def _targets() -> dict[str, Target]:
  """All by name: "v5e:2x4", "h100" and, for several on a host, "h100:8"."""
  found = {}
  for key, device in DEVICES.items():
    for topology in device.topologies:
      suffix = f":{topology}"
      if device.platform == "cuda":
        count = topology.rpartition("x")[2]
        suffix = "" if count == "1" else f":{count}"
      name = key + suffix
      found[name] = Target(name, device, topology)
  return found


TARGETS: Mapping[str, Target] = _targets()


def find_target(name: str) -> Target:
  """Looks up what `--target` names; "v5e" alone is the smallest of its kind.

  Raises:
    errors.UserError: nothing is called so.
  """
  if name in DEVICES:
    return next(t for t in TARGETS.values() if t.device is DEVICES[name])
  if name not in TARGETS:
    raise errors.UserError(
      f"--target={name} is unknown; give one of {', '.join(TARGETS)}"
    )
  return TARGETS[name]
