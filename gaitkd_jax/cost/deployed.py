"""What a quantised network costs where it is deployed: bytes and products.

Deployed is what the retrieval embedding needs. Batch normalisations of
convolutions are folded: a factor a channel is part of the kernel or of its
steps, a shift a channel is the bias.
"""

from collections.abc import Mapping
from collections.abc import Sequence
import dataclasses
import math
from typing import Any
from typing import NamedTuple

from flax import linen as nn
import jax
from jax.extend import core as jax_core

from gaitkd_jax import models
from gaitkd_jax import quantize
from gaitkd_jax.cost import program
from gaitkd_jax.models import quantizers

_Path = tuple[str, ...]
_FLOAT_BYTES = 4
# Frames come as bytes; a step of 1 / 255 holds them exactly.
_FRAME_BITS = 8
# What gives out values that it was given, and zeros: a quantised array stays
# one.
_KEEPS = {
  *("broadcast_in_dim", "concatenate", "convert_element_type", "expand_dims"),
  *("max", "pad", "reduce_max", "reduce_window_max", "reshape", "rev"),
  *("select_n", "slice", "squeeze", "stack", "transpose"),
}


class Stored(NamedTuple):
  """Numbers of one width.

  Attributes:
    values: how many.
    bytes: that they take, every array packed to whole bytes.
  """

  values: int
  bytes: int


@dataclasses.dataclass(frozen=True)
class Deployed:
  """A network as it is deployed.

  Attributes:
    weights: by their bits, 0 for float32 (biases included); the fewest first.
    steps: of all quantisers, float32.
    products: multiply-accumulates of one sequence, by the bits of weights and
      activations, such as "W4A8"; "float" where either is an array that is not
      quantised although the network's are.
  """

  weights: Mapping[int, Stored]
  steps: Stored
  products: Mapping[str, int]

  @property
  def bytes(self) -> int:
    """That weights and steps take."""
    return self.steps.bytes + sum(w.bytes for w in self.weights.values())

  @property
  def float_bytes(self) -> int:
    """That the same network in float32 takes, which has no steps."""
    return _FLOAT_BYTES * sum(w.values for w in self.weights.values())


def deployed(module: models.GaitNetwork, frames: int) -> Deployed:
  """Says what is deployed of a network; nothing is computed.

  Args:
    module: the network, quantised or not.
    frames: of the sequence whose products are counted.

  Returns:
    Bytes and products.
  """
  if getattr(module, "remat", False):  # it would hide what is in a block
    module = module.clone(remat=False)
  traced = program.trace(module, 1, frames)
  eqns = program.needed(traced.jaxpr, [traced.ends["retrieval"]])
  paths = [_path(eqn) for eqn in eqns]
  found = {
    path: x
    for path, x in _quantizers(module, frames).items()
    if any(_within(p, path) for p in paths)
  }
  kernels = {path[:-1]: x.bits for path, x in found.items() if x.is_kernel}
  steps = sum(x.steps for x in found.values())
  return Deployed(
    _weights(traced, eqns, kernels),
    Stored(steps, _FLOAT_BYTES * steps),
    _products(traced, eqns, found, kernels, module.quantization),
  )


class _Quantizer(NamedTuple):
  """One that was met in a call: its bits, and how many steps it has."""

  bits: int
  steps: int
  is_kernel: bool


def _quantizers(
  module: models.GaitNetwork, frames: int
) -> dict[_Path, _Quantizer]:
  """The quantisers of a network by their paths in its variables."""
  found: dict[_Path, _Quantizer] = {}

  def look(call: Any, args: Any, kwargs: Any, context: Any) -> Any:
    q = context.module
    if isinstance(q, quantizers.Quantizer) and q.path not in found:
      shape = args[0].shape
      own = (n for axis, n in enumerate(shape) if axis not in q.shared)
      bits = _bits(q, module.quantization)
      found[q.path] = _Quantizer(bits, math.prod(own), q.is_kernel)
    return call(*args, **kwargs)

  with nn.intercept_methods(look):
    jax.eval_shape(module.apply, *program.abstract(module, 1, frames))
  return found


def _bits(quantizer: quantizers.Quantizer, settings: quantize.Settings) -> int:
  """The bits of a grid, which are the network's or those of its edges."""
  bits, half = settings.activations, False
  if quantizer.is_kernel:
    bits, half = settings.weights, settings.range == "half"
  known = (quantize.signed(bits, half), quantize.unsigned(bits))
  return bits if quantizer.grid in known else quantize.EDGE_BITS


def _weights(
  traced: program.Trace, eqns: Sequence[Any], kernels: Mapping[_Path, int]
) -> dict[int, Stored]:
  """What is stored of a network's parameters but steps, by bits."""
  read = {v for eqn in eqns for v in program.variables_of(eqn.invars)}
  leaves = jax.tree_util.tree_leaves_with_path(traced.variables)
  inputs = zip(traced.jaxpr.invars, leaves, strict=False)
  shapes = {
    tuple(key.key for key in keys): x.shape
    for v, (keys, x) in inputs
    if v in read
  }
  total: dict[int, Stored] = {}
  for (collection, *outer, name), shape in shapes.items():
    layer = (collection, *outer[:-1])
    folded = outer[-1:] == ["norm"] and (*layer, "kernel") in shapes
    if (
      # Statistics become the shift that is counted as the bias.
      collection == "batch_stats"
      or name in quantizers.LEARNED
      or (folded and name == "scale")
    ):
      continue
    bits = kernels.get(tuple(outer), 0)
    values = math.prod(shape)
    packed = -(-values * bits // 8) if bits else _FLOAT_BYTES * values
    old = total.get(bits, Stored(0, 0))
    total[bits] = Stored(old.values + values, old.bytes + packed)
  return {bits: total[bits] for bits in sorted(total, key=_width)}


def _products(
  traced: program.Trace,
  eqns: Sequence[Any],
  found: Mapping[_Path, _Quantizer],
  kernels: Mapping[_Path, int],
  settings: quantize.Settings | None,
) -> dict[str, int]:
  """Multiply-accumulates of a sequence by the names of their bits."""
  # Arrays that depend on the frames, and the bits of their values; 0: float.
  bits_of: dict[jax_core.Var, int] = {
    traced.jaxpr.invars[-1]: _FRAME_BITS
    if settings and settings.activations
    else 0
  }
  total: dict[tuple[int, int], int] = {}
  for eqn in eqns:
    operands = program.variables_of(eqn.invars)
    read = [bits_of[v] for v in operands if v in bits_of]
    path = _path(eqn)
    if macs := program.count_equation(eqn):
      weights = max(
        (b for p, b in kernels.items() if _within(path, p)), default=0
      )
      activations = min(read) and max(read) if read else 0
      if settings and settings.weights and not weights:
        activations = 0  # a product of two arrays, of which one is float
      bits = weights, activations
      total[bits] = total.get(bits, 0) + macs
    if not read:
      continue
    quantizer = next((q for p, q in found.items() if _within(path, p)), None)
    made = 0
    if quantizer:
      made = quantizer.bits
    elif _keeps(eqn):
      made = min(read) and max(read)
    bits_of.update((v, made) for v in eqn.outvars)
  order = sorted(total, key=lambda bits: tuple(map(_width, bits)))
  return {_name(*bits): total[bits] for bits in order}


def _keeps(eqn: Any) -> bool:
  """Whether an equation gives out what it was given; see `_KEEPS`."""
  inner = [e for jaxpr in program.called(eqn) for e in jaxpr.eqns]
  return eqn.primitive.name in _KEEPS or (
    bool(inner) and all(map(_keeps, inner))
  )


def _width(bits: int) -> int:
  """To sort by: float comes last."""
  return bits or 8 * _FLOAT_BYTES


def _name(weights: int, activations: int) -> str:
  if not (weights or activations):
    return "float"
  return quantize.Settings(weights, activations).name


def _path(eqn: Any) -> _Path:
  """The modules around an equation, outermost first, without the network."""
  path = str(eqn.source_info.name_stack).split("/")[1:]
  return tuple(name for name in path if "." not in name)


def _within(path: _Path, outer: _Path) -> bool:
  return path[: len(outer)] == outer
