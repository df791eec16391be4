"""A network's program as JAX traces it, and the products in it."""

from collections.abc import Callable
from collections.abc import Iterable
from collections.abc import Sequence
import math
from typing import Any
from typing import NamedTuple

import jax
from jax.extend import core as jax_core
import jax.numpy as jnp

from gaitkd_jax import models


class Trace(NamedTuple):
  """A network's program, its variables, and where its end points come from."""

  jaxpr: jax_core.Jaxpr
  consts: list[Any]
  variables: dict[str, Any]
  ends: dict[str, jax_core.Var]


def multiply_accumulates(function: Callable[..., Any], *args: Any) -> int:
  """Those of all convolutions and products in a call of `function`."""
  return count(jax.make_jaxpr(function)(*args).jaxpr)


def trace(
  module: models.GaitNetwork, clips: int, frames: int, width: int = 0
) -> Trace:
  """Traces an evaluation; see `abstract`. The input is the last argument."""
  variables, x = abstract(module, clips, frames, width)
  closed, shapes = jax.make_jaxpr(module.apply, return_shape=True)(variables, x)
  # A dict's leaves are in the order of its keys.
  ends = dict(zip(sorted(shapes), closed.jaxpr.outvars, strict=True))
  return Trace(closed.jaxpr, closed.consts, variables, ends)


def abstract(
  module: models.GaitNetwork, clips: int, frames: int, width: int = 0
) -> tuple[dict[str, Any], jax.ShapeDtypeStruct]:
  """Shapes of the variables and of an input of the network's frame size.

  `width`, where given, takes the place of the frames' own.
  """
  variables = models.abstract_variables(module)
  h, w = module.frame_size
  shape = (clips, frames, h, width or w, module.in_channels)
  return variables, jax.ShapeDtypeStruct(shape, jnp.float32)


def needed(jaxpr: jax_core.Jaxpr, wanted: Sequence[Any]) -> list[Any]:
  """The equations that `wanted` depends on."""
  open_, kept = set(variables_of(wanted)), []
  for eqn in reversed(jaxpr.eqns):
    if open_.intersection(eqn.outvars):
      kept.append(eqn)
      open_.update(variables_of(eqn.invars))
  return kept[::-1]


def variables_of(values: Iterable[Any]) -> list[jax_core.Var]:
  """Those of `values` that are variables, not literals."""
  return [v for v in values if isinstance(v, jax_core.Var)]


def shape_of(variable: Any) -> tuple[int, ...]:
  """The shape of the array that a variable stands for."""
  return variable.aval.shape


def count(jaxpr: jax_core.Jaxpr) -> int:
  """Multiply-accumulates of all equations."""
  return sum(map(count_equation, jaxpr.eqns))


def count_equation(eqn: Any) -> int:
  """Multiply-accumulates of one equation and of what it calls."""
  name, shapes = eqn.primitive.name, [shape_of(v) for v in eqn.invars]
  total = 0
  if name == "conv_general_dilated":
    numbers = eqn.params["dimension_numbers"]
    out_features = shapes[1][numbers.rhs_spec[0]]
    window = math.prod(shapes[1]) // out_features
    total += math.prod(shape_of(eqn.outvars[0])) * window
  elif name == "dot_general":
    (contracted, _), _ = eqn.params["dimension_numbers"]
    depth = math.prod(shapes[0][i] for i in contracted)
    total += math.prod(shape_of(eqn.outvars[0])) * depth
  counts = list(map(count, called(eqn)))
  if name == "cond":  # of its branches one runs: platforms have their own
    return max(counts)
  return total + sum(counts) * eqn.params.get("length", 1)


def called(eqn: Any) -> list[jax_core.Jaxpr]:
  """The programs that an equation calls, such as its branches."""
  inner = jax.tree.leaves(list(eqn.params.values()), is_leaf=_is_jaxpr)
  return [getattr(jaxpr, "jaxpr", jaxpr) for jaxpr in inner if _is_jaxpr(jaxpr)]


def _is_jaxpr(value: Any) -> bool:
  return isinstance(value, jax_core.Jaxpr | jax_core.ClosedJaxpr)
