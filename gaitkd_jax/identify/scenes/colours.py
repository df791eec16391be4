"""What colours people wear, and the cloth's texture."""

import colorsys
import dataclasses

import numpy as np

from gaitkd_jax.identify.scenes import course as course_lib
from gaitkd_jax.identify.scenes import setting
from gaitkd_jax.identify.scenes import spec

Array = np.ndarray

_SKIN = np.array(
  [
    (236, 196, 172),
    (214, 164, 132),
    (176, 124, 92),
    (124, 82, 60),
    (88, 60, 46),
  ]
)
_HAIR = np.array(
  [(32, 28, 26), (58, 42, 34), (104, 74, 50), (168, 132, 84), (150, 148, 146)]
)
_TILE = 128
_TEXELS = 80.0  # pixels of the texture in a metre


@dataclasses.dataclass(frozen=True)
class Colours:
  """How a person looks in a scene.

  Attributes:
    palette: float32 [parts + 1, 3], RGB of the figure's primitives.
    cloth: float32 [parts + 1], how strongly each shows the texture.
    texture: float32 [128, 128], which is repeated; mean 0.
  """

  palette: Array
  cloth: Array
  texture: Array


def _dye(rng: np.random.Generator, low: float, high: float) -> Array:
  hue, saturation, value = rng.uniform((0.0, 0.05, low), (1.0, 0.65, high))
  return 255.0 * np.array(colorsys.hsv_to_rgb(hue, saturation, value))


def choose(
  scene: spec.Scene, number: int, course: course_lib.Course
) -> Colours:
  """Chooses a person's colours.

  Args:
    scene: The scene; its seed decides.
    number: Which of its people.
    course: That person's.
  """
  person = scene.people[number]
  rng = spec.generator(spec.COLOURS, scene.seed, number)
  shirt, trousers = _dye(rng, 0.15, 0.95), _dye(rng, 0.10, 0.55)
  shoe, bag, coat = (
    _dye(rng, *v) for v in ((0.1, 0.5), (0.15, 0.7), (0.12, 0.6))
  )
  skin = _SKIN[rng.integers(len(_SKIN))] * rng.uniform(0.92, 1.05)
  hair = _HAIR[rng.integers(len(_HAIR))] * rng.uniform(0.85, 1.1)
  texture = setting.cloud(rng, _TILE, 4)
  if rng.random() < 0.35:
    rows = np.arange(_TILE) / _TILE * 2 * np.pi * rng.integers(6, 16)
    texture = 0.5 * texture + np.sign(np.sin(rows))[:, None]
  strength = rng.uniform(0.03, 0.13)
  if person.condition.startswith("cl"):
    shirt = coat
  wear = {
    "trousers": trousers,
    "shoe": shoe,
    "shirt": shirt,
    "hips": trousers if course.tucked else shirt,
    "sleeve": shirt,
    "cuff": skin if course.bare else shirt,
    "hand": skin,
    "skin": skin,
    "hair": hair,
    "hem": shirt,
    "collar": shirt * 0.9,
    "hood": shirt * 0.85,
    "bag": bag,
  }
  wall = np.full(3, 140.0)
  palette = [
    wall + person.contrast * (wear[part] - wall) for part in course.parts
  ]
  smooth = ("hand", "skin", "shoe") + ("cuff",) * course.bare
  cloth = [0.0 if part in smooth else strength for part in course.parts]
  return Colours(
    np.array([*palette, wall], np.float32),
    np.array([*cloth, 0.0], np.float32),
    texture.astype(np.float32),
  )


def paint(
  colours: Colours,
  part: Array,
  shade: Array,
  x: Array,
  y: Array,
) -> Array:
  """Colours a figure.

  Args:
    colours: The person's.
    part: int [h, w], indices of primitives.
    shade: float32 [h, w], light on them.
    x: float [w], metres to the right of a point of the body.
    y: float [h], metres below it.

  Returns:
    float32 [h, w, 3], RGB.
  """
  columns = np.floor(x * _TEXELS).astype(int) % _TILE
  rows = np.floor(y * _TEXELS).astype(int) % _TILE
  cloth = colours.texture[rows[:, None], columns] * colours.cloth[part]
  return colours.palette[part] * (shade * (1.0 + cloth))[..., None]
