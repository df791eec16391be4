"""Optimisers against numbers computed by hand."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from gaitkd_jax import checkpointer as checkpointer_lib
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


NETWORK = models.create_model(
  dict(name="swingait", channels=(2, 2), blocks=(1, 1, 1, 1), num_classes=2)
  | dict(dim=16)
)


def swingait_params():
  shapes = models.abstract_variables(NETWORK)["params"]
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
  optimizer, _ = optim.create_optimizer(SWINGAIT, NETWORK)
  params = swingait_params()
  gradients = jax.tree.map(jnp.ones_like, params)
  state = optimizer.init(params)
  if count:
    state = optax.tree.set(state, count=count, mu=gradients, nu=gradients)
  # Adam's direction of a constant gradient of 1 is 1; the decay adds 0.02.
  updates, _ = jax.jit(optimizer.update)(gradients, state, params)
  updates = vectors.flat(updates)
  known = {
    "stem/kernel": slow * 1.02,
    "stage2_block0/temporal/norm/bias": slow * 1.02,
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


def test_groups_are_those_of_the_network():
  with pytest.raises(errors.UserError, match="give nothing or swingait"):
    optim.create_optimizer(SWINGAIT | {"groups": "swin"}, NETWORK)
  gaitbase = models.create_model(dict(name="gaitbase"))
  with pytest.raises(errors.UserError, match="'swingait'.* not have; leave"):
    optim.create_optimizer(SWINGAIT, gaitbase)
  # Any network can do without.
  for network in (gaitbase, NETWORK, None):
    optim.create_optimizer(SWINGAIT | {"groups": ""}, network)


def test_without_a_network_all_groups_are_known():
  optim.create_optimizer(SWINGAIT)
  with pytest.raises(errors.UserError, match="or fine_tuning, swingait"):
    optim.create_optimizer(SWINGAIT | {"groups": "swin"})


def test_a_group_of_rate_0_stays_as_it_is():
  """FoundationGait's first stages, whatever the momentum and the decay."""
  network = models.create_model(
    dict(name="foundationgait", channels=(2,) * 4, blocks=(1,) * 4)
    | dict(embedding_dim=2)
  )
  config = dict(name="sgd", learning_rate=0.1, momentum=0.9, weight_decay=0.5)
  schedule = dict(schedule=dict(kind="multistep", milestones=(1,), gamma=0.1))
  optimizer, _ = optim.create_optimizer(
    config | schedule | dict(clip_norm=0.0, groups="fine_tuning"), network
  )
  shapes = models.abstract_variables(network)["params"]
  params = jax.tree.map(lambda x: jnp.ones(x.shape), shapes)
  # The direction is gradient and decay, 1.5 together, then 0.9 of it more.
  state = optimizer.init(params)
  for size in (0.1 * 1.5, 0.01 * 1.9 * 1.5):
    updates, state = jax.jit(optimizer.update)(params, state, params)
    flat = vectors.flat(updates)
    for path, rate in {
      "stem/kernel": 0.0,
      "stage2_block0/conv1/norm/bias": 0.0,
      "stage3_block0/temporal/kernel": 0.01,
      "stage4_block0/conv2/kernel": 0.05,
      "projector/fc1/kernel": 0.1,
      "fc/kernel": 1.0,
    }.items():
      np.testing.assert_allclose(flat[path], -rate * size, rtol=1e-5)


def test_what_never_learns_has_no_backward_pass():
  """The first stages' maps, the largest, need not be kept for it."""
  network = models.create_model(
    dict(name="foundationgait", channels=(4,) * 4, blocks=(1,) * 4)
    | dict(embedding_dim=2)
  )
  hold = optim.hold(dict(groups="fine_tuning"), network)
  params = models.abstract_variables(network)["params"]
  params = jax.tree.map(lambda x: jnp.full(x.shape, 2.0), params)
  gradients = vectors.flat(
    jax.grad(lambda p: sum(x.sum() ** 2 for x in jax.tree.leaves(hold(p))))(
      params
    )
  )
  assert not gradients["stem/kernel"].any()
  assert not gradients["stage2_block0/temporal/kernel"].any()
  assert (gradients["stage3_block0/conv1/kernel"] != 0).all()
  assert (gradients["fc/kernel"] != 0).all()

  def kept(hold):
    def loss(params, stats, x):
      variables = {"params": hold(params), "batch_stats": stats}
      out, _ = network.apply(variables, x, train=True, mutable=["batch_stats"])
      return out["embedding"].sum()

    variables = models.abstract_variables(network)
    x = jax.ShapeDtypeStruct((2, 3, 64, 44), jnp.float32)
    saved = jax.eval_shape(
      lambda p, *rest: jax.vjp(lambda p: loss(p, *rest), p)[1],
      variables["params"],
      variables["batch_stats"],
      x,
    )
    return [x.shape for x in jax.tree.leaves(saved)]

  assert any(shape[-3:-1] == (64, 44) for shape in kept(lambda p: p))
  assert not any(shape[-3:-1] == (64, 44) for shape in kept(hold))
  assert any(shape[-3:-1] == (16, 11) for shape in kept(hold))
  assert optim.hold(dict(groups=""), network) is None


def test_groups_of_what_learns_beside_the_network():
  """A connector is no part of the network, but has a group all the same."""
  optimizer, _ = optim.create_optimizer(SWINGAIT, NETWORK)
  params = {"connectors": {"teacher": {"fc": {"kernel": jnp.ones(2)}}}}
  updates, _ = optimizer.update(params, optimizer.init(params), params)
  update = updates["connectors"]["teacher"]["fc"]["kernel"]
  np.testing.assert_allclose(update, -3e-5 * 1.02, rtol=1e-4)


@pytest.mark.parametrize(
  "config, update",
  [
    # Decay is added to the gradient, which is clipped before, and multiplied.
    (dict(name="sgd", momentum=0.9), -0.1 * (1 + 0.5 * 2)),
    (dict(name="sgd", momentum=0.9, clip_norm=0.5), -0.1 * (0.5 + 0.5 * 2)),
    # Adam's direction is 1 whatever the size; adamw adds the decay to that.
    (dict(name="adam"), -0.1),
    (dict(name="adamw"), -0.1 * (1 + 0.5 * 2)),
  ],
)
def test_decay_and_clipping_by_hand(config, update):
  common = dict(learning_rate=0.1, weight_decay=0.5, clip_norm=0.0)
  schedule = dict(schedule=dict(kind="constant"))
  optimizer, rate = optim.create_optimizer(common | schedule | config)
  assert rate(7) == np.float32(0.1)
  params, gradient = jnp.full(1, 2.0), jnp.full(1, 1.0)
  updates, _ = optimizer.update(gradient, optimizer.init(params), params)
  np.testing.assert_allclose(updates, [update], rtol=1e-5)


def test_another_optimiser_is_refused():
  with pytest.raises(errors.UserError, match="'lion'; give sgd, adam or adamw"):
    optim.create_optimizer(SWINGAIT | {"name": "lion"}, NETWORK)


def test_state_of_groups_survives_a_checkpoint(tmp_path):
  mesh = sharding.create_mesh(1)
  optimizer, _ = optim.create_optimizer(SWINGAIT, NETWORK)
  params = swingait_params()
  state = step.TrainState(
    step=jnp.ones([], jnp.int32),
    params=params,
    batch_stats={},
    opt_state=optimizer.init(params),
  )
  state = jax.tree.map(lambda x: x + 3, state)
  with checkpointer_lib.Checkpointer(tmp_path, "rank1") as c:
    c.save(1, state, {"model": {}}, None)
  with checkpointer_lib.Checkpointer(tmp_path, "rank1") as c:
    abstract = jax.eval_shape(lambda: state)
    restored = c.restore(abstract, sharding.replicated(mesh))
  assert jax.tree.structure(restored) == jax.tree.structure(state)
  for a, b in zip(
    jax.tree.leaves(restored), jax.tree.leaves(state), strict=True
  ):
    np.testing.assert_array_equal(a, b)
