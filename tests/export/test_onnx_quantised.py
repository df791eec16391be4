"""Graphs of networks in few bits compute the codes that these compute."""

import functools

from flax import linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gaitkd_jax.export import onnx_graph
from gaitkd_jax.export import planning
from gaitkd_jax.models import inputs
from gaitkd_jax.models import quantizers
from gaitkd_jax.runtime import processor
from tests.helpers import exported

LENGTHS = (4, 7, 1)
QUICK = ("gaitbase", "gaitgl")
# Further layers; SwinGait, most of which is float, has a test of its own.
SLOW = (
  ("deepgaitv2-p3d", 8),
  ("gaitpart", 8),
  ("gaitset", 4),
  ("skeletongaitpp", 8),
)


@functools.cache
def network(name, bits):
  """A network with its quantisers in reach.

  Returns:
    A function of clips, lengths, arrays by quantiser, and whether the network
    goes on with these instead of what its own quantisers return. It returns the
    retrieval embedding, and by quantiser what it returns.
  """
  module, variables = exported.settled(name, bits)

  def forward(variables, x, lengths, given, forced):
    found = {}

    def look(call, args, kwargs, context):
      out = call(*args, **kwargs)
      layer = context.module
      if (
        not isinstance(layer, quantizers.Quantizer)
        or layer.is_kernel
        or context.method_name != "__call__"
      ):
        return out
      path = "/".join(layer.path)
      found[path] = out
      return jnp.where(forced, given[path], out) if path in given else out

    with nn.intercept_methods(look):
      out = module.apply(variables, inputs.scale(x), lengths)
    return out["retrieval"], found

  program = jax.jit(forward)
  return lambda x, lengths, given, forced: program(
    variables, x, np.asarray(lengths, np.int32), given, forced
  )


def arrays_of(name, bits):
  """Shapes of what quantisers return, by their names."""
  x, _ = clip(name, bits)
  run = network(name, bits)
  _, found = jax.eval_shape(lambda: run(x, LENGTHS, {}, False))
  return found


def clip(name, bits):
  """Clips, and the plan of the network."""
  module, variables = exported.settled(name, bits)
  plan = planning.plan_of(module, variables)
  return exported.clips(module, len(LENGTHS), max(LENGTHS), seed=9), plan


def compared(name, bits):
  """Compares a network with its graph.

  Returns:
    A row of every quantiser: its name; the share of codes that differ, and the
    largest difference, if both read the same codes; and these two if both read
    what they computed themselves. And of the embedding the largest difference
    if both read the same codes ("difference"), and the smallest cosine of a
    part, of the graph as it is written ("exact"), as ONNX Runtime changes it
    ("fast"), and of graphs for other targets.
  """
  x, plan = clip(name, bits)
  assert plan.bits == f"W{bits}A{bits}"
  model = onnx_graph.to_onnx(plan, "ort")
  arrays = exported.code_arrays(model, plan)
  names = [array for _, array in arrays]
  shapes = arrays_of(name, bits)
  assert {layer.name for layer, _ in arrays} == set(shapes)
  exact = exported.session(model, more=names)
  feed = {"silhouettes": x, "lengths": np.asarray(LENGTHS, np.int32)}
  embedding, *found = exact.run(["embedding", *names], feed)
  codes, given = {}, {}
  for (layer, _), array in zip(arrays, found, strict=True):
    codes[layer.name] = exported.as_network(
      exported.codes(array, layer), layer.output, shapes[layer.name].shape
    )
    step = np.float32(layer.arguments["step"])
    given[layer.name] = codes[layer.name].astype(np.float32) * step
  run = network(name, bits)
  same, values = run(x, LENGTHS, given, True)
  own, free = run(x, LENGTHS, given, False)
  rows = []
  for layer, _ in arrays:
    within = exported.valid(plan, layer.output, LENGTHS, max(LENGTHS))
    row = [layer.name]
    for each in (values, free):
      steps = np.asarray(each[layer.name]) / np.float32(layer.arguments["step"])
      theirs = np.rint(steps).astype(np.int32)
      np.testing.assert_allclose(theirs, steps, atol=1e-3)
      assert len(np.unique(theirs)) > 2, layer.name
      off = np.abs(codes[layer.name] - theirs)
      off = as_plan(off, layer.output)[within]
      row += [float((off > 0).mean()), int(off.max())]
    rows.append(row)
  result = {
    "difference": exported.difference(embedding, np.asarray(same)),
    "exact": exported.cosine(embedding, own),
  }
  others = {"fast": exported.session(model, optimised=True)}
  if bits == 8:
    for target in ("openvino", "tensorrt"):
      others[target] = exported.session(onnx_graph.to_onnx(plan, target))
  for key, session in others.items():
    result[key] = exported.cosine(exported.embed(session, x, LENGTHS), own)
  return rows, result


def as_plan(x, value):
  """The inverse of `exported.as_network`, but for the place of channels."""
  if x.ndim == 5 and value.strips > 1:
    n = x.shape[0] // value.strips
    x = x.reshape(n, value.strips, *x.shape[1:]).swapaxes(1, 2)
  return x.reshape(-1, int(np.prod(value.shape)))


def check(name, bits):
  """Checks codes and embeddings."""
  rows, result = compared(name, bits)
  share, most, free, far = (max(x) for x in list(zip(*rows, strict=True))[1:])
  print(
    f"{name} W{bits}A{bits}: off {share:.1e}, at most {most}; of own codes "
    f"{free:.1e}, at most {far}; "
    + ", ".join(f"{key} {value:.6g}" for key, value in result.items())
  )
  # Where products would not be exact, the runtime changes the graph: its layers
  # of bytes round in one step, not in two.
  assert most <= 1 and share < (3e-3 if processor.saturates() else 1e-3), rows
  assert result["difference"] < 1e-5
  assert 1 - result["exact"] < 1e-3
  if bits == 8:
    assert 1 - result["fast"] < 1e-3
    assert 1 - result["openvino"] < 1e-3
    assert 1 - result["tensorrt"] < 1e-2  # half as many codes


@pytest.mark.parametrize("name", QUICK)
def test_codes_are_those_of_the_network(name):
  check(name, 8)


@pytest.mark.slow
@pytest.mark.parametrize("name, bits", SLOW)
def test_codes_of_other_networks(name, bits):
  check(name, bits)
