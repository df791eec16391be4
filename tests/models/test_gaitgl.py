"""GaitGL: short sequences, pooling, heads, values."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gaitkd_jax import errors
from gaitkd_jax import models
from gaitkd_jax.models import gaitgl
from tests.helpers import networks


@pytest.mark.parametrize("name", ["gaitgl", "gaitgl_neck"])
def test_bfloat16_inside_and_float32_outside(name):
  networks.check_bfloat16(networks.LEAKY[name])


def test_short_sequences_are_repeated_each_on_its_own():
  x = jnp.arange(1.0, 7.0).reshape(3, 2)
  frames, lengths = gaitgl.repeat_short(x, jnp.array([1, 2, 2]))
  assert lengths.tolist() == [3, 4, 4]
  assert frames[0, :3].tolist() == [1, 1, 1]
  assert frames[1:].tolist() == [[3, 4, 3, 4], [5, 6, 5, 6]]
  frames, lengths = gaitgl.repeat_short(x, None)
  assert lengths is None
  assert frames[0].tolist() == [1, 2, 1, 2]
  assert gaitgl.repeat_short(x[:, :1], None)[0][0].tolist() == [1, 1, 1]


def test_generalised_mean_of_small_and_ordinary_values():
  x = np.random.default_rng(0).uniform(0.1, 2, (2, 8, 5, 3)).astype(np.float32)
  x[0, 2:4] = -1.0
  pool = gaitgl.GeneralisedMean(4)
  params = {"params": {"exponent": jnp.full(1, 6.5)}}
  mean = pool.apply(params, jnp.asarray(x))
  powers = np.maximum(x.astype(np.float64), 1e-6).reshape(2, 4, 10, 3) ** 6.5
  expected = powers.mean(axis=2) ** (1 / 6.5)
  np.testing.assert_allclose(mean, expected, rtol=1e-5)
  grads = jax.grad(lambda *a: jnp.sum(pool.apply(*a)), (0, 1))(params, x)
  assert all(np.isfinite(g).all() for g in jax.tree.leaves(grads))


def test_initial_values():
  module = models.create_model(dict(name="gaitgl", num_classes=5))
  params = jax.jit(lambda key: models.init_variables(module, key))(
    jax.random.key(0)
  )["params"]
  assert params["pool"]["exponent"] == 6.5
  for name, bound in (
    ("fc", np.sqrt(6 / (128 * 128 + 64 * 128))),
    ("classifier", np.sqrt(6 / (128 * 5 + 64 * 5))),
  ):
    largest = float(jnp.abs(params[name]["kernel"]).max())
    assert 0.99 * bound < largest <= bound, name
  kernel = params["stage1"]["local"]["kernel"]
  bound = np.sqrt(6 / (27 * (32 + 64)))
  assert 0.99 * bound < float(jnp.abs(kernel).max()) <= bound


@pytest.mark.parametrize(
  "config, message",
  [
    (dict(channels=(1, 1, 1, 1)), "casiab has 3 channels"),
    (dict(channels=(1, 1)), "three positive numbers, or four"),
    (dict(num_classes=3, retrieval="neck"), "neck is False"),
    (dict(neck=1), "True or False"),
  ],
)
def test_bad_configs(config, message):
  with pytest.raises(errors.UserError, match=message) as caught:
    models.create_model(dict(name="gaitgl", **config))
  assert "\n" not in str(caught.value)
