"""SwinGait: resizing, initial values, dropped paths, groups of parameters."""

import functools

from flax import linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gaitkd_jax import errors
from gaitkd_jax import models
from gaitkd_jax.models import swin
from gaitkd_jax.models import swingait
from tests.helpers import networks
from tests.parity import vectors

CONFIG = networks.RESIDUAL["swingait"]


def test_resizing_keeps_the_corners():
  rows, columns = np.meshgrid(np.arange(32), np.arange(22), indexing="ij")
  plane = jnp.asarray(2.0 * rows - 3.0 * columns, jnp.float32)
  resized = swingait.resize(plane[None, :, :, None], (30, 20))
  rows, columns = np.meshgrid(
    np.linspace(0, 31, 30), np.linspace(0, 21, 20), indexing="ij"
  )
  expected = 2 * rows - 3 * columns
  np.testing.assert_allclose(resized[0, :, :, 0], expected, atol=1e-4)


def test_initial_values():
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


def test_rates_of_dropped_paths_grow_from_zero():
  module = models.create_model(
    dict(name="swingait", channels=(2, 2), blocks=(0, 1, 2, 1), dim=16)
    | dict(drop_path_rate=0.2)
  )
  x = jnp.zeros((2, 2, 64, 44))
  rates = []

  def record(next_method, args, kwargs, context):
    if isinstance(context.module, swin.DropPath):
      rates.append(context.module.rate)
    return next_method(*args, **kwargs)

  def init(key):
    with nn.intercept_methods(record):
      return module.init(key, x)

  jax.eval_shape(init, jax.random.key(0))
  np.testing.assert_allclose(rates[1::2], [0.0, 0.1, 0.2])


@pytest.mark.slow
def test_dropped_paths_follow_the_key():
  module = models.create_model(CONFIG | {"drop_path_rate": 0.5}, "bfloat16")
  variables = networks.random_variables(module, gain=1.0)
  x = networks.clips(module)
  step = jax.jit(functools.partial(networks.masked_gradients, module))
  first, again, second = (
    vectors.flat(step(variables, x, jax.random.key(seed))[0])
    for seed in (0, 0, 1)
  )
  assert all(np.isfinite(v).all() for v in first.values())
  for path, value in first.items():
    np.testing.assert_array_equal(value, again[path])
  assert any((first[path] != second[path]).any() for path in first)


def test_bfloat16_of_stages_only():
  networks.check_dtypes(CONFIG)


def test_nothing_is_drawn_where_no_path_is_dropped():
  module = models.create_model(CONFIG | {"drop_path_rate": 0.1})
  assert module.rng_streams == ("dropout",)
  assert module.clone(drop_path_rate=0.0).rng_streams == ()


@pytest.mark.parametrize(
  "path, rate, decays",
  [
    ("stem/kernel", 0.1, True),
    ("neck/bn/scale", 0.1, True),
    ("transformer/patch_embed/proj/kernel", 1.0, False),
    ("transformer/stage0_block0/norm1/bias", 1.0, False),
    ("transformer/stage0_block0/attention/bias_table", 1.0, False),
    ("transformer/stage0_block0/fc1/bias", 1.0, True),
    ("transformer/downsample_norm/scale", 1.0, True),
    ("transformer/norm/scale", 1.0, False),
  ],
)
def test_groups_of_parameters(path, rate, decays):
  module = models.create_model(CONFIG)
  group = module.optimizer_groups["swingait"](path.split("/"))
  assert group == swingait.parameter_group(path.split("/")) == (rate, decays)


@pytest.mark.parametrize(
  "config, message",
  [
    (dict(mode="p3d"), "swingait has no key mode"),
    (dict(channels=(1, 1, 1, 1)), "give two positive"),
    (dict(blocks=(1, 1, 1, 0)), "positive but for the first"),
    (dict(drop_path_rate=1.0), "less than 1"),
    (dict(dim=40), "a multiple of 16"),
    (dict(retrieval="neck"), "num_classes is 0"),
  ],
)
def test_bad_configs(config, message):
  with pytest.raises(errors.UserError, match=message) as caught:
    models.create_model(dict(name="swingait", **config))
  assert "\n" not in str(caught.value)
