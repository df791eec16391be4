"""How many frames a network sees at once."""

import dataclasses

import jax
from jax.extend import core as jax_core
import jax.numpy as jnp
import numpy as np

from gaitkd_jax import models
from gaitkd_jax.cost import program


def receptive_field(module: models.GaitNetwork) -> int | None:
  """How many frames of the input one frame of the last map depends on.

  The last map is what the pooling over time reads. The dependence is that of
  the gradient in a narrow network of the same structure, all of whose weights
  are positive so that no rectifier hides a path. Frames are taken far from the
  ends of a sequence; if neighbouring frames depend on unequal numbers, the
  largest counts.

  Args:
    module: the network.

  Returns:
    Frames, or None if the dependence does not end within 255.
  """
  module = _narrow(module)
  for frames in (63, 255):
    seen = _seen(module, frames)
    if not seen[:, 0].any() and not seen[:, -1].any():
      return int(seen.sum(axis=1).max())
  return None


def _narrow(module: models.GaitNetwork) -> models.GaitNetwork:
  """The same network with narrow layers, as many as `module` has."""
  values = {
    **module.smoke_size,
    "num_classes": 0,
    "retrieval": "embedding",
    "dtype": jnp.float32,
    "quantization": None,
  }
  values.pop("blocks", None)
  fields = {field.name for field in dataclasses.fields(module)}
  return module.clone(**{k: v for k, v in values.items() if k in fields})


def _seen(module: models.GaitNetwork, frames: int) -> np.ndarray:
  """Which frames three neighbours in the middle of the last map depend on."""
  # The width of the image has no influence on the dependence on frames.
  traced = program.trace(module, 3, frames, width=8)
  jaxpr, end = traced.jaxpr, traced.ends["set"]
  pooling = next(eqn for eqn in jaxpr.eqns if end in eqn.outvars)
  last_map = pooling.invars[:1]
  jaxpr = jaxpr.replace(
    eqns=program.needed(jaxpr, last_map),
    outvars=last_map,
    debug_info=jaxpr.debug_info.with_unknown_names(),
  )
  run = jax_core.jaxpr_as_fun(jax_core.ClosedJaxpr(jaxpr, traced.consts))
  rng = np.random.default_rng(0)
  *values, x = (
    rng.uniform(0.05, 0.15, v.aval.shape).astype(np.float32)
    for v in jaxpr.invars
  )

  @jax.jit
  def gradients(values: list[jax.Array], x: jax.Array) -> jax.Array:
    last, pull = jax.vjp(lambda x: run(*values, x)[0], x)
    middle = np.arange(3) + last.shape[1] // 2
    chosen = middle[:, None] == np.arange(last.shape[1])
    chosen = chosen.reshape(chosen.shape + (1,) * (last.ndim - 2))
    (dx,) = pull(jnp.broadcast_to(chosen, last.shape).astype(last.dtype))
    return jnp.max(jnp.abs(dx), axis=(2, 3, 4))

  size = gradients(values, x)
  # The mask between regions of SwinGait leaves e^-100 of an attention.
  return np.asarray(size > 1e-20 * size.max(axis=1, keepdims=True))
