"""DeepGaitV2: what its mode decides."""

import pytest

from gaitkd_jax import errors
from gaitkd_jax import models
from gaitkd_jax.models import deepgaitv2
from tests.helpers import networks


@pytest.mark.parametrize(
  "mode, temporal", [("2d", False), ("p3d", True), ("3d", True)]
)
def test_modes(mode, temporal):
  module = networks.smoke(dict(name="deepgaitv2", mode=mode))
  assert module.block is deepgaitv2.BLOCKS[mode]
  assert module.temporal == temporal
  assert module.width == module.channels[2]
  params = models.abstract_variables(module)["params"]
  # The first stage is 2-D in all modes.
  assert params["stage1_block0"]["conv1"]["kernel"].ndim == 4
  ndim = 5 if mode == "3d" else 4
  assert params["stage2_block0"]["conv1"]["kernel"].ndim == ndim
  assert ("temporal" in params["stage2_block0"]) == (mode == "p3d")


def test_another_mode_is_refused():
  with pytest.raises(errors.UserError, match="is 4d; give 2d, p3d or 3d"):
    models.create_model(dict(name="deepgaitv2", mode="4d"))
