"""People before a background: masks, shadows, light, and a moving camera."""

import cv2
import numpy as np
import pytest

from gaitkd_jax.identify import background as background_lib

HEIGHT, WIDTH = 240, 320


def wall(seed=0):
  """A textured place, float [h, w, 3]."""
  rng = np.random.default_rng(seed)
  fine = rng.normal(0, 1, (HEIGHT, WIDTH, 3))
  fine = cv2.GaussianBlur(fine, (0, 0), 1.5)
  coarse = cv2.GaussianBlur(rng.normal(0, 1, (HEIGHT, WIDTH, 3)), (0, 0), 12)
  return 120 + 12 * fine / fine.std() + 20 * coarse / coarse.std()


def body(x):
  """Where a walker is, bool [h, w]."""
  mask = np.zeros((HEIGHT, WIDTH), np.uint8)
  cv2.circle(mask, (x, 70), 10, 1, -1)
  cv2.ellipse(mask, (x, 112), (16, 34), 0, 0, 360, 1, -1)
  cv2.line(mask, (x - 4, 140), (x - 14, 190), 1, 9)
  cv2.line(mask, (x + 4, 140), (x + 14, 190), 1, 9)
  return mask > 0


def film(frames=40, seed=0, light=1.0, shadow=False, noise=3.0):
  """Frames of a walk, and where the walker is."""
  rng = np.random.default_rng(seed)
  empty, pictures, truth = wall(seed), [], []
  for i in range(frames):
    x = 20 + round(280 * i / frames)
    picture, mask = empty.copy(), body(x)
    if shadow:
      dark = np.zeros((HEIGHT, WIDTH), np.uint8)
      cv2.ellipse(dark, (x + 30, 192), (40, 7), 0, 0, 360, 1, -1)
      picture[dark > 0] *= 0.65
    picture[mask] = (60, 40, 170) if x % 2 else (40, 150, 60)
    factor = 1 + (light - 1) * i / frames
    picture = picture * factor + rng.normal(0, noise, picture.shape)
    pictures.append(np.clip(picture, 0, 255).astype(np.uint8))
    truth.append(mask)
  return pictures, truth


def iou(mask, truth):
  return ((mask > 0) & truth).sum() / ((mask > 0) | truth).sum()


@pytest.mark.parametrize(
  "options",
  [{}, {"light": 0.5}, {"light": 1.3}, {"shadow": True}, {"noise": 9.0}],
  ids=str,
)
def test_masks_are_the_people(options):
  pictures, truth = film(**options)
  background = background_lib.Background(pictures)
  found = [
    iou(background.mask(p), t) for p, t in zip(pictures, truth, strict=True)
  ]
  assert np.mean(found[2:-2]) > 0.88 and min(found[2:-2]) > 0.8


def test_another_light_is_no_noise():
  steady = background_lib.Background(film()[0]).limit
  dimmed = background_lib.Background(film(light=0.6)[0]).limit
  assert np.abs(dimmed.astype(int) - steady).mean() < 3


def test_the_first_frame_is_as_good_as_any():
  pictures, truth = film()
  background = background_lib.Background(pictures[::3])
  assert iou(background.mask(pictures[0]), truth[0]) > 0.85


def test_people_have_boxes_areas_and_looks():
  pictures, truth = film()
  background = background_lib.Background(pictures)
  (one,), share = background.people(pictures[20])
  rows, columns = np.nonzero(truth[20])
  expected = [columns.min(), rows.min(), np.ptp(columns) + 1, np.ptp(rows) + 1]
  np.testing.assert_allclose(one.box, expected, atol=3)
  assert one.mask.shape == (one.box[3], one.box[2])
  assert one.area == np.count_nonzero(one.mask)
  assert share == pytest.approx(truth[20].mean(), rel=0.15)
  assert one.look.shape == (48,) and one.look.sum() == pytest.approx(6, 1e-3)


def test_an_empty_picture_holds_nobody():
  empty = wall()
  rng = np.random.default_rng(1)
  pictures = [
    np.clip(empty + rng.normal(0, 4, empty.shape), 0, 255).astype(np.uint8)
    for _ in range(20)
  ]
  background = background_lib.Background(pictures)
  assert not any(background.people(picture)[0] for picture in pictures)


def test_two_people_side_by_side_are_two():
  pictures, _ = film()
  background = background_lib.Background(pictures)
  picture = wall()
  picture[body(100)] = (60, 40, 170)
  picture[body(200)] = (60, 40, 170)
  found, _ = background.people(np.clip(picture, 0, 255).astype(np.uint8))
  assert [round(one.box[0], -1) for one in found] == [80, 180]


def test_holes_are_filled_only_if_they_are_no_background():
  strong = np.zeros((240, 320), np.uint8)
  strong[50:200, 100:160] = 255
  strong[80:140, 115:145] = 0
  dim = strong.copy()
  # Between arm and body one sees the wall.
  assert background_lib.clean(strong, dim)[100, 130] == 0
  dim[80:140, 115:145] = 255
  assert background_lib.clean(strong, dim)[100, 130] == 255
  strong[10:13, 10:13] = 255
  assert background_lib.clean(strong, dim)[11, 11] == 0  # a speck


def test_a_box_holds_one_person():
  mask = np.zeros((100, 100), np.uint8)
  mask[20:80, 30:50] = 255
  mask[20:24, 56:59] = 255  # of a neighbour
  found = background_lib.within(mask, np.array([28.0, 18, 32, 64]))
  assert found.shape == (64, 32)
  assert np.count_nonzero(found) == 60 * 20


def test_a_moving_camera_is_told():
  pictures, _ = film()
  assert background_lib.warnings(pictures, 0.05) == []
  noisy, _ = film(noise=12.0)
  assert background_lib.warnings(noisy, 0.05) == []
  moving = [np.roll(p, 3 * i, axis=1) for i, p in enumerate(pictures)]
  (said,) = background_lib.warnings(moving, 0.05)
  assert "camera seems to move" in said and "\n" not in said
  (said,) = background_lib.warnings(pictures, 0.6)
  assert "60% of the picture" in said
