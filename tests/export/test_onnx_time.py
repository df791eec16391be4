"""Convolutions over time move no frames, and are what the network has."""

from collections import Counter

import jax
import numpy as np
import onnx
import onnxruntime
import pytest

from gaitkd_jax.export import onnx_graph
from gaitkd_jax.export import planning
from gaitkd_jax.models import inputs
from tests.helpers import exported

NAME = "deepgaitv2-p3d"
LENGTHS = np.array([7, 3, 1], np.int32)


def graph(target, name=NAME):
  module, variables = exported.settled(name, 0 if target == "float" else 8)
  plan = planning.plan_of(module, variables)
  return module, variables, plan, onnx_graph.to_onnx(plan, target)


def operations(model):
  return Counter(node.op_type for node in model.graph.node)


def over_time(model):
  """Convolutions whose window has several frames and one pixel."""
  return [
    node
    for node in model.graph.node
    for attribute in node.attribute
    if attribute.name == "kernel_shape" and list(attribute.ints) == [3, 1]
  ]


@pytest.mark.parametrize("target", ["float", "ort", "openvino"])
def test_time_is_an_axis_of_the_convolution(target):
  _, _, plan, model = graph(target)
  taps = sum(layer.op == "taps" for layer in plan.layers)
  assert taps and len(over_time(model)) == taps
  found = operations(model)
  assert not found["Pad"] and not found["Slice"]
  # The sum of a float convolution and what it reads is in its kernel.
  sums = sum(layer.op == "add" for layer in plan.layers)
  strips = 1
  inside = taps if target == "float" else 0
  assert found["Add"] == sums + strips - inside


def test_tensorrt_keeps_a_quantiser_beside_its_inverse():
  model = graph("tensorrt")[-1]
  assert not over_time(model) and operations(model)["Pad"]
  readers = {x: n for n in model.graph.node for x in n.input}
  for node in model.graph.node:
    if node.op_type == "QuantizeLinear":
      assert readers[node.output[0]].op_type == "DequantizeLinear"


def test_windows_of_pixels_and_frames_keep_their_taps():
  model = graph("float", "deepgaitv2-3d")[-1]
  assert not over_time(model) and operations(model)["Pad"]


def test_nothing_is_moved_between_layers_of_bytes(tmp_path):
  _, _, plan, model = graph("ort")
  options = onnxruntime.SessionOptions()
  options.log_severity_level = 3
  options.optimized_model_filepath = str(tmp_path / "optimised.onnx")
  onnxruntime.InferenceSession(model.SerializeToString(), options)
  found = operations(onnx.load(tmp_path / "optimised.onnx"))
  layers = [layer.op for layer in plan.layers]
  assert found["QLinearConv"] == layers.count("convolve")
  # Two at the ends of the convolutions, three around the linear layer; none at
  # those over time.
  assert found["Transpose"] <= 5


@pytest.mark.parametrize("target", ["float", "ort", "openvino"])
def test_padded_sequences_are_what_the_network_makes(target):
  module, variables, _, model = graph(target)
  x = exported.clips(module, 3, 7)
  wanted = jax.jit(
    lambda v, x, n: module.apply(v, inputs.scale(x), n)["retrieval"]
  )(variables, x, LENGTHS)
  for optimised in (False, True):
    found = exported.embed(exported.session(model, optimised), x, LENGTHS)
    if target == "float":
      assert exported.difference(found, wanted) < 1e-5
    else:
      assert exported.cosine(found, wanted) > 0.999
