"""Compiling for accelerators that are not here.

A compiler needs no device, only the wheel that brings it: `libtpu` for a TPU,
JAX's CUDA wheels for a GPU.
"""

from collections.abc import Mapping
import dataclasses
import importlib.util
import os
import re
import time
from typing import Any

import jax
from jax.experimental import topologies
from jax.sharding import Mesh

from gaitkd_jax import errors
from gaitkd_jax import sharding
from gaitkd_jax.cost import devices
from gaitkd_jax.cost import traffic

# By platform: the modules of which one is needed, the wheel, the extra.
_WHEELS = {
  "tpu": (("libtpu",), "libtpu", "tpu"),
  "cuda": (
    ("jax_plugins.xla_cuda13", "jax_plugins.xla_cuda12"),
    "jax-cuda13-plugin",
    "cuda",
  ),
}
# There is nothing to time convolutions on.
_OPTIONS: Mapping[str, Mapping[str, str | bool]] = {
  "tpu": {},
  "cuda": {"xla_gpu_autotune_level": "0"},
}
# Some products get a kernel by tuning only; these options find them another.
_UNTUNED = "Couldn't find output tile sizes"
_WITHOUT_KERNELS = {"xla_gpu_enable_triton_gemm": False}
_AMOUNT = re.compile(r"\b(\d+(?:\.\d+)?)([KMGT])")
_UNITS = dict(K=2**10, M=2**20, G=2**30, T=2**40)
_CHIPS_OF_A_HOST = 8


class DoesNotFit(Exception):  # noqa: N818  # it is a finding, not a mistake
  """The compiler refused a program that needs too much memory.

  Attributes:
    needed: bytes on one device, as far as the compiler says; else 0.
    usable: bytes that it allows; else 0.
  """

  def __init__(self, text: str):
    super().__init__(" ".join(text.split()))
    amounts = [float(n) * _UNITS[unit] for n, unit in _AMOUNT.findall(text)]
    self.needed, self.usable = (*amounts, 0.0, 0.0)[:2]


@dataclasses.dataclass(frozen=True)
class Compiled:
  """What a compiler says of a program; all of one device.

  Attributes:
    flops: floating-point operations; None if the compiler does not count them.
    bytes_moved: to and from memory; by XLA's own count, else `entry_traffic`.
    memory: that it takes.
    seconds: of the compilation.
  """

  flops: float | None
  bytes_moved: float
  memory: traffic.Memory
  seconds: float


def prepare(target: devices.Target) -> None:
  """Lets JAX compile for `target`; to be called before JAX is used.

  From then on this process computes on the CPU.

  Raises:
    errors.UserError: the wheel with the compiler is missing.
  """
  modules, wheel, extra = _WHEELS[target.device.platform]
  if not any(map(_installed, modules)):
    raise errors.UserError(
      f"--target={target.name} needs the compiler in the wheel {wheel}, which "
      f'is not installed; run pip install -e ".[{extra}]"'
    )
  os.environ.update(sharding.NO_TPU)
  jax.config.update("jax_platforms", "cpu")


def create_mesh(target: devices.Target) -> Mesh:
  """The mesh of a target, axis "data", as `sharding.create_mesh` makes it."""
  device, options = target.device, dict(target.device.options)
  if device.platform == "cuda":
    options["topology"] = target.topology
    name = device.name
  else:
    name = target.name
    sides = [int(side) for side in target.topology.split("x")]
    sides += [1] * (3 - len(sides))
    if sides[0] * sides[1] * sides[2] <= _CHIPS_OF_A_HOST:
      options["chips_per_host_bounds"] = sides
  topology = topologies.get_topology_desc(
    name, platform=device.platform, **options
  )
  return sharding.mesh_of(topology.devices)


def compile_for(target: devices.Target, lowered: Any) -> Compiled:
  """Compiles a program.

  Args:
    target: whose mesh the program was lowered for.
    lowered: a `jax.stages.Lowered`.

  Raises:
    DoesNotFit: the compiler says so; that of a GPU never does.
  """
  platform = target.device.platform
  began = time.monotonic()
  options = dict(_OPTIONS[platform])
  try:
    try:
      compiled = lowered.compile(compiler_options=options)
    except jax.errors.JaxRuntimeError as e:
      if _UNTUNED not in str(e):
        raise
      compiled = lowered.compile(compiler_options=options | _WITHOUT_KERNELS)
  except jax.errors.JaxRuntimeError as e:
    if not str(e).startswith("RESOURCE_EXHAUSTED"):
      raise
    raise DoesNotFit(str(e)) from e
  seconds = time.monotonic() - began
  counts = compiled.cost_analysis() or {}
  moved = counts.get("bytes accessed")
  if moved is None:
    moved = traffic.entry_traffic(compiled.as_text())
  return Compiled(
    flops=counts.get("flops"),
    bytes_moved=moved,
    memory=traffic.program_memory(compiled),
    seconds=seconds,
  )


def _installed(module: str) -> bool:
  try:
    return importlib.util.find_spec(module) is not None
  except ModuleNotFoundError:  # the package around it is missing
    return False
