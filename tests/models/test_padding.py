"""Sequences of mixed lengths in one batch equal each of them alone."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gaitkd_jax import models
from tests.parity import vectors

CONFIGS = {
  "skeletongaitpp": dict(base_channels=8, blocks=(1, 1, 1, 1)),
  # The second transformer block is a shifted one.
  "swingait": dict(
    channels=(4, 8), blocks=(0, 1, 2, 1), dim=16, drop_path_rate=0.0
  ),
}
LENGTHS = (1, 2, 3, 4, 5, 6, 7)
# SwinGait's windows make every length another case.
ALONE = {"skeletongaitpp": (1, 4, 7), "swingait": LENGTHS}


@pytest.fixture(params=CONFIGS, scope="module")
def network(request):
  config = dict(name=request.param, num_classes=3) | CONFIGS[request.param]
  module = models.create_model(config)
  rng = np.random.default_rng(0)
  variables = jax.tree.map(
    lambda x: (
      rng.standard_normal(x.shape).astype(np.float32)
      / np.sqrt(np.prod(x.shape[:-1]))
    ),
    jax.eval_shape(
      lambda key: models.init_variables(module, key), jax.random.key(0)
    ),
  )
  variables["batch_stats"] = jax.tree.map(
    lambda x: np.abs(x) + 0.5, variables["batch_stats"]
  )
  x = rng.uniform(size=(len(LENGTHS), 7, 64, 44, module.in_channels))
  apply = jax.jit(module.apply, static_argnames=("train", "mutable"))
  return request.param, apply, variables, jnp.asarray(x, jnp.float32)


def with_nan(x):
  """The batch with NaN beyond each sequence's length."""
  beyond = jnp.arange(x.shape[1])[None, :] >= jnp.array(LENGTHS)[:, None]
  return jnp.where(beyond[:, :, None, None, None], jnp.nan, x)


def test_each_equals_itself_alone(network):
  name, apply, variables, x = network
  padded = apply(variables, with_nan(x), jnp.array(LENGTHS))
  for length in ALONE[name]:
    own = slice(LENGTHS.index(length), LENGTHS.index(length) + 1)
    alone = apply(variables, x[own, :length])
    for key in ("embedding", "logits", "set"):
      assert vectors.difference(padded[key][own], alone[key]) < 1e-5, length


def test_more_padding_changes_no_statistic(network):
  _, apply, variables, x = network
  longer = jnp.pad(x, ((0, 0), (0, 3), (0, 0), (0, 0), (0, 0)))
  longer = with_nan(longer)
  lengths = jnp.array(LENGTHS)
  common = dict(train=True, mutable=("batch_stats",))
  ours = apply(variables, longer, lengths, **common)
  theirs = apply(variables, x, lengths, **common)
  for name in ("embedding", "logits"):
    assert vectors.difference(ours[0][name], theirs[0][name]) < 1e-4, name
  ours, theirs = vectors.flat(ours[1]), vectors.flat(theirs[1])
  for path, value in theirs.items():
    assert vectors.difference(ours[path], value) < 1e-5, path


def gradients(module, variables, x, key):
  def loss(params):
    out, _ = module.apply(
      {**variables, "params": params},
      with_nan(x),
      jnp.array(LENGTHS),
      train=True,
      mutable=["batch_stats"],
      rngs={"dropout": key},
    )
    return jnp.sum(jnp.square(out["logits"])), out

  return jax.grad(loss, has_aux=True)(variables["params"])


def test_bfloat16_of_stages_only(network):
  name, _, variables, x = network
  config = dict(name=name, num_classes=3) | CONFIGS[name]
  module = models.create_model(config, "bfloat16")
  step = functools.partial(gradients, module)
  grads, out = jax.eval_shape(step, variables, x, jax.random.key(0))
  for key in ("embedding", "logits", "retrieval"):
    assert out[key].dtype == jnp.float32
  for key in ("stage1", "stage2", "stage3", "stage4", "set"):
    assert out[key].dtype == jnp.bfloat16
  assert {g.dtype for g in jax.tree.leaves(grads)} == {jnp.dtype("float32")}


@pytest.mark.parametrize("network", ["swingait"], indirect=True)
def test_dropped_paths_follow_the_key(network):
  name, _, variables, x = network
  config = dict(name=name, num_classes=3) | CONFIGS[name]
  module = models.create_model(config | {"drop_path_rate": 0.5}, "bfloat16")
  step = jax.jit(functools.partial(gradients, module))
  first, again, second = (
    vectors.flat(step(variables, x, jax.random.key(seed))[0])
    for seed in (0, 0, 1)
  )
  assert all(np.isfinite(v).all() for v in first.values())
  for path, value in first.items():
    np.testing.assert_array_equal(value, again[path])
  assert any((first[path] != second[path]).any() for path in first)
