"""The place of a scene: a floor, a wall, and how light falls on them."""

import cv2
import numpy as np

from gaitkd_jax.identify.scenes import camera
from gaitkd_jax.identify.scenes import course
from gaitkd_jax.identify.scenes import spec

Array = np.ndarray

_TILE = 512  # pixels of the noise that surfaces repeat
_DOOR = (1.3, 2.15)  # metres


def cloud(rng: np.random.Generator, size: int, octaves: int = 6) -> Array:
  """Draws noise of many scales that repeats at its borders.

  Args:
    rng: Generator to draw from.
    size: Rows and columns, a power of 2.
    octaves: How many scales, the finest first.

  Returns:
    float32 [size, size], mean 0 and standard deviation 1.
  """
  out = np.zeros((size, size), np.float32)
  for i in range(octaves):
    knots = rng.standard_normal((size >> i, size >> i), dtype=np.float32)
    knots = np.pad(knots, 4, mode="wrap")
    wide = cv2.resize(
      knots, None, fx=1 << i, fy=1 << i, interpolation=cv2.INTER_CUBIC
    )
    edge = 4 << i
    out += wide[edge:-edge, edge:-edge] * (1.0 + 0.8 * i)
  return (out - out.mean()) / out.std()


def _look_up(tile: Array, x: Array, y: Array, step: float) -> Array:
  """Reads noise at places in metres; `step` metres a pixel of it."""
  to = [np.float32(np.mod(v / step, tile.shape[0])) for v in (x, y)]
  return cv2.remap(
    np.pad(tile, (0, 1), mode="wrap"), *to, interpolation=cv2.INTER_LINEAR
  )


def _joints(x: Array, y: Array, width: float, height: float, shift: float):
  """Dark lines between stones, 0 to 1, every other row shifted."""
  row = np.floor(y / height)
  x = x + shift * width * np.mod(row, 2)
  gaps = [
    np.minimum(np.mod(v, s), s - np.mod(v, s))
    for v, s in ((x, width), (y, height))
  ]
  # As wide as a pixel is far away, so that lines do not flicker.
  line = [
    np.clip(1.5 - gap / np.maximum(0.008, _per_pixel(v)), 0.0, 1.0)
    * np.clip(0.012 / _per_pixel(v), 0.0, 1.0)
    for gap, v in zip(gaps, (x, y), strict=True)
  ]
  stone = np.mod(np.floor(x / width) * 37.0 + row * 91.0, 17.0) / 17.0 - 0.5
  return np.maximum(*line), stone


def _per_pixel(values: Array) -> Array:
  change = np.abs(np.gradient(values, axis=1))
  change += np.abs(np.gradient(values, axis=0))
  return np.minimum(change, 10.0) + 1e-4


def _door_places(scene: spec.Scene) -> list[float]:
  """Middles of the doors in the wall, metres to the right."""
  out = []
  for person in scene.people:
    ahead = course.heading(person)
    if abs(ahead[1]) < 0.9:
      continue
    out.append(
      person.offset + ahead[0] * (course.WALL - person.depth) / ahead[1]
    )
  return out


def _grey(rng: np.random.Generator, low: float, high: float) -> Array:
  """A muted colour, float [3]."""
  tint = rng.normal(0.0, 7.0, 3)
  return rng.uniform(low, high) + tint - tint.mean()


def paint(scene: spec.Scene) -> tuple[Array, Array]:
  """Paints the empty place.

  Returns:
    float32 [480, 640, 3], RGB, 0 to 255 under a light of 1; and bool
    [480, 640], where the floor is.
  """
  rng = spec.generator(spec.SETTING, scene.seed)
  fine, coarse = cloud(rng, _TILE), cloud(rng, _TILE, 8)
  sight = camera.rays()
  down = np.minimum(sight[..., 2], -1e-3)
  to_floor = camera.RAISED / -down
  floor_x, floor_y = to_floor * sight[..., 0], to_floor * sight[..., 1]
  is_floor = (sight[..., 2] < 0) & (floor_y < course.WALL)
  to_wall = course.WALL / sight[..., 1]
  wall_x = to_wall * sight[..., 0]
  wall_z = camera.RAISED + to_wall * sight[..., 2]

  floor_colour, wall_colour = _grey(rng, 95, 165), _grey(rng, 100, 190)
  size = rng.uniform(0.4, 0.9)
  joints, stone = _joints(floor_x, floor_y, size, size, 0.0)
  grain = _look_up(fine, floor_x, floor_y, 0.01)
  stain = _look_up(coarse, floor_x + 3.0, floor_y, 0.03)
  # Grain finer than a pixel averages out.
  near = np.clip(0.03 / _per_pixel(floor_y), 0.0, 1.0)
  strength = rng.uniform((0.15, 4.0, 3.0, 2.0), (0.5, 9.0, 7.0, 12.0))
  floor = floor_colour + (
    strength[1] * near * grain
    + strength[2] * stain
    + strength[3] * stone * near
    - 60.0 * strength[0] * joints
  )[..., None] * (1.0, 0.98, 0.95)

  bricks = rng.random() < 0.6
  width, height = (0.5, 0.16) if bricks else (1.8, 2.6)
  joints, stone = _joints(wall_x + 0.3, wall_z, width, height, 0.5 * bricks)
  grain = _look_up(fine, wall_x, wall_z, 0.012)
  stain = _look_up(coarse, wall_x, wall_z + 5.0, 0.025)
  strength = rng.uniform((0.2, 2.0, 3.0, 6.0), (0.6, 6.0, 8.0, 22.0))
  wall = wall_colour + (
    strength[1] * grain
    + strength[2] * stain
    + strength[3] * stone
    - 50.0 * strength[0] * joints
  )[..., None] * (1.0, 0.97, 0.93)
  _hang_pictures(rng, wall, wall_x, wall_z, grain)
  skirting = (wall_z < 0.14)[..., None]
  wall = np.where(skirting, 0.55 * wall, wall)
  # The frame of a door, and the dark inside of it; doors may be side by side.
  for rim, colour in ((0.09, (70.0, 70.0, 70.0)), (0.0, (22.0, 22.0, 25.0))):
    for x in _door_places(scene):
      across = np.abs(wall_x - x) < 0.5 * _DOOR[0] + rim
      wall[across & (wall_z < _DOOR[1] + rim)] = colour

  picture = np.where(is_floor[..., None], floor, wall)
  # Light falls from one side, and corners of the picture are darker.
  y, x = np.indices(is_floor.shape) / np.array((240.0, 320.0))[:, None, None]
  side = rng.uniform(-0.08, 0.08)
  light = 1.0 + side * (x - 1.0) - 0.06 * ((x - 1.0) ** 2 + (y - 1.0) ** 2)
  picture = np.clip(picture * light[..., None], 8.0, 245.0)
  picture = cv2.GaussianBlur(picture.astype(np.float32), (0, 0), 0.7)
  return picture, is_floor


def _hang_pictures(
  rng: np.random.Generator, wall: Array, x: Array, z: Array, grain: Array
) -> None:
  """Hangs posters and windows on the wall, in place."""
  for _ in range(rng.integers(1, 5)):
    left, bottom = rng.uniform((-5.5, 0.9), (5.0, 1.8))
    width, height = rng.uniform((0.6, 0.6), (2.2, 1.5))
    colour = rng.uniform(40.0, 220.0, 3)
    inside = (x > left) & (x < left + width)
    inside &= (z > bottom) & (z < bottom + height)
    rim = inside & (
      (np.minimum(x - left, left + width - x) < 0.05)
      | (np.minimum(z - bottom, bottom + height - z) < 0.05)
    )
    wall[inside] = colour + 6.0 * grain[inside][:, None]
    wall[rim] = 0.35 * colour
