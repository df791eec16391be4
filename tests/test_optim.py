"""Optimisers against numbers computed by hand."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from gaitkd_jax import errors
from gaitkd_jax import models
from gaitkd_jax import optim
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

  def by_hand(step):
    return max(3e-4 * 0.5 * (1 + math.cos(math.pi * step / 60_000)), 1e-6)

  for step, at in (
    (0, 0),
    (999, 0),
    (1000, 1000),
    (30_500, 30_000),
    (57_000, 57_000),
    (59_999, 59_000),
  ):
    np.testing.assert_allclose(schedule(step), by_hand(at), rtol=2e-5)
  for step in (60_000, 79_999, 130_000):
    np.testing.assert_allclose(schedule(step), 1e-6, rtol=1e-6)


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
  "step, fast, slow", [(0, 3e-4, 3e-5), (58_000, 1e-6, 1e-6)]
)
def test_swingait_groups(step, fast, slow):
  optimizer, _ = optim.create_optimizer(SWINGAIT)
  if step:
    # 0.5 (1 + cos(58 / 60 pi)) is 2.7391e-3: the floor holds one group only.
    fast, slow = 3e-4 * 2.7390523e-3, 1e-6
    fast = max(fast, 1e-6)
  params = swingait_params()
  state = optimizer.init(params)
  state = jax.tree.map(
    lambda x: jnp.asarray(step) if x.dtype == jnp.int32 else x, state
  )
  # Moments of constant gradients: the direction is 1 up to epsilon.
  gradients = jax.tree.map(jnp.ones_like, params)
  state = optax.tree.set(state, mu=gradients, nu=gradients)
  updates, _ = jax.jit(optimizer.update)(gradients, state, params)
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
  updates = vectors.flat(updates)
  scale = updates["stem/conv/kernel"].flat[0] / -known["stem/conv/kernel"]
  assert scale == pytest.approx(1, abs=1e-3 if step else 20)
  for path, value in known.items():
    np.testing.assert_allclose(updates[path], -value, rtol=1e-4, err_msg=path)


def test_groups_ask_for_a_transformer():
  optimizer, _ = optim.create_optimizer(SWINGAIT)
  with pytest.raises(errors.UserError, match="optim.groups is swingait"):
    optimizer.init({"stem": jnp.ones(3)})
  with pytest.raises(errors.UserError, match="give one of swingait"):
    optim.create_optimizer(SWINGAIT | {"groups": "swin"})
