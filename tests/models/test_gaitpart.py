"""GaitPart: motion of parts, precision, configs."""

import jax.numpy as jnp
import numpy as np
import pytest

from gaitkd_jax import errors
from gaitkd_jax import models
from gaitkd_jax.models import gaitpart
from tests.helpers import networks


@pytest.mark.parametrize("name", ["gaitpart", "gaitpart_large"])
def test_bfloat16_inside_and_float32_outside(name):
  networks.check_bfloat16(networks.LEAKY[name])


def test_every_part_has_its_own_convolution_over_time():
  rng = np.random.default_rng(0)
  x = rng.standard_normal((2, 5, 3, 4)).astype(np.float32)
  kernels = rng.standard_normal((3, 3, 4, 6)).astype(np.float32)
  params = {f"part{i}": kernel for i, kernel in enumerate(kernels)}
  out = gaitpart.PartConv(6, 3).apply({"params": params}, jnp.asarray(x))
  for part, kernel in enumerate(kernels):
    before = np.pad(x[:, :, part], ((0, 0), (1, 1), (0, 0)))
    expected = sum(before[:, t : t + 5] @ kernel[t] for t in range(3))
    np.testing.assert_allclose(out[:, :, part], expected, rtol=1e-4, atol=1e-4)


def test_motion_of_one_frame_by_hand():
  """With zero scores: half of the mean with zeros plus the maximum."""
  module = gaitpart.MicroMotion()
  x = jnp.full((1, 1, 1, 8), 3.0)
  params = {
    f"window{window}_{name}": {"part0": np.zeros((size, *widths), np.float32)}
    for window, expand in ((3, 1), (5, 3))
    for name, size, widths in (
      ("squeeze", 3, (8, 2)),
      ("expand", expand, (2, 8)),
    )
  }
  out = module.apply({"params": params}, x, None)
  expected = 0.5 * (3 / 3 + 3) + 0.5 * (3 / 5 + 3)
  np.testing.assert_allclose(out, np.full((1, 1, 8), expected), rtol=1e-6)


@pytest.mark.parametrize(
  "config, message",
  [
    (dict(variant="big"), "give casiab or large"),
    (dict(variant="large"), "large has 4 channels"),
    (dict(channels=(1, 1)), "three positive numbers, or four"),
  ],
)
def test_bad_configs(config, message):
  with pytest.raises(errors.UserError, match=message) as caught:
    models.create_model(dict(name="gaitpart", **config))
  assert "\n" not in str(caught.value)
