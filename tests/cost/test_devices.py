"""The table of accelerators."""

import pytest

from gaitkd_jax import errors
from gaitkd_jax.cost import devices


@pytest.mark.parametrize("name", devices.DEVICES)
def test_a_device_can_be_right(name):
  device = devices.DEVICES[name]
  assert device.platform in ("tpu", "cuda")
  assert 1e14 < device.flops["float32"] <= device.flops["bfloat16"] < 1e16
  # Arithmetic is ahead of memory in all of them, by a factor of this order.
  assert 100 < device.flops["bfloat16"] / device.bandwidth < 1000
  assert 0.7 < device.usable / (device.memory_gb * 2**30) < 1.01


def test_names_say_which_devices_and_how_many():
  assert devices.find_target("v5e:2x4").count == 8
  assert devices.find_target("v4:2x2x1").count == 4
  assert devices.find_target("h100").count == 1
  assert devices.find_target("h100:8").topology == "1x1x8"
  assert devices.find_target("v6e").name == "v6e:1x1"
  assert devices.find_target("a100").device.name == "NVIDIA A100-SXM4-80GB"


def test_larger_targets_are_of_the_same_device():
  assert devices.find_target("v5e:2x4").larger == ("v5e:4x4", "v5e:4x8")
  assert devices.find_target("h100:4").larger == ("h100:8",)
  assert devices.find_target("v6e:4x8").larger == ()


@pytest.mark.parametrize("name", ["v9", "v5e:3x3", "h100:3", ""])
def test_an_unknown_target_lists_all(name):
  with pytest.raises(errors.UserError) as caught:
    devices.find_target(name)
  assert all(target in str(caught.value) for target in devices.TARGETS)
