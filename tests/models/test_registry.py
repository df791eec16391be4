"""Configs of networks: what they build, and what is refused in one line."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gaitkd_jax import errors
from gaitkd_jax import models

SMALL = dict(name="deepgaitv2", channels=(2, 2, 2, 2), blocks=(1, 1, 1, 1))


@pytest.mark.parametrize(
  "config, message",
  [
    (dict(name="gaitswin"), "model.name is 'gaitswin'; give one of"),
    (dict(name="swingait", mode="p3d"), "swingait has no key mode"),
    (dict(name="skeletongaitpp", channels=(1, 1)), "has no key channels"),
    (dict(name="swingait", channels=(1, 1, 1, 1)), "give two positive"),
    (dict(name="swingait", blocks=(1, 1, 1, 0)), "positive but for the first"),
    (dict(name="swingait", drop_path_rate=1.0), "less than 1"),
    (dict(name="swingait", dim=40), "a multiple of 16"),
    (dict(name="skeletongaitpp", base_channels=0), "at least 1"),
    (dict(name="skeletongaitpp", in_channels=2), "give 3"),
    (dict(name="gaitbase", channels=(1, 1)), "four positive numbers"),
    (dict(name="swingait", retrieval="neck"), "num_classes is 0"),
  ],
)
def test_bad_configs(config, message):
  with pytest.raises(errors.UserError, match=message) as caught:
    models.create_model(config)
  assert "\n" not in str(caught.value)


@pytest.mark.parametrize("channels", [1, 2, 3])
def test_a_network_picks_its_channels(channels):
  module = models.create_model(SMALL | {"in_channels": channels})
  assert module.in_channels == channels
  x = jax.random.uniform(jax.random.key(1), (1, 2, 64, 44, 3))
  own = {1: x[..., 2:], 2: x[..., :2], 3: x}[channels]
  init = jax.jit(functools.partial(models.init_variables, module))
  variables = init(jax.random.key(0))
  apply = jax.jit(module.apply)
  ours, theirs = (apply(variables, one)["embedding"] for one in (x, own))
  np.testing.assert_array_equal(ours, theirs)
  if channels > 1:
    with pytest.raises(ValueError, match="has 1|have 1"):
      apply(variables, jnp.ones((1, 2, 64, 44)))


def test_initial_values_of_swingait():
  module = models.create_model(
    dict(name="swingait", channels=(2, 4), blocks=(1, 1, 1, 1), dim=64)
  )
  init = jax.jit(functools.partial(models.init_variables, module))
  params = init(jax.random.key(0))["params"]
  transformer = params["transformer"]
  block = transformer["stage1_block0"]
  for value in (block["fc1"]["kernel"], block["attention"]["bias_table"]):
    assert abs(float(value.std()) - 0.02) < 2e-3
  assert not block["fc1"]["bias"].any()
  assert (block["norm1"]["scale"] == 1).all()
  # Xavier with PyTorch's fans: 4 pixels of 4 and of 64 channels.
  kernel = transformer["patch_embed"]["proj"]["kernel"]
  bound = np.sqrt(6 / (4 * 4 + 4 * 64))
  assert 0.9 * bound < float(jnp.abs(kernel).max()) <= bound
