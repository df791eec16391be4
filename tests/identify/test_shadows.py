"""Shadows are told from people."""

import cv2
import numpy as np

from gaitkd_jax.identify import shadows


def place(contrast):
  rng = np.random.default_rng(0)
  fine = cv2.GaussianBlur(rng.normal(0, 1, (200, 200)), (0, 0), 1.5)
  grey = 130 + contrast * fine / fine.std()
  return np.repeat(grey[..., None], 3, axis=2)


def found(ground, picture, strong):
  return shadows.find(
    np.clip(picture, 0, 255).astype(np.uint8),
    np.clip(ground, 0, 255).astype(np.uint8),
    strong.astype(np.uint8) * 255,
  )


def test_texture_goes_on_in_a_shadow():
  ground = place(20)
  strong = np.zeros((200, 200), bool)
  strong[60:120, 60:140] = True
  shaded, painted = ground.copy(), ground.copy()
  # What the sun leaves to it is bluer.
  shaded[strong] *= (0.85, 0.65, 0.6)
  painted[strong] = (110, 85, 78)
  assert (found(ground, shaded, strong)[65:100, 65:135] > 0).mean() > 0.8
  # Above the feet, without the ground's texture, it is a coat.
  assert (found(ground, painted, strong)[60:100, 60:140] > 0).mean() < 0.1


def test_without_texture_shadows_lie_beside_the_legs():
  ground = place(1)
  strong = np.zeros((200, 200), bool)
  strong[20:180, 90:110] = True  # a person all in dark grey
  body = strong.copy()
  strong[168:180, 90:180] = True
  picture = ground.copy()
  picture[strong] *= 0.7
  picture[body] = 78
  mask = found(ground, picture, strong) > 0
  assert mask[170:178, 125:175].mean() > 0.9
  assert mask[body].mean() < 0.1


def test_feet_in_other_colours_are_no_shadow():
  ground = place(1)
  strong = np.zeros((200, 200), bool)
  strong[20:180, 90:110] = True
  picture = ground.copy()
  picture[strong] = (40, 60, 120)
  assert not found(ground, picture, strong).any()
