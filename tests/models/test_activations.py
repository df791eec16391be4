"""Activations and their gradients."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gaitkd_jax.models import activations


@pytest.mark.parametrize(
  "name, result, slope",
  [
    ("none", [-2.0, 0.0, 3.0], [1.0, 1.0, 1.0]),
    ("relu", [0.0, 0.0, 3.0], [0.0, 0.0, 1.0]),
    # PyTorch's slope at 0 is the small one.
    ("gelu", [-0.0455, 0.0, 2.99595], [-0.0852, 0.5, 1.01194]),
    ("leaky_relu", [-0.02, 0.0, 3.0], [0.01, 0.01, 1.0]),
  ],
)
def test_values_and_slopes(name, result, slope):
  x = jnp.array([-2.0, 0.0, 3.0])
  y, pull = jax.vjp(activations.ACTIVATIONS[name], x)
  np.testing.assert_allclose(y, result, rtol=1e-3)
  np.testing.assert_allclose(pull(jnp.ones(3))[0], slope, rtol=1e-3)


def test_rectifiers_keep_the_dtype():
  x = jnp.array([-1.0, 2.0], jnp.bfloat16)
  for name, function in activations.ACTIVATIONS.items():
    assert function(x).dtype == jnp.bfloat16, name
