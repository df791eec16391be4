"""Parameters and multiply-accumulates of a network and of its parts."""

from collections.abc import Sequence
import dataclasses
import math
import re
from typing import Any

from flax import linen as nn
from flax import traverse_util
import jax

from gaitkd_jax.cost import program

# Modules whose own modules are parts; what belongs to no module.
_NESTED = ("transformer",)
_OTHER = "other"
# The blocks of a stage, and a normalisation beside its convolution.
_SUFFIX = re.compile(r"_(block\d+|layer\d+|conv\d+|bn|norm)$")


@dataclasses.dataclass
class Part:
  """One part of a network.

  Attributes:
    parameters: how many it has.
    gmac: 1e9 multiply-accumulates that one more frame costs.
    shape: of its result for one clip, or of its last module's; empty where
      there is no module.
  """

  parameters: int = 0
  gmac: float = 0.0
  shape: tuple[int, ...] = ()


def abstract_parameters(module: nn.Module) -> dict[str, Any]:
  """Shapes of the parameters of a network."""
  return program.abstract(module, 1, 1)[0]["params"]


def parameters(params: Any) -> int:
  """All parameters; running statistics are none."""
  return sum(math.prod(x.shape) for x in jax.tree.leaves(params))


def inference_parameters(params: Any) -> int:
  """All parameters but those of the neck.

  This is the "params" of GaitKD's log.
  """
  return parameters(
    {key: value for key, value in params.items() if key != "neck"}
  )


def retrieval_parameters(module: nn.Module) -> int:
  """Parameters on which "retrieval", what a search compares, depends."""
  traced = program.trace(module, 1, 3)
  needed = program.needed(traced.jaxpr, [traced.ends["retrieval"]])
  read = {v for eqn in needed for v in program.variables_of(eqn.invars)}
  count = len(jax.tree.leaves(traced.variables["batch_stats"]))
  leaves = jax.tree.leaves(traced.variables)
  # A dict's leaves are in the order of its keys: "batch_stats", "params".
  inputs = zip(traced.jaxpr.invars, leaves, strict=False)
  return sum(math.prod(x.shape) for v, x in list(inputs)[count:] if v in read)


def parts(module: nn.Module, frames: int) -> dict[str, Part]:
  """Describes the parts of a network, in the order in which they work.

  Args:
    module: the network.
    frames: of the clip whose shapes are given.

  Returns:
    By name: the stages and modules, "set" (the pooling over time, unless that
    is inside a module), and "other" if there are products outside of modules.
  """
  traced = program.trace(module, 1, frames)
  found = {}
  for path, x in traverse_util.flatten_dict(traced.variables["params"]).items():
    part = found.setdefault(_part_of(path), Part())
    part.parameters += math.prod(x.shape)
  more, less = (
    _macs_by_part(program.trace(module, 1, n), found) for n in (6, 3)
  )
  ordered = {}
  for eqn in traced.jaxpr.eqns:
    name = _part_of_equation(eqn, found)
    if name:
      part = ordered.setdefault(name, found.get(name, Part()))
      if name != _OTHER:
        part.shape = eqn.outvars[0].aval.shape
      part.gmac = (more[name] - less[name]) / 3e9
    if traced.ends["set"] in eqn.outvars:
      ordered.setdefault("set", Part(shape=eqn.outvars[0].aval.shape))
  for name in ordered.keys() & traced.ends.keys():
    ordered[name].shape = traced.ends[name].aval.shape
  return ordered


def output_shapes(module: nn.Module, frames: int) -> dict[str, tuple[int, ...]]:
  """Shapes of the end points for one clip."""
  ends = program.trace(module, 1, frames).ends
  return {name: v.aval.shape for name, v in ends.items()}


def gmac_per_frame(module: nn.Module) -> float:
  """1e9 multiply-accumulates that one more 64 x 44 frame costs.

  Convolutions and matrix products (of attention too) count, at every position,
  padding included; additions, normalisations and pooling do not, nor what comes
  once a sequence.
  """
  # SwinGait's windows are of three frames, and GaitGL makes one of three.
  more, less = (
    program.count(program.trace(module, 1, n).jaxpr) for n in (6, 3)
  )
  return (more - less) / 3e9


def _part_of(path: Sequence[str]) -> str:
  """The part of a module or parameter: "stage1_block0", "conv1" is stage1's."""
  *outer, name = path[:2] if path[0] in _NESTED else path[:1]
  return ".".join([*outer, _SUFFIX.sub("", name)])


def _part_of_equation(eqn: Any, known: Any) -> str:
  """Its part, "other" of a product that belongs to none, or nothing."""
  # Flax names operations by the modules around them, the network and its
  # methods first.
  path = str(eqn.source_info.name_stack).split("/")[1:]
  path = [module for module in path if "._" not in module]
  name = _part_of(path) if path else ""
  if name in known:
    return name
  return _OTHER if program.count_equation(eqn) else ""


def _macs_by_part(traced: program.Trace, known: Any) -> dict[str, int]:
  total = {}
  for eqn in traced.jaxpr.eqns:
    name = _part_of_equation(eqn, known)
    total[name] = total.get(name, 0) + program.count_equation(eqn)
  return total
