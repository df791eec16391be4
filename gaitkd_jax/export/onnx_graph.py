"""Writes a plan as a graph of ONNX."""

import onnx
from onnx import TensorProto
from onnx import helper

from gaitkd_jax import errors
from gaitkd_jax.export import graph as graph_lib
from gaitkd_jax.export import onnx_attention
from gaitkd_jax.export import onnx_layers
from gaitkd_jax.export import onnx_values
from gaitkd_jax.export import plan as plan_lib
from gaitkd_jax.export import targets

_LAYERS = {**onnx_layers.LAYERS, **onnx_attention.LAYERS}


def to_onnx(plan: plan_lib.Plan, target: str) -> onnx.ModelProto:
  """Writes a plan.

  Args:
    plan: of a network.
    target: of `targets.TARGETS`.

  Returns:
    A model with the inputs "silhouettes", uint8 `[n, s, h, w]` (or
    `[n, s, h, w, c]`), and "lengths", int32 `[n]`, frames of each sequence, of
    which the rest is padding; and the output "embedding", float32 `[n, p, d]`.

  Raises:
    errors.UserError: the plan is not of the bits that the target takes, or has
      a layer that it cannot have.
  """
  wanted = targets.TARGETS[target]
  if bool(plan.bits) != wanted.quantized:
    is_, needs = (
      plan.bits or "float",
      "a quantised" if not plan.bits else "a float",
    )
    raise errors.UserError(
      f"the network is {is_}; --target={target} takes {needs} one"
    )
  graph = graph_lib.Graph()
  values = onnx_values.Values(graph, plan, wanted)
  for layer in plan.layers:
    write = _LAYERS.get(layer.op)
    if write is None:
      raise errors.UserError(
        f"--target={target} has no layer {layer.op}, which {layer.name} of "
        f"{plan.network} needs; give --target=stablehlo"
      )
    write(values, layer)
  graph.nodes.append(
    helper.make_node(
      "Identity", [values.float(plan.output)], ["embedding"], name="embedding"
    )
  )
  height, width, channels = plan.frame
  frame = ["n", "s", height, width] + ([channels] if channels > 1 else [])
  return graph.finish(
    plan.network,
    [
      helper.make_tensor_value_info("silhouettes", TensorProto.UINT8, frame),
      helper.make_tensor_value_info("lengths", TensorProto.INT32, ["n"]),
    ],
    helper.make_tensor_value_info(
      "embedding", TensorProto.FLOAT, ["n", *plan.output.shape]
    ),
  )
