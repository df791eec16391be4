"""Light that changes is told from people who come."""

import numpy as np
import pytest

from gaitkd_jax.identify import light


def place():
  rng = np.random.default_rng(0)
  return np.kron(rng.integers(40, 160, (24, 32, 3)), np.ones((10, 10, 1)))


@pytest.mark.parametrize(
  "factor, offset", [(0.6, 0), (1.4, 0), (1, 30), (0.8, 25)]
)
def test_a_factor_and_an_offset_are_found(factor, offset):
  background = place().astype(np.uint8)
  changed = np.clip(place() * factor + offset, 0, 255)
  person = np.zeros((240, 320), bool)
  person[60:180, 140:190] = True
  changed[person] = 10
  expected = light.expect(background, changed.astype(np.uint8))
  error = np.abs(expected - np.clip(place() * factor + offset, 0, 255))
  assert error[~person].mean() < 2 and error[person].mean() < 4
  back = light.even(background, changed.astype(np.uint8))
  assert np.abs(back[~person] - place()[~person]).mean() < 3


def test_a_flare_on_one_side():
  background = place().astype(np.uint8)
  flare = np.linspace(0, 40, 320)[None, :, None]
  flared = np.clip(place() + flare, 0, 255).astype(np.uint8)
  error = np.abs(light.expect(background, flared).astype(int) - flared)
  assert error.mean() < 4


def test_the_same_light_changes_nothing():
  background = place().astype(np.uint8)
  assert light.even(background, background) is background
  np.testing.assert_array_equal(
    light.expect(background, background), background
  )
