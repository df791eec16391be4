"""The rules that TensorRT has for quantisers, on the graphs written for it.

It is not run here. Of its documentation: no zero point but 0, int8, a step for
each output channel of weights and one for all of an activation, quantisers in
front of what computes and not behind it, and of a residual sum the identity is
quantised and the main branch is left to be fused.
"""

import numpy as np
from onnx import TensorProto
from onnx import numpy_helper
import pytest

from gaitkd_jax import errors
from gaitkd_jax.export import onnx_graph
from gaitkd_jax.export import planning
from tests.helpers import exported

# What only moves values, or makes a mask of lengths.
_MOVES = {"Concat", "Mul", "Pad", "Reshape", "Slice", "Transpose", "Where"}


class Graph:
  """Nodes by what they make, and constants by name."""

  def __init__(self, name):
    module, variables = exported.settled(name, 8)
    plan = planning.plan_of(module, variables)
    graph = onnx_graph.to_onnx(plan, "tensorrt").graph
    self.nodes = list(graph.node)
    self.makers = {node.output[0]: node for node in graph.node}
    self.constants = {x.name: x for x in graph.initializer}

  def of(self, op):
    return [node for node in self.nodes if node.op_type == op]

  def readers(self, name):
    return [node for node in self.nodes if name in node.input]

  def origin(self, name):
    """The node that made the values of an array, wherever they moved."""
    node = self.makers[name]
    while node.op_type in _MOVES:
      # The mask of a Where is its first input, the values the second.
      node = self.makers[node.input[node.op_type == "Where"]]
    return node

  def array(self, name):
    return numpy_helper.to_array(self.constants[name])


@pytest.fixture(
  scope="module",
  params=["gaitbase", pytest.param("deepgaitv2-p3d", marks=pytest.mark.slow)],
)
def graph(request):
  return Graph(request.param)


def test_codes_are_int8_around_0(graph):
  quantisers = graph.of("QuantizeLinear") + graph.of("DequantizeLinear")
  assert len(graph.of("QuantizeLinear")) > 8
  for node in quantisers:
    _, scale, zero = node.input
    assert graph.constants[zero].data_type == TensorProto.INT8
    assert not graph.array(zero).any()
    assert (graph.array(scale) > 0).all()


def test_a_quantiser_is_followed_by_its_inverse_alone(graph):
  for node in graph.of("QuantizeLinear"):
    readers = graph.readers(node.output[0])
    assert readers
    assert {reader.op_type for reader in readers} == {"DequantizeLinear"}
    assert graph.array(node.input[1]).size == 1
    for reader in readers:
      assert list(reader.input[1:]) == list(node.input[1:])


def test_what_a_convolution_reads_is_quantised(graph):
  for node in graph.of("Conv"):
    assert graph.origin(node.input[0]).op_type == "DequantizeLinear"
    weights = graph.makers[node.input[1]]
    assert weights.op_type == "DequantizeLinear"
    codes = graph.array(weights.input[0])
    assert codes.dtype == np.int8 and np.abs(codes.astype(int)).max() <= 127
    assert graph.array(weights.input[1]).shape == codes.shape[:1]
    assert [a.i for a in weights.attribute if a.name == "axis"] == [0]


def test_what_a_product_reads_is_quantised(graph):
  (product,) = graph.of("MatMul")
  for name in product.input:
    assert graph.origin(name).op_type == "DequantizeLinear"


def test_of_a_sum_only_the_identity_is_quantised(graph):
  residual = [
    node
    for node in graph.of("Add")
    if graph.readers(node.output[0])
    and graph.readers(node.output[0])[0].op_type == "Relu"
  ]
  assert len(residual) > 3
  for node in residual:
    origins = [graph.origin(name).op_type for name in node.input]
    assert origins == ["Conv", "DequantizeLinear"]


def test_few_bits_are_refused():
  module, variables = exported.settled("gaitbase", 4)
  plan = planning.plan_of(module, variables)
  with pytest.raises(errors.UserError, match="takes 8 bits; give --target=ort"):
    onnx_graph.to_onnx(plan, "tensorrt")
