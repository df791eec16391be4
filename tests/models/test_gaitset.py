"""GaitSet: sets, precision, configs."""

import jax
import numpy as np
import pytest

from gaitkd_jax import errors
from gaitkd_jax import models
from tests.helpers import networks


def test_bfloat16_inside_and_float32_outside():
  networks.check_bfloat16(networks.LEAKY["gaitset"])


def test_a_repeated_frame_is_no_news_to_a_set():
  module = models.create_model(networks.LEAKY["gaitset"])
  variables = networks.random_variables(module)
  x = networks.clips(module, n=1, s=3)
  apply = jax.jit(module.apply)
  once = apply(variables, x)
  twice = apply(variables, np.concatenate([x, x[:, :2]], axis=1))
  for key in ("embedding", "set", "global"):
    np.testing.assert_allclose(twice[key], once[key], rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(
  "config, message",
  [
    (dict(channels=(1, 1)), "three positive numbers"),
    (dict(num_classes=3), "no key num_classes"),
  ],
)
def test_bad_configs(config, message):
  with pytest.raises(errors.UserError, match=message) as caught:
    models.create_model(dict(name="gaitset", **config))
  assert "\n" not in str(caught.value)
