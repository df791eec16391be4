"""Networks whose plans are written as ONNX, and what ONNX Runtime says."""

import functools

import jax
import numpy as np
import onnxruntime

from gaitkd_jax import models
from gaitkd_jax.models import inputs
from gaitkd_jax.runtime import processor
from tests.helpers import networks
from tests.helpers import quantized

_GL_LARGE = dict(name="gaitgl", variant="large", channels=(4, 8, 16, 16))
_NECK = dict(num_classes=3, retrieval="neck")
# Networks in their smoke size; those of `models.known_kinds` and others.
OTHERS = {
  "gaitbase-neck": dict(name="gaitbase", **_NECK),
  "skeletongait": dict(name="deepgaitv2", in_channels=2),
  "gaitbase_plain-neck": dict(name="gaitbase_plain", **_NECK),
  "gaitbase_plain-hid": dict(
    name="gaitbase_plain", channels=(4, 8, 8, 16), halvings=3
  ),
  "gaitpart-large": dict(
    name="gaitpart", variant="large", channels=(4, 8, 16, 16)
  ),
  "gaitgl-large": _GL_LARGE,
  "gaitgl-neck": dict(name="gaitgl", neck=True, **_NECK),
  "gaitgl-large-necks": dict(_GL_LARGE, neck=True, num_classes=3),
  "skeletongaitpp-neck": dict(name="skeletongaitpp", **_NECK),
}


@functools.cache
def settled(name, bits=0):
  """A small network whose normalisations fit its values.

  Args:
    name: of `models.known_kinds` or `OTHERS`.
    bits: of weights and activations; 0: float.

  Returns:
    The network and its variables, steps learned from a batch.
  """
  config = {**models.known_kinds(), **OTHERS}[name]
  module = networks.smoke(config)
  variables = networks.initial_variables(module)
  rng = np.random.default_rng(4)

  # Factors of both signs, as trained networks have them.
  def drawn(path, x):
    if "norm" not in jax.tree_util.keystr(path) and "bn" not in str(path):
      return x
    if path[-1].key == "bias":
      return rng.normal(0.0, 0.3, x.shape).astype(np.float32)
    signs = np.where(rng.random(x.shape) < 0.2, -1, 1)
    return (signs * rng.uniform(0.5, 1.5, x.shape)).astype(np.float32)

  params = jax.tree_util.tree_map_with_path(drawn, variables["params"])
  variables = {**variables, "params": params}
  x = clips(module, 2, 8)

  @jax.jit
  def settle(variables, x):
    _, new = module.apply(
      variables,
      inputs.scale(x),
      train=True,
      mutable=["batch_stats"],
      rngs={"dropout": jax.random.key(1)},
    )
    return {**variables, **new}

  if variables["batch_stats"]:
    for _ in range(20):
      variables = settle(variables, x)
  if not bits:
    return module, variables
  settings = quantized.settings(bits, bits)
  module = module.clone(quantization=settings)
  fresh = jax.tree_util.tree_map(np.asarray, networks.initial_variables(module))
  variables = _over(fresh, variables)
  variables = jax.jit(
    lambda v, x: quantized.with_observed_steps(module, v, inputs.scale(x))
  )(variables, x)
  return module, variables


def _over(tree, other):
  """A tree, but for the leaves that another one has."""
  if not isinstance(tree, dict):
    return other
  return {k: _over(v, other[k]) if k in other else v for k, v in tree.items()}


def clips(module, n, s, seed=0):
  """Uint8 clips of squares of 4 x 4 pixels: `[n, s, h, w]` (or `[..., c]`)."""
  rng = np.random.default_rng(seed)
  h, w = module.frame_size
  x = rng.random((n, s, h // 4, w // 4, module.in_channels)) > 0.5
  x = x.repeat(4, 2).repeat(4, 3) * np.uint8(255)
  x = x - rng.integers(0, 2, x.shape, np.uint8) * (x // 8)
  return x[..., 0] if module.in_channels == 1 else x


def session(model, optimised=False, more=()):
  """A session of ONNX Runtime.

  Args:
    model: of `onnx_graph.to_onnx`.
    optimised: whether the runtime may change the graph.
    more: names of uint8 arrays that it gives beside the embedding.
  """
  from onnx import TensorProto
  from onnx import helper

  if more:
    copy = type(model)()
    copy.CopyFrom(model)
    copy.graph.output.extend(
      helper.make_tensor_value_info(name, TensorProto.UINT8, None)
      for name in more
    )
    model = copy
  options = onnxruntime.SessionOptions()
  options.intra_op_num_threads = 1
  options.log_severity_level = 3
  options.graph_optimization_level = level(model, optimised)
  if processor.saturates():
    options.add_session_config_entry("session.x64quantprecision", "1")
  return onnxruntime.InferenceSession(model.SerializeToString(), options)


def level(model, optimised):
  """How far a session changes a graph; at least so that products are exact.

  Where a processor adds products of bytes in 16 bits, only graphs that are
  changed take the way that "session.x64quantprecision" asks for.
  """
  levels = onnxruntime.GraphOptimizationLevel
  if optimised:
    return levels.ORT_ENABLE_ALL
  products = {n.op_type for n in model.graph.node} & {"MatMulInteger"}
  if products and processor.saturates():
    return levels.ORT_ENABLE_EXTENDED
  return levels.ORT_DISABLE_ALL


def embed(run, x, lengths):
  """What a session makes of clips."""
  inputs_ = {"silhouettes": x, "lengths": np.asarray(lengths, np.int32)}
  return run.run(["embedding"], inputs_)[0]


def difference(found, wanted):
  """The largest difference relative to the largest value."""
  assert found.shape == wanted.shape and found.dtype == np.float32
  assert np.ptp(wanted) > 0
  return float(np.abs(found - wanted).max() / np.abs(wanted).max())


def cosine(found, wanted):
  """The smallest cosine of two parts."""
  a, b = (np.asarray(x, np.float64) for x in (found, wanted))
  norms = np.sqrt((a * a).sum(-1) * (b * b).sum(-1))
  return float(((a * b).sum(-1)[norms > 0] / norms[norms > 0]).min())


def code_arrays(model, plan):
  """Names of the arrays of codes in a graph, by layer of the plan.

  Returns:
    Pairs of a "quantize" layer and the name.
  """
  last = {}
  for node in model.graph.node:
    if node.op_type in ("QuantizeLinear", "Clip", "BitShift"):
      last[node.name.rpartition("/")[0]] = node.output[0]
  return [
    (layer, last[layer.name]) for layer in plan.layers if layer.op == "quantize"
  ]


def codes(array, layer):
  """Whole numbers of steps, of the uint8 codes of a layer."""
  low, high = layer.arguments["low"], layer.arguments["high"]
  bits = int(high - low).bit_length()
  return (array.astype(np.int32) >> (8 - bits)) - (
    2 ** (bits - 1) if low < 0 else 0
  )


def as_network(x, value, shape):
  """An array of a graph as the network has it.

  Args:
    x: of the first axis and the shape of a value, or as `Values.to_time` has
      it.
    value: of the plan.
    shape: in the network: channels last, of merged frames or not, with merged
      pixels or not; strips are of sequences where frames are not merged.
  """
  if x.shape[1:] != value.shape:  # [n, c, s, h * w]
    x = x.swapaxes(1, 2).reshape(-1, *value.shape)
  if len(value.shape) == 3:
    x = x.transpose(0, 2, 3, 1)
  if len(shape) == 5 and value.strips > 1:
    n, frames = shape[0] // value.strips, shape[1]
    x = x.reshape(n, frames, value.strips, *x.shape[1:]).swapaxes(1, 2)
  return x.reshape(shape)


def valid(plan, value, lengths, frames):
  """Which entries of a value's first axis are within the lengths.

  Args:
    plan: that has it.
    value: of any time axis.
    lengths: of the input's sequences.
    frames: of the input.
  """
  if value.time is None:
    return np.ones(len(lengths) * value.strips, bool)
  time = plan.times[value.time]
  chain = []
  while time.source is not None:
    chain.append(time)
    time = plan.times[time.source]
  lengths = np.asarray(lengths)
  for time in reversed(chain):
    if time.how == "divide":
      lengths, frames = lengths // time.by, frames // time.by
    else:
      short = {1: 3, 2: 4}
      lengths = np.array([short.get(int(x), int(x)) for x in lengths])
      frames = max(frames, 4)
  within = np.arange(frames) < lengths[:, None]
  return within.reshape(-1).repeat(value.strips)
