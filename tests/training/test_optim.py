"""Optimisers against numbers computed by hand."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from gaitkd_jax import checkpoint
from gaitkd_jax import errors
from gaitkd_jax import models
from gaitkd_jax import sharding
from gaitkd_jax.training import optim
from gaitkd_jax.training import step
from tests.parity import vectors

SWINGAIT = dict(
  name="adamw",
  learning_rate=3e-4,
  weight_decay=0.02,
  clip_norm=0.0,
  groups="swingait",
  schedule=dict(kind="swin_cosine", steps=60_000),
)


def test_swin_cosine_is_held_for_a_thousand_steps():
  _, schedule = optim.create_optimizer(SWINGAIT)

  def by_hand(at):
    return max(3e-4 * 0.5 * (1 + math.cos(math.pi * at / 60_000)), 1e-6)

  for now, at in (
    (0, 0),
    (999, 0),
    (1000, 1000),
    (30_500, 30_000),
    (57_000, 57_000),
    (59_999, 59_000),
  ):
    np.testing.assert_allclose(schedule(now), by_hand(at), rtol=2e-5)
  for now in (60_000, 79_999, 130_000):
    np.testing.assert_allclose(schedule(now), 1e-6, rtol=1e-6)


def swingait_params():
  module = models.create_model(
    dict(name="swingait", channels=(2, 2), blocks=(1, 1, 1, 1), num_classes=2)
    | dict(dim=16)
  )
  shapes = jax.eval_shape(
    lambda key: models.init_variables(module, key)["params"],
    jax.random.key(0),
  )
  return jax.tree.map(lambda x: jnp.ones(x.shape), shapes)


@pytest.mark.parametrize(
  "count, fast, slow",
  [
    (0, 3e-4, 3e-5),
    (50_000, 3e-4 * 0.06698730, 3e-5 * 0.06698730),
    # The floor holds one group only: 0.5 (1 + cos(57 / 60 pi)) = 0.006155830.
    (57_000, 3e-4 * 0.006155830, 1e-6),
    (60_000, 1e-6, 1e-6),
  ],
)
def test_swingait_groups(count, fast, slow):
  optimizer, _ = optim.create_optimizer(SWINGAIT)
  params = swingait_params()
  gradients = jax.tree.map(jnp.ones_like, params)
  state = optimizer.init(params)
  if count:
    state = optax.tree.set(state, count=count, mu=gradients, nu=gradients)
  # Adam's direction of a constant gradient of 1 is 1; the decay adds 0.02.
  updates, _ = jax.jit(optimizer.update)(gradients, state, params)
  updates = vectors.flat(updates)
  known = {
    "stem/conv/kernel": slow * 1.02,
    "stage2_block0/temporal_bn/bias": slow * 1.02,
    "fc/kernel": slow * 1.02,
    "neck/bn/scale": slow * 1.02,
    "transformer/patch_embed/proj/kernel": fast,
    "transformer/patch_embed/proj/bias": fast,
    "transformer/patch_embed/norm/scale": fast,
    "transformer/stage0_block0/norm1/bias": fast,
    "transformer/stage1_block0/norm2/scale": fast,
    "transformer/stage0_block0/attention/bias_table": fast,
    "transformer/norm/scale": fast,
    "transformer/stage0_block0/attention/qkv/kernel": fast * 1.02,
    "transformer/stage0_block0/attention/qkv/bias": fast * 1.02,
    "transformer/stage1_block0/fc2/bias": fast * 1.02,
    "transformer/downsample/kernel": fast * 1.02,
    "transformer/downsample_norm/scale": fast * 1.02,
  }
  for path, value in known.items():
    np.testing.assert_allclose(updates[path], -value, rtol=1e-4, err_msg=path)


def test_groups_ask_for_a_transformer():
  optimizer, _ = optim.create_optimizer(SWINGAIT)
  with pytest.raises(errors.UserError, match="does not have"):
    optimizer.init({"stem": jnp.ones(3)})
  with pytest.raises(errors.UserError, match="give nothing or swingait"):
    optim.create_optimizer(SWINGAIT | {"groups": "swin"})


def test_state_of_groups_survives_a_checkpoint(tmp_path):
  mesh = sharding.create_mesh(1)
  optimizer, _ = optim.create_optimizer(SWINGAIT)
  params = swingait_params()
  state = step.TrainState(
    step=jnp.ones([], jnp.int32),
    params=params,
    batch_stats={},
    opt_state=optimizer.init(params),
  )
  state = jax.tree.map(lambda x: x + 3, state)
  with checkpoint.Checkpointer(tmp_path, "rank1") as c:
    c.save(1, state, {"model": {}}, None)
  with checkpoint.Checkpointer(tmp_path, "rank1") as c:
    abstract = jax.eval_shape(lambda: state)
    restored = c.restore(abstract, sharding.replicated(mesh))
  assert jax.tree.structure(restored) == jax.tree.structure(state)
  for a, b in zip(
    jax.tree.leaves(restored), jax.tree.leaves(state), strict=True
  ):
    np.testing.assert_array_equal(a, b)
