"""Float graphs of every network are equal to it."""

import jax
import numpy as np
import pytest

from gaitkd_jax.export import onnx_graph
from gaitkd_jax.export import planning
from gaitkd_jax.models import inputs
from tests.helpers import exported

SHORT = ((1, 1), (1, 2), (5, 7))
LONG = ((2, 30), (1, 65))
BOUND = 1e-5
# Those of other layers than their family's, and of other sizes.
VARIANTS = (
  "deepgaitv2-3d",
  "foundationgait",
  "gaitbase_plain-neck",
  "gaitgl-large-necks",
  "gaitpart-large",
  "skeletongaitpp",
)
FAMILIES = (
  "gaitbase",
  "deepgaitv2-p3d",
  "gaitset",
  "gaitpart",
  "gaitgl",
)


def sequences(module, sizes):
  """Clips and lengths, whole ones and shorter ones, of each size."""
  rng = np.random.default_rng(2)
  for n, s in sizes:
    x = exported.clips(module, n, s, seed=s)
    yield x, np.full(n, s)
    yield x, rng.integers(1, max(s, 2), n)


def padded(x, n, s):
  """Clips as the first of a larger batch."""
  more = [(0, n - x.shape[0]), (0, s - x.shape[1])]
  return np.pad(x, more + [(0, 0)] * (x.ndim - 2))


def differences(name, sizes):
  """By shape and lengths. The network has one program for all sizes."""
  module, variables = exported.settled(name)
  model = onnx_graph.to_onnx(planning.plan_of(module, variables), "float")
  runs = [exported.session(model, optimised) for optimised in (False, True)]
  n, s = np.max(sizes, axis=0)

  @jax.jit
  def embed(variables, x, lengths):
    return module.apply(variables, inputs.scale(x), lengths)["retrieval"]

  found = {}
  for x, lengths in sequences(module, sizes):
    many = np.pad(lengths, (0, n - len(x)), constant_values=1)
    wanted = np.asarray(embed(variables, padded(x, n, s), many))[: len(x)]
    for run in runs:
      difference = exported.difference(exported.embed(run, x, lengths), wanted)
      key = x.shape[:2], tuple(map(int, lengths))
      found[key] = max(difference, found.get(key, 0))
  return found


@pytest.mark.parametrize("name", FAMILIES)
def test_a_graph_equals_the_network(name):
  found = differences(name, SHORT)
  print(name, max(found.values()))
  assert max(found.values()) < BOUND, found


@pytest.mark.slow
@pytest.mark.parametrize("name", VARIANTS)
def test_graphs_of_variants_equal_theirs(name):
  found = {**differences(name, SHORT), **differences(name, LONG)}
  assert len(found) == 9
  print(name, max(found.values()))
  assert max(found.values()) < BOUND, found


@pytest.mark.parametrize("frames", [1, 2, 3, 4])
def test_short_sequences_are_repeated(frames):
  module, variables = exported.settled("gaitgl")
  model = onnx_graph.to_onnx(planning.plan_of(module, variables), "float")
  x = exported.clips(module, 2, frames)
  wanted = jax.jit(module.apply)(variables, inputs.scale(x))["retrieval"]
  found = exported.embed(exported.session(model), x, [frames, frames])
  assert exported.difference(found, np.asarray(wanted)) < BOUND
