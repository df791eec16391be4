"""SwinGait as a graph of ONNX, beside the network in JAX."""

import functools

import jax
import numpy as np
import pytest

from gaitkd_jax import models
from gaitkd_jax.export import onnx_graph
from gaitkd_jax.export import plan as plan_lib
from gaitkd_jax.export import planning
from gaitkd_jax.models import inputs
from gaitkd_jax.runtime import processor
from tests.helpers import exported
from tests.helpers import networks
from tests.helpers import quantized

SMALL = networks.RESIDUAL["swingait"]
# Windows that are shifted in both stages, behind ones that are not.
DEEPER = SMALL | dict(blocks=(1, 1, 2, 2), retrieval="neck")
# One sequence of 1, 2 and 3 frames is one window.
SIZES = ((1, 1), (2, 30))


def session(plan, target="float", optimised=True):
  """A graph of a plan, open."""
  return exported.session(onnx_graph.to_onnx(plan, target), optimised)


@functools.cache
def program(module):
  """The network, compiled."""
  return jax.jit(
    lambda v, x, n: module.apply(v, inputs.scale(x), n)["retrieval"]
  )


def clips(n, s, whole):
  """Random silhouettes and their lengths; five have all that differ."""
  rng = np.random.default_rng(s)
  x = rng.integers(0, 256, (n, s, 64, 44)).astype(np.uint8)
  lengths = rng.integers(1, s + 1, n)
  if n == 5:  # hidden, alone in a window, rolled, padded
    lengths = np.array([2, 3, 1, 4, s])
  if whole:
    lengths[:] = s
  return x, lengths.astype(np.int32)


def difference(module, variables, run, n, s, whole):
  """The largest difference to JAX, as a share of the largest entry."""
  x, lengths = clips(n, s, whole)
  expected = np.asarray(program(module)(variables, x, lengths))
  (found,) = run.run(None, dict(silhouettes=x, lengths=lengths))
  assert found.shape == expected.shape == (n, 15, module.dim)
  return np.abs(found - expected).max() / np.abs(expected).max()


def float_network(config):
  """A network, its variables and its graph, open."""
  module = models.create_model(config)
  variables = networks.random_variables(module)
  return module, variables, session(planning.plan_of(module, variables))


def test_sequences_of_any_length_equal_jax():
  network = float_network(SMALL)
  for whole in (True, False):
    assert difference(*network, 5, 7, whole) < 1e-5, whole


@pytest.mark.slow
@pytest.mark.parametrize("n, s", SIZES)
def test_all_sizes_equal_jax(n, s):
  network = float_network(DEEPER)
  for whole in (True, False):
    assert difference(*network, n, s, whole) < 1e-5, whole


@pytest.mark.slow
def test_network_in_published_size_equals_jax():
  network = float_network(dict(name="swingait", num_classes=3))
  for whole in (True, False):
    assert difference(*network, 1, 7, whole) < 1e-5


def test_lengths_in_the_graph_hide_what_is_beyond():
  _, _, run = float_network(SMALL)
  x, _ = clips(3, 11, True)
  lengths = np.array([2, 5, 11], np.int32)
  (padded,) = run.run(None, dict(silhouettes=x, lengths=lengths))
  for row, sequence, length in zip(padded, x, lengths, strict=True):
    feed = dict(silhouettes=sequence[None, :length], lengths=length[None])
    (alone,) = run.run(None, feed)
    np.testing.assert_allclose(row, alone[0], rtol=1e-4, atol=1e-5)


def quantised_network(weights, activations, observed=True):
  """A network, variables with steps (observed, or any), and its plan."""
  module = models.create_model(
    SMALL, quantization=quantized.section(weights, activations)
  )
  variables = networks.random_variables(module)
  if observed:
    variables = jax.jit(
      lambda v, x: quantized.with_observed_steps(module, v, x)
    )(variables, quantized.silhouettes(module))
  return module, variables, planning.plan_of(module, variables)


def test_only_the_transformer_of_a_quantised_network_is_float():
  _, _, plan = quantised_network(8, 4, observed=False)
  for layer in plan.layers:
    weights = layer.arguments.get("weights")
    if weights is not None:
      is_float = layer.name.startswith("transformer/")
      assert (weights.bits == 0) == is_float, layer.name
  (fc,) = (layer for layer in plan.layers if layer.op == "linear")
  (read,) = (layer for layer in plan.layers if layer.output in fc.inputs)
  # Behind the transformer's normalisation there are negative values.
  assert (read.op, read.name) == ("quantize", "fc/input")
  assert (read.arguments["low"], read.arguments["high"]) == (-127, 127)


@pytest.mark.slow
@pytest.mark.parametrize(
  "bits, target",
  [
    ((4, 4), "ort"),
    ((8, 8), "tensorrt"),
  ],
)
def test_quantised_graph_rounds_as_jax(bits, target):
  module, variables, plan = quantised_network(*bits)
  run = session(plan, target, optimised=False)
  x, lengths = clips(5, 7, whole=False)
  expected = np.asarray(program(module)(variables, x, lengths))
  (found,) = run.run(None, dict(silhouettes=x, lengths=lengths))
  cosine = (found * expected).sum(-1) / (
    np.linalg.norm(found, axis=-1) * np.linalg.norm(expected, axis=-1)
  )
  assert cosine.min() > 0.999
  # TensorRT has half as many steps behind rectifiers; where products would not
  # be exact, the runtime changes the graph.
  if target != "tensorrt" and not processor.saturates():
    off = np.abs(found - expected) > 1e-4 * np.abs(expected).max()
    assert off.mean() < 1e-3


def test_plan_is_told_in_words():
  module = models.create_model(SMALL)
  plan = planning.plan_of(module, networks.random_variables(module))
  rows = {(row[0], row[1]): row[2] for row in plan_lib.describe(plan)}
  path = "transformer/stage0_block1"
  assert rows[path, "cut_windows"] == "frames x 10 strips x 45x16"
  assert rows[f"{path}/attention", "attend"] == "frames x 10 strips x 45x16"
  assert rows["fc", "linear"] == "sequences x 15x16"
