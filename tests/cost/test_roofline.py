"""The time that a program takes at least, and the batch that fits."""

import pytest

from gaitkd_jax.cost import devices
from gaitkd_jax.cost import roofline
from gaitkd_jax.cost import traffic

GIB = 2**30


def test_what_takes_longer_binds():
  device = devices.DEVICES["v5e"]
  found = roofline.roofline(device, "bfloat16", flops=4.4e12, bytes_moved=49e9)
  assert found.arithmetic == pytest.approx(0.022335, rel=1e-4)  # / 197e12
  assert found.memory == pytest.approx(0.059829, rel=1e-4)  # / 819e9
  assert found.binds == "memory"
  assert found.seconds == found.memory
  found = roofline.roofline(device, "bfloat16", flops=44e12, bytes_moved=49e9)
  assert found.binds == "arithmetic"
  assert found.seconds == found.arithmetic


def test_float32_has_a_rate_of_its_own():
  found = [
    roofline.roofline(devices.DEVICES["h100"], dtype, 1e12, 0).arithmetic
    for dtype in ("float32", "bfloat16")
  ]
  assert found[0] == pytest.approx(2 * found[1])


def fitting(usable, temporaries=8 * GIB, batch=0, clips=128, count=8):
  memory = traffic.Memory(
    arguments=3 * GIB, results=2 * GIB, reused=1 * GIB, temporaries=temporaries
  )
  return roofline.fitting_clips(memory, batch, usable, clips, count)


def test_temporaries_grow_with_the_batch():
  # 4 GiB stay, 16 clips a device take 8 GiB.
  assert fitting(12 * GIB) == 128
  assert fitting(16 * GIB) == 192
  assert fitting(16 * GIB - 1) == 184  # a multiple of the devices
  assert fitting(4 * GIB) == 0
  assert fitting(1 * GIB) == 0


def test_so_does_the_batch_itself():
  # 3 GiB stay, 16 clips a device take 9 GiB.
  assert fitting(12 * GIB, batch=GIB) == 128
  assert fitting(21 * GIB, batch=GIB) == 256
