"""Activation functions, by the names that layers know them by."""

from collections.abc import Callable
from collections.abc import Mapping

import jax
import jax.numpy as jnp

_SLOPE = 0.01  # PyTorch's


@jax.custom_vjp
def gelu(x: jax.Array) -> jax.Array:
  """The exact `x * Phi(x)`, whose gradient keeps `x` and nothing else."""
  return jax.nn.gelu(x, approximate=False)


def _gelu_forward(x: jax.Array) -> tuple[jax.Array, jax.Array]:
  return gelu(x), x


def _gelu_backward(x: jax.Array, g: jax.Array) -> tuple[jax.Array]:
  wide = x.astype(jnp.float32)
  slope = jax.scipy.stats.norm.cdf(wide) + wide * jax.scipy.stats.norm.pdf(wide)
  return ((g.astype(jnp.float32) * slope).astype(g.dtype),)


gelu.defvjp(_gelu_forward, _gelu_backward)


def leaky_relu(x: jax.Array) -> jax.Array:
  """PyTorch's leaky rectifier; unlike JAX's, its slope at 0 is the small one.

  It matters: networks without biases are exactly 0 on the background.
  """
  return jnp.where(x > 0, x, _SLOPE * x)


def _identity(x: jax.Array) -> jax.Array:
  return x


ACTIVATIONS: Mapping[str, Callable[[jax.Array], jax.Array]] = {
  "none": _identity,
  "relu": jax.nn.relu,
  "leaky_relu": leaky_relu,
  "gelu": gelu,
}
