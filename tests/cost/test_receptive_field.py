"""How many frames a network sees at once."""

import pytest

from gaitkd_jax import cost
from gaitkd_jax import models


@pytest.mark.parametrize(
  "config, frames",
  [
    (dict(name="gaitbase"), 1),
    # Of twice the usual frames, of which it needs all rows.
    (dict(name="gaitbase_plain", channels=(64,) * 4, halvings=3), 1),
    # A frame on either side for every convolution over time.
    (dict(name="deepgaitv2", blocks=(1, 1, 2, 1)), 1 + 2 * 4),
    (dict(name="deepgaitv2", mode="3d", blocks=(1, 1, 1, 1)), 1 + 2 * 6),
    # Four rows of windows, each shifted against the next; one convolution.
    (dict(name="swingait", blocks=(1, 1, 2, 2)), 4 * 3 + 2),
    # Three stages, each of three frames that are three of the input's; a stem.
    (dict(name="gaitgl"), 7 * 3 + 2),
    # Windows of five, of which each is weighed by five.
    (dict(name="gaitpart"), 5),
  ],
)
def test_receptive_field(config, frames):
  assert cost.receptive_field(models.create_model(config)) == frames
