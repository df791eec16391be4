"""Recomputation of blocks: the same values, less to keep."""

import functools
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gaitkd_jax import models
from tests.helpers import networks as helpers

CONFIGS = {
  "deepgaitv2": dict(channels=(4, 8, 8, 8), blocks=(0, 1, 1, 1)),
  "skeletongaitpp": dict(base_channels=4, blocks=(0, 1, 1, 1)),
  "swingait": dict(channels=(4, 8), blocks=(0, 1, 1, 1), dim=16),
}


def networks(name):
  config = {"name": name, "num_classes": 3, **CONFIGS[name]}
  return [
    models.create_model(config | {"remat": remat}) for remat in (False, True)
  ]


def loss(module, params, variables):
  shape = (2, 4, 64, 44, module.in_channels)
  out, updated = module.apply(
    {**variables, "params": params},
    jax.random.uniform(jax.random.key(1), shape),
    jnp.array([4, 3]),
    train=True,
    mutable=["batch_stats"],
    rngs={"dropout": jax.random.key(2)},
  )
  return jnp.mean(jnp.square(out["embedding"])), updated


@pytest.mark.parametrize("name", CONFIGS)
def test_remat_keeps_less(name):
  kept = []
  for module in networks(name):
    variables = jax.eval_shape(
      functools.partial(models.init_variables, module), jax.random.key(0)
    )

    def residuals(variables, module=module):
      return jax.vjp(
        lambda p: loss(module, p, variables)[0], variables["params"]
      )[1]

    leaves = jax.tree.leaves(jax.eval_shape(residuals, variables))
    kept.append(sum(math.prod(x.shape) * x.dtype.itemsize for x in leaves))
  # Stem and fusion, which keep theirs, are much of so small a network.
  assert kept[1] < 0.6 * kept[0]


# SkeletonGait++ has the stages of DeepGaitV2.
@pytest.mark.slow
@pytest.mark.parametrize("name", ["deepgaitv2", "swingait"])
def test_remat_changes_no_value(name):
  plain, remat = networks(name)
  variables = helpers.initial_variables(plain)
  with_remat, without = (
    jax.jit(jax.value_and_grad(functools.partial(loss, m), has_aux=True))(
      variables["params"], variables
    )
    for m in (remat, plain)
  )
  (value, stats), grads = without
  assert jax.tree.structure(with_remat) == jax.tree.structure(without)
  jax.tree.map(
    lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-6),
    with_remat[0],
    (value, stats),
  )
  largest = max(float(jnp.linalg.norm(g)) for g in jax.tree.leaves(grads))
  jax.tree.map(
    lambda a, b: np.testing.assert_allclose(a, b, atol=1e-3 * largest),
    with_remat[1],
    grads,
  )
