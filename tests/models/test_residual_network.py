"""The frame of GaitBase and DeepGaitV2."""

import jax
import jax.numpy as jnp
import pytest

from gaitkd_jax import errors
from gaitkd_jax import models
from gaitkd_jax.models import residual_network
from tests.helpers import networks


def test_it_is_a_frame_only():
  with pytest.raises(TypeError, match="abstract"):
    residual_network.ResidualNetwork()


def test_shapes_of_the_end_points():
  module = networks.smoke(dict(name="gaitbase", num_classes=3))
  x = networks.clips(module, n=2, s=3)
  out = jax.eval_shape(module.apply, networks.random_variables(module), x)
  assert {key: value.shape for key, value in out.items()} == dict(
    stage0=(2, 3, 64, 44, 4),
    stage1=(2, 3, 64, 44, 4),
    stage2=(2, 3, 32, 22, 8),
    stage3=(2, 3, 16, 11, 16),
    stage4=(2, 3, 16, 11, 16),
    set=(2, 16, 11, 16),
    embedding=(2, 16, 16),
    retrieval=(2, 16, 16),
    neck=(2, 16, 16),
    logits=(2, 16, 3),
  )


def test_bfloat16_of_stages_only():
  networks.check_dtypes(
    dict(name="deepgaitv2", channels=(4, 4, 8, 8), num_classes=3)
    | dict(blocks=(1, 1, 1, 1))
  )


@pytest.mark.parametrize("name", ["gaitbase", "deepgaitv2"])
@pytest.mark.parametrize(
  "config, message",
  [
    (dict(channels=(1, 1)), "four positive numbers"),
    (dict(channels=8), "four positive numbers"),
    (dict(blocks=(1, 0, 1, 1)), "positive in the second and third"),
    (dict(parts=5), "1, 2, 4, 8 or 16"),
    (dict(remat=1), "True or False"),
  ],
)
def test_bad_configs(name, config, message):
  with pytest.raises(errors.UserError, match=message) as caught:
    models.create_model(dict(name=name, **config))
  assert "\n" not in str(caught.value)


def test_an_absent_stage_keeps_its_input():
  module = networks.smoke(dict(name="gaitbase", blocks=(0, 1, 1, 0)))
  x = networks.clips(module, n=1, s=2)
  out = jax.jit(module.apply)(networks.random_variables(module), x)
  assert jnp.array_equal(out["stage0"], out["stage1"])
  assert jnp.array_equal(out["stage3"], out["stage4"])
