"""Recomputation of blocks: the same figures, less to keep."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gaitkd_jax import models

CONFIGS = {
  "deepgaitv2": dict(channels=(4, 8, 8, 8), blocks=(0, 1, 1, 1)),
  "skeletongaitpp": dict(base_channels=4, blocks=(0, 1, 1, 1)),
  "swingait": dict(channels=(4, 8), blocks=(0, 1, 1, 1), dim=16),
}


@pytest.mark.parametrize("name", CONFIGS)
def test_remat_keeps_less_and_changes_no_figure(name):
  config = {"name": name, "num_classes": 3, **CONFIGS[name]}
  plain, remat = (
    models.create_model({**config, "remat": remat}) for remat in (False, True)
  )
  variables = models.init_variables(plain, jax.random.key(0))
  shape = (2, 4, 64, 44, plain.in_channels)
  x = jax.random.uniform(jax.random.key(1), shape)
  lengths = jnp.array([4, 3])

  def loss(module, params):
    out, updated = module.apply(
      {**variables, "params": params},
      x,
      lengths,
      train=True,
      mutable=["batch_stats"],
      rngs={"dropout": jax.random.key(2)},
    )
    return jnp.mean(jnp.square(out["embedding"])), updated

  def kept(module):
    """Bytes that a forward pass leaves to the backward pass."""
    residuals = jax.eval_shape(
      lambda p: jax.vjp(lambda p: loss(module, p)[0], p)[1],
      variables["params"],
    )
    return sum(
      math.prod(leaf.shape) * leaf.dtype.itemsize
      for leaf in jax.tree.leaves(residuals)
    )

  assert kept(remat) < 0.5 * kept(plain)
  ours, theirs = (
    jax.jit(jax.value_and_grad(lambda p, m=m: loss(m, p), has_aux=True))(
      variables["params"]
    )
    for m in (remat, plain)
  )
  (value, stats), grads = theirs
  assert jax.tree.structure(ours) == jax.tree.structure(theirs)
  jax.tree.map(
    lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-6),
    ours[0],
    (value, stats),
  )
  largest = max(float(jnp.linalg.norm(g)) for g in jax.tree.leaves(grads))
  jax.tree.map(
    lambda a, b: np.testing.assert_allclose(a, b, atol=1e-3 * largest),
    ours[1],
    grads,
  )
