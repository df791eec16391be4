"""How long a program takes at least, and how much of it fits on a device."""

import dataclasses
import math

from gaitkd_jax.cost import devices
from gaitkd_jax.cost import traffic


@dataclasses.dataclass(frozen=True)
class Roofline:
  """The times that a program needs on one device at its peak rates.

  What binds is the longer one (Williams et al., "Roofline", CACM 2009).

  Attributes:
    arithmetic: seconds of its floating-point operations.
    memory: seconds of what it reads and writes.
  """

  arithmetic: float
  memory: float

  @property
  def binds(self) -> str:
    """What takes longer, "arithmetic" or "memory"."""
    return "arithmetic" if self.arithmetic > self.memory else "memory"

  @property
  def seconds(self) -> float:
    """No less, whatever overlaps."""
    return max(self.arithmetic, self.memory)


def roofline(
  device: devices.Device, dtype: str, flops: float, bytes_moved: float
) -> Roofline:
  """The times of a program.

  Args:
    device: that each run a share of it.
    dtype: "float32" or "bfloat16", of the network.
    flops: floating-point operations on one device.
    bytes_moved: to and from the memory of one device.
  """
  return Roofline(flops / device.flops[dtype], bytes_moved / device.bandwidth)


def fitting_clips(
  memory: traffic.Memory, batch: float, usable: float, clips: int, count: int
) -> int:
  """The largest batch that fits, if temporaries grow with the batch.

  Args:
    memory: that a batch of `clips` takes on one device.
    batch: bytes of its arguments that are the batch.
    usable: bytes of one device.
    clips: of the global batch.
    count: devices.

  Returns:
    Clips of a global batch, a multiple of `count`; 0 if not even one each fits.
  """
  growing = max(memory.temporaries + batch, 1)
  fixed = max(memory.total - growing, 0)
  each = growing * count / clips
  return max(math.floor((usable - fixed) / each), 0) * count
