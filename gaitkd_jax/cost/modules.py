"""Parameters and multiply-accumulates of a network and of its modules."""

from collections.abc import Collection
from collections.abc import Sequence
import dataclasses
import math
import re
from typing import Any

from flax import traverse_util
import jax

from gaitkd_jax import models
from gaitkd_jax.cost import program

# Lengths of two clips that tell what one more frame costs. Multiples of three:
# SwinGait's windows are of three frames, and GaitGL makes one frame of three.
_CLIPS = (6, 3)
_GIGA_FRAMES = 3e9
# What belongs to no module.
_OTHER = "other"
# The blocks of a stage, and a normalisation beside its convolution.
_SUFFIX = re.compile(r"_(block\d+|layer\d+|conv\d+|bn|norm)$")


@dataclasses.dataclass
class ModuleCost:
  """What one module of a network costs, such as a stage.

  Attributes:
    parameters: how many it has.
    gmac: 1e9 multiply-accumulates that one more frame costs.
    shape: of its result for one clip, or of its last submodule's; empty if
      there is no such module.
  """

  parameters: int = 0
  gmac: float = 0.0
  shape: tuple[int, ...] = ()


def abstract_parameters(module: models.GaitNetwork) -> dict[str, Any]:
  """Shapes of the parameters of a network."""
  return program.abstract(module, 1, 1)[0]["params"]


def parameters(params: Any) -> int:
  """All parameters; running statistics are none."""
  return sum(math.prod(x.shape) for x in jax.tree.leaves(params))


def inference_parameters(params: Any) -> int:
  """All parameters but those of the neck: the "params" of GaitKD's log."""
  return parameters(
    {key: value for key, value in params.items() if key != "neck"}
  )


def retrieval_parameters(module: models.GaitNetwork) -> int:
  """Parameters on which "retrieval", what a search compares, depends."""
  traced = program.trace(module, 1, 3)
  needed = program.needed(traced.jaxpr, [traced.ends["retrieval"]])
  read = {v for eqn in needed for v in program.variables_of(eqn.invars)}
  count = len(jax.tree.leaves(traced.variables["batch_stats"]))
  leaves = jax.tree.leaves(traced.variables)
  # A dict's leaves are in the order of its keys: "batch_stats", "params".
  inputs = zip(traced.jaxpr.invars, leaves, strict=False)
  return sum(math.prod(x.shape) for v, x in list(inputs)[count:] if v in read)


def module_costs(
  module: models.GaitNetwork, frames: int
) -> dict[str, ModuleCost]:
  """Describes the modules of a network, in the order in which they work.

  Args:
    module: the network.
    frames: of the clip whose shapes are given.

  Returns:
    By name: the stages and modules, "set" (the pooling over time, unless that
    is inside a module), and "other" if there are products outside of modules.
  """
  traced = program.trace(module, 1, frames)
  expanded = module.expanded_modules
  found: dict[str, ModuleCost] = {}
  for path, x in traverse_util.flatten_dict(traced.variables["params"]).items():
    cost = found.setdefault(_module_name(path, expanded), ModuleCost())
    cost.parameters += math.prod(x.shape)
  more, less = (
    _macs_by_module(program.trace(module, 1, n), found, expanded)
    for n in _CLIPS
  )
  ordered: dict[str, ModuleCost] = {}
  for eqn in traced.jaxpr.eqns:
    name = _module_of(eqn, found, expanded)
    if name:
      cost = ordered.setdefault(name, found.get(name, ModuleCost()))
      if name != _OTHER:
        cost.shape = program.shape_of(eqn.outvars[0])
      cost.gmac = (more[name] - less[name]) / _GIGA_FRAMES
    if traced.ends["set"] in eqn.outvars:
      shape = program.shape_of(eqn.outvars[0])
      ordered.setdefault("set", ModuleCost(shape=shape))
  for name in ordered.keys() & traced.ends.keys():
    ordered[name].shape = program.shape_of(traced.ends[name])
  return ordered


def output_shapes(
  module: models.GaitNetwork, frames: int
) -> dict[str, tuple[int, ...]]:
  """Shapes of the end points for one clip."""
  ends = program.trace(module, 1, frames).ends
  return {name: program.shape_of(v) for name, v in ends.items()}


def gmac_per_frame(module: models.GaitNetwork) -> float:
  """1e9 multiply-accumulates that one more frame of the network's size costs.

  Convolutions and matrix products (those of attention, too) count at every
  position, padding included. Additions, normalisations and pooling do not, nor
  does what happens once a sequence.
  """
  more, less = (
    program.count(program.trace(module, 1, n).jaxpr) for n in _CLIPS
  )
  return (more - less) / _GIGA_FRAMES


def _module_name(path: Sequence[str], expanded: Collection[str]) -> str:
  """The name in a table of costs of a module or parameter.

  "stage1_block0" and "stage1_conv1" belong to "stage1".
  """
  *outer, name = path[:2] if path[0] in expanded else path[:1]
  return ".".join([*outer, _SUFFIX.sub("", name)])


def _module_of(
  eqn: Any, known: Collection[str], expanded: Collection[str]
) -> str:
  """The module of an equation.

  A product that belongs to none is "other", another equation "".
  """
  # Flax names operations by the modules around them. The network comes first,
  # and among them are its methods, such as "GaitGL.encode".
  path = str(eqn.source_info.name_stack).split("/")[1:]
  path = [name for name in path if "." not in name]
  name = _module_name(path, expanded) if path else ""
  if name in known:
    return name
  return _OTHER if program.count_equation(eqn) else ""


def _macs_by_module(
  traced: program.Trace, known: Collection[str], expanded: Collection[str]
) -> dict[str, int]:
  total: dict[str, int] = {}
  for eqn in traced.jaxpr.eqns:
    name = _module_of(eqn, known, expanded)
    total[name] = total.get(name, 0) + program.count_equation(eqn)
  return total
