"""Frames beyond a sequence's end: sequences of mixed lengths in one batch."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gaitkd_jax import models
from gaitkd_jax.models import padding
from tests.helpers import networks
from tests.helpers.networks import LENGTHS
from tests.parity import vectors

# SwinGait's windows make every length another case.
ALONE = {"skeletongaitpp": (1, 4, 7), "swingait": LENGTHS}


def test_masks():
  valid = padding.frame_mask(jnp.array([2, 0, 3]), 3)
  assert valid.tolist() == [[True, True, False], [False] * 3, [True] * 3]
  assert padding.frame_mask(None, 3) is None
  mask = padding.map_mask(valid)
  assert mask.shape == (3, 3, 1, 1, 1)
  assert mask[..., 0, 0, 0].tolist() == valid.tolist()
  assert padding.map_mask(None) is None


def test_whatever_lies_outside_is_zeroed():
  x = jnp.array([[1.0, jnp.nan], [jnp.inf, 2.0]], jnp.bfloat16)
  mask = jnp.array([[True, False], [False, True]])
  zeroed = padding.zero_outside(x, mask)
  assert zeroed.dtype == jnp.bfloat16
  assert zeroed.tolist() == [[1, 0], [0, 2]]
  grad = jax.grad(lambda x: padding.zero_outside(x, mask).sum())(x)
  assert grad.tolist() == [[1, 0], [0, 1]]
  assert padding.zero_outside(x, None) is x


@pytest.fixture(params=networks.RESIDUAL, scope="module")
def residual(request):
  module = models.create_model(networks.RESIDUAL[request.param])
  apply = jax.jit(module.apply, static_argnames=("train", "mutable"))
  variables = networks.random_variables(module, gain=1.0)
  return request.param, apply, variables, networks.clips(module)


def test_each_equals_itself_alone(residual):
  name, apply, variables, x = residual
  padded = apply(variables, networks.with_nan(x), jnp.array(LENGTHS))
  for length in ALONE[name]:
    place = slice(LENGTHS.index(length), LENGTHS.index(length) + 1)
    alone = apply(variables, x[place, :length])
    for key in ("embedding", "logits", "set"):
      difference = vectors.difference(padded[key][place], alone[key])
      assert difference < 1e-5, (key, length)


def test_more_padding_changes_no_statistic(residual):
  _, apply, variables, x = residual
  lengths = jnp.array(LENGTHS)
  common = dict(train=True, mutable=("batch_stats",))
  longer = networks.with_nan(x, more=3)
  padded, padded_stats = apply(variables, longer, lengths, **common)
  out, stats = apply(variables, x, lengths, **common)
  for name in ("embedding", "logits"):
    assert vectors.difference(padded[name], out[name]) < 1e-4, name
  padded_stats, stats = vectors.flat(padded_stats), vectors.flat(stats)
  for path, value in stats.items():
    assert vectors.difference(padded_stats[path], value) < 1e-5, path


@pytest.fixture(
  params=[
    pytest.param(name, marks=pytest.mark.slow if "gaitgl" in name else ())
    for name in networks.LEAKY
  ],
  scope="module",
)
def leaky(request):
  module = models.create_model(networks.LEAKY[request.param])
  variables = networks.random_variables(module)
  return module, variables, networks.clips(module)


def test_each_sequence_alone_equals_itself_in_a_batch(leaky):
  module, variables, x = leaky
  apply = jax.jit(module.apply)
  together = apply(variables, networks.with_nan(x), jnp.array(LENGTHS))
  for i, length in enumerate(LENGTHS):
    alone = apply(variables, x[i : i + 1, :length])
    assert alone.keys() == together.keys()
    for key in {"embedding", "retrieval", "logits", "set"} & alone.keys():
      difference = vectors.difference(together[key][i : i + 1], alone[key])
      assert difference < 1e-5, (key, length)


def test_training_does_not_see_padding(leaky):
  module, variables, x = leaky
  weights = np.random.default_rng(2).standard_normal((7, 1, 8))

  def loss(params, x, lengths):
    out, updated = module.apply(
      {**variables, "params": params},
      x,
      lengths,
      train=True,
      mutable=["batch_stats"],
    )
    total = jnp.sum(jnp.asarray(weights, jnp.float32) * out["embedding"])
    if "logits" in out:
      total += jnp.sum(jnp.square(out["logits"]))
    return total, updated

  step = jax.jit(jax.value_and_grad(loss, has_aux=True))
  lengths = jnp.array(LENGTHS)
  (value, stats), grads = step(variables["params"], x, lengths)
  (padded_value, padded_stats), padded_grads = step(
    variables["params"], networks.with_nan(x, more=3), lengths
  )
  assert abs(padded_value / value - 1) < 1e-5
  for padded, expected, tolerance in (
    (padded_stats, stats, 1e-5),
    (padded_grads, grads, 1e-4),
  ):
    padded, expected = vectors.flat(padded), vectors.flat(expected)
    assert padded.keys() == expected.keys()
    for path, value in expected.items():
      assert vectors.difference(padded[path], value) < tolerance, path
