"""How many bytes of feature maps a network needs, before any compilation."""

from collections.abc import Callable
import math
from typing import Any

import jax
from jax.extend import core as jax_core

from gaitkd_jax import models
from gaitkd_jax.cost import program

# XLA stores neither their results nor copies in a wider type.
_VIEWS = {"broadcast_in_dim", "copy", "expand_dims", "reshape", "squeeze"}
# These cannot write over what they read.
_MOVES = {"concatenate", "gather", "pad", "rev", "transpose"}


def forward_memory(module: models.GaitNetwork, clips: int, frames: int) -> int:
  """The most bytes of intermediate arrays that a forward pass holds at once.

  Operations are taken to run in the order in which the network is written. Each
  array is stored whole from when it is made to its last use, and an
  element-wise operation writes over an operand that nothing reads later.
  Reshapes, broadcasts and copies in a wider type cost nothing. Parameters, the
  input and what a single operation needs inside do not count. A compiler that
  fuses or reorders operations needs another amount.

  Args:
    module: the network; what only training needs is not run.
    clips: in the batch.
    frames: of a clip.
  """
  traced = program.trace(module, clips, frames)
  wanted = [traced.ends["retrieval"]]
  eqns, root = program.needed(traced.jaxpr, wanted), _roots(traced.jaxpr)
  last = {
    v: i
    for i, eqn in enumerate(eqns)
    for v in program.variables_of(map(root, eqn.invars))
  }
  last |= {root(v): len(eqns) for v in wanted}
  given = {*traced.jaxpr.invars, *traced.jaxpr.constvars}
  alive = peak = 0
  for i, eqn in enumerate(eqns):
    made = [v for v in eqn.outvars if root(v) is v and v in last]
    read = set(program.variables_of(map(root, eqn.invars))) - given
    done = {v for v in read if last[v] == i}
    grown, freed = sum(map(_bytes, made)), sum(map(_bytes, done))
    reused = program.variables_of(map(root, _overwritable(eqn)))
    in_place = done.intersection(reused)
    peak = max(peak, alive + (max(grown - freed, 0) if in_place else grown))
    alive += grown - freed
  return peak


def saved_memory(module: models.GaitNetwork, clips: int, frames: int) -> int:
  """Bytes that a training step's forward pass keeps for the backward pass.

  Every array that the gradient of the parameters reads counts once. Arrays that
  element-wise operations can restore from others that are kept do not count, as
  XLA computes them again, unless a convolution or product reads them.
  Parameters, running statistics and the input do not count, nor do losses and
  teachers. The backward pass itself needs more: a few of the largest maps.

  Args:
    module: the network.
    clips: in the batch.
    frames: of a clip.
  """
  variables, x = program.abstract(module, clips, frames)

  def saved(params: Any, rest: Any, x: jax.Array) -> list[jax.Array]:
    def forward(params: Any) -> dict[str, jax.Array]:
      out, _ = module.apply(
        {"params": params, **rest},
        x,
        train=True,
        mutable=["batch_stats"],
        rngs={name: jax.random.key(0) for name in module.rng_streams},
      )
      return {key: out[key] for key in ("embedding", "logits") if key in out}

    return jax.tree.leaves(jax.vjp(forward, params)[1])

  rest = {"batch_stats": variables["batch_stats"]}
  jaxpr = jax.make_jaxpr(saved)(variables["params"], rest, x).jaxpr
  return sum(map(_bytes, _stored(jaxpr)))


def _stored(jaxpr: jax_core.Jaxpr) -> set[jax_core.Var]:
  """Arrays from which element-wise operations restore all results."""
  root = _roots(jaxpr)
  maker: dict[jax_core.Var, Any] = {}
  read: set[jax_core.Var] = set()
  for eqn in jaxpr.eqns:
    maker.update((v, eqn) for v in eqn.outvars)
    if program.count_equation(eqn):
      read.update(program.variables_of(map(root, eqn.invars)))
  given = {*jaxpr.invars, *jaxpr.constvars}
  saved = set(program.variables_of(map(root, jaxpr.outvars))) - given
  stored = {v for v in saved if v in read or not _overwritable(maker[v])}

  def sources(v: jax_core.Var) -> set[jax_core.Var]:
    """What would have to be stored in addition to restore `v`."""
    found, seen, open_ = set(), {*given, *stored}, [v]
    while open_:
      v = open_.pop()
      if v in seen:
        continue
      seen.add(v)
      operands = program.variables_of(map(root, _overwritable(maker[v])))
      open_ += operands
      if not operands:
        found.add(v)
    return found

  for v in (v for v in maker if v in saved):
    missing = sources(v)
    fewer = sum(map(_bytes, missing)) <= _bytes(v)
    stored |= missing if fewer else {v}
  return stored


def _overwritable(eqn: Any) -> list[jax_core.Var]:
  """The operands that an element-wise operation may write its result over."""
  if eqn.primitive.name in _MOVES | _VIEWS or program.count_equation(eqn):
    return []
  shape = program.shape_of(eqn.outvars[0])
  operands = program.variables_of(eqn.invars)
  return [v for v in operands if program.shape_of(v) == shape]


def _roots(jaxpr: jax_core.Jaxpr) -> Callable[[Any], Any]:
  """Returns the function from a variable to what it is a view of."""
  views: dict[jax_core.Var, Any] = {}

  def root(v: Any) -> Any:  # a literal is in no dictionary
    return views.get(v, v) if isinstance(v, jax_core.Var) else v

  for eqn in jaxpr.eqns:
    name = eqn.primitive.name
    source: Any = eqn.invars[0] if eqn.invars else None
    widens = name == "convert_element_type" and (
      _itemsize(source) <= _itemsize(eqn.outvars[0])
    )
    if name in _VIEWS or widens:
      views[eqn.outvars[0]] = root(source)
  return root


def _bytes(variable: jax_core.Var) -> int:
  return math.prod(program.shape_of(variable)) * _itemsize(variable)


def _itemsize(variable: Any) -> int:
  return variable.aval.dtype.itemsize
