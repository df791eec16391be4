"""Compiling for devices that are not here."""

import importlib.util
import json

import jax
import pytest

from gaitkd_jax import errors
from gaitkd_jax.cost import ahead
from gaitkd_jax.cost import devices
from tests.helpers import command

# A product of [64, 256] and [256, 512], by 4 devices, and one that needs more
# than they have.
PROGRAM = """
import json, sys
import jax, jax.numpy as jnp
from gaitkd_jax import sharding
from gaitkd_jax.cost import ahead, devices

target = devices.find_target("v5e:2x2")
ahead.prepare(target)
mesh = ahead.create_mesh(target)

def compiled(rows):
  shapes = [((rows, 256), sharding.by_sequence(mesh)),
            ((256, 512), sharding.replicated(mesh))]
  x, k = (jax.ShapeDtypeStruct(s, jnp.float32, sharding=w) for s, w in shapes)
  return ahead.compile_for(target, jax.jit(jnp.matmul).lower(x, k))

found = compiled(64)
try:
  compiled(2**25)
except ahead.DoesNotFit as e:
  refused = e.needed, e.usable
print(json.dumps([
  mesh.size, jax.default_backend(), found.flops, found.bytes_moved,
  found.memory.arguments, found.memory.results, *refused]))
"""


def test_a_program_is_compiled_for_a_tpu():
  pytest.importorskip("libtpu")
  out = command.output(program=("-c", PROGRAM), JAX_PLATFORMS="")
  size, backend, flops, moved, arguments, results, *refused = json.loads(out)
  assert (size, backend) == (4, "cpu")
  assert flops == 2 * 16 * 256 * 512
  assert arguments == 4 * (16 * 256 + 256 * 512)
  assert results == pytest.approx(4 * 16 * 512, abs=1024)
  assert moved >= arguments + 4 * 16 * 512
  needed, usable = refused
  assert needed > usable
  # The table has what the compiler says.
  assert usable == devices.DEVICES["v5e"].usable


@pytest.mark.parametrize(
  "text, needed",
  [
    (
      "RESOURCE_EXHAUSTED: Ran out of memory on HBM, the total memory required "
      "for HLO temporaries (80.00G) exceeds available HBM (15.75G).",
      80,
    ),
    (
      "RESOURCE_EXHAUSTED: XLA:TPU compile permanent error. Ran out of memory "
      "in memory space hbm. Used 20.12G of 15.75G hbm. Exceeded hbm capacity "
      "by 4.37G.\n\nTotal hbm usage >= 20.38G:",
      20.12,
    ),
  ],
)
def test_amounts_of_a_refusal_are_read(text, needed):
  refusal = ahead.DoesNotFit(text)
  assert refusal.needed == pytest.approx(needed * 2**30)
  assert refusal.usable == 15.75 * 2**30


def test_a_refusal_without_amounts_has_none():
  refusal = ahead.DoesNotFit("RESOURCE_EXHAUSTED: no room")
  assert (refusal.needed, refusal.usable) == (0, 0)


@pytest.mark.parametrize(
  "name, wheel, extra",
  [("v5e:2x4", "libtpu", "tpu"), ("h100", "jax-cuda13-plugin", "cuda")],
)
def test_a_missing_wheel_is_named(monkeypatch, name, wheel, extra):
  monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
  with pytest.raises(errors.UserError) as caught:
    ahead.prepare(devices.find_target(name))
  assert wheel in str(caught.value)
  assert f'pip install -e ".[{extra}]"' in str(caught.value)


@pytest.mark.parametrize("message", ["find output tile sizes", "no memory"])
def test_a_product_without_a_tuned_kernel_gets_another(message):
  asked = []

  class Lowered:
    def compile(self, compiler_options):
      asked.append(compiler_options)
      if len(asked) == 1:
        raise jax.errors.JaxRuntimeError(f"INTERNAL: Couldn't {message} that")
      return jax.jit(lambda x: 2 * x).lower(1.0).compile()

  target = devices.find_target("h100")
  if message == "no memory":
    with pytest.raises(jax.errors.JaxRuntimeError):
      ahead.compile_for(target, Lowered())
    return
  assert ahead.compile_for(target, Lowered()).memory.arguments == 4
  assert asked[1] == asked[0] | {"xla_gpu_enable_triton_gemm": False}
