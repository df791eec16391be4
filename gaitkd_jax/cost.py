"""What a network costs: parameters and multiply-accumulates."""

from collections.abc import Callable
import math
from typing import Any

from flax import linen as nn
import jax
from jax.extend import core as jax_core
import jax.numpy as jnp


def inference_parameters(params: Any) -> int:
  """Parameters that an embedding needs: all but those of the neck.

  This is the "params" of GaitKD's log.
  """
  kept = {key: value for key, value in params.items() if key != "neck"}
  return sum(math.prod(x.shape) for x in jax.tree.leaves(kept))


def gmac_per_frame(module: nn.Module) -> float:
  """1e9 multiply-accumulates that one more 64 x 44 frame costs.

  Convolutions and matrix products (of attention too) count, at every position,
  padding included; additions, normalisations and pooling do not, nor what comes
  once a sequence.
  """
  module = module.clone(num_classes=0, retrieval="embedding")

  def sequence(frames: int) -> int:
    shape = (1, frames, 64, 44, module.in_channels)
    x = jax.ShapeDtypeStruct(shape, jnp.float32)
    variables = jax.eval_shape(module.init, jax.random.key(0), x)
    return multiply_accumulates(module.apply, variables, x)

  # SwinGait's windows are of three frames.
  return (sequence(6) - sequence(3)) / 3e9


def multiply_accumulates(function: Callable[..., Any], *args: Any) -> int:
  """Counts those of all convolutions and products that `function` traces."""
  return _count(jax.make_jaxpr(function)(*args).jaxpr)


def _count(jaxpr: jax_core.Jaxpr) -> int:
  total = 0
  for eqn in jaxpr.eqns:
    name, shapes = eqn.primitive.name, [v.aval.shape for v in eqn.invars]
    if name == "conv_general_dilated":
      numbers = eqn.params["dimension_numbers"]
      out_features = shapes[1][numbers.rhs_spec[0]]
      window = math.prod(shapes[1]) // out_features
      total += math.prod(eqn.outvars[0].aval.shape) * window
    elif name == "dot_general":
      (contracted, _), _ = eqn.params["dimension_numbers"]
      depth = math.prod(shapes[0][i] for i in contracted)
      total += math.prod(eqn.outvars[0].aval.shape) * depth
    for inner in jax.tree.leaves(list(eqn.params.values()), is_leaf=_is_jaxpr):
      if _is_jaxpr(inner):
        total += _count(getattr(inner, "jaxpr", inner)) * eqn.params.get(
          "length", 1
        )
  return total


def _is_jaxpr(value: Any) -> bool:
  return isinstance(value, jax_core.Jaxpr | jax_core.ClosedJaxpr)
