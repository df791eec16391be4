"""Renders scenes frame by frame, with the truth about every person."""

from collections.abc import Iterator
import dataclasses

import cv2
import numpy as np

from gaitkd_jax.identify.scenes import colours as colours_lib
from gaitkd_jax.identify.scenes import course as course_lib
from gaitkd_jax.identify.scenes import raster
from gaitkd_jax.identify.scenes import setting
from gaitkd_jax.identify.scenes import shadows
from gaitkd_jax.identify.scenes import spec

Array = np.ndarray

# A silhouette is shown to networks without the 10 outer columns of each side.
_INNER = slice(10, 54)
_NOISE_REACH = 96  # pixels by which the drawn noise is larger than a frame


@dataclasses.dataclass(frozen=True)
class Seen:
  """The truth about one person in one frame.

  Attributes:
    number: Which of the scene's people, from 0.
    subject: Who it is, "001" to "124".
    box: x, y, width and height in pixels of all of the person that is in the
      picture, hidden or not.
    mask: bool [height, width] of that box, where the person is.
    seen: bool [height, width], the mask without what nearer people hide.
    whole: Whether all of the person is in the picture.
    azimuth: Degrees under which the camera sees the walk; 0 from ahead, 90
      from the left, 270 from the right.
    distance: Metres from the camera.
  """

  number: int
  subject: str
  box: tuple[int, int, int, int]
  mask: Array
  seen: Array
  whole: bool
  azimuth: float
  distance: float

  @property
  def hidden(self) -> float:
    """Share of the person that nearer people hide."""
    return float(1.0 - self.seen.sum() / self.mask.sum())

  @property
  def full(self) -> Array:
    """The mask in the picture, bool [480, 640]."""
    return _in_picture(self.mask, self.box)

  @property
  def visible(self) -> Array:
    """The mask without what is hidden in the picture, bool [480, 640]."""
    return _in_picture(self.seen, self.box)

  def silhouette(self) -> Array | None:
    """Pre-treats the full mask as recorded silhouettes are.

    Returns:
      uint8 [64, 44], or None if the person is not wholly in the picture.
    """
    from data_pipelines import pretreatment

    if not self.whole:
      return None
    out = pretreatment.pretreat_frame(self.mask.astype(np.uint8) * 255)
    return None if out is None else out[:, _INNER]


def _in_picture(mask: Array, box: tuple[int, int, int, int]) -> Array:
  x, y, width, height = box
  out = np.zeros((spec.HEIGHT, spec.WIDTH), bool)
  out[y : y + height, x : x + width] = mask
  return out


@dataclasses.dataclass(frozen=True)
class Truth:
  """The truth about one frame.

  Attributes:
    frame: Its number, from 0.
    people: Who is in the picture, by number.
  """

  frame: int
  people: tuple[Seen, ...]


@dataclasses.dataclass(frozen=True)
class _Actor:
  course: course_lib.Course
  flat: raster.Flat
  colours: colours_lib.Colours
  shadow: shadows.Shadow


def _lamp(scene: spec.Scene) -> tuple[Array, Array, float]:
  """Draws the lamp: towards it in the world, in the camera's frame; blur."""
  rng = spec.generator(spec.LIGHT, scene.seed)
  turn, up = np.deg2rad(rng.uniform((200.0, 42.0), (340.0, 68.0)))
  world = np.array(
    [np.cos(turn) * np.cos(up), np.sin(turn) * np.cos(up), np.sin(up)]
  )
  inside = course_lib.camera.ROTATION @ world
  # Surfaces' normals count towards the camera.
  return world, inside * (1.0, 1.0, -1.0), rng.uniform(0.02, 0.07)


def _add(frame: Array, actor: _Actor, drawn: raster.Drawn, index: int) -> Array:
  """Draws a person onto the frame.

  Returns:
    bool [h, w], which pixels of the drawn part are the person.
  """
  presence = float(actor.course.presence[index])
  flat = actor.flat
  # Cloth is fixed to the lowest slice of the torso.
  x, y = flat.centres[index, 0]
  scale = flat.scales[index].mean()
  columns = np.arange(drawn.columns.start, drawn.columns.stop)
  rows = np.arange(drawn.rows.start, drawn.rows.stop)
  colour = colours_lib.paint(
    actor.colours,
    drawn.part,
    drawn.shade,
    (columns - x) / scale,
    (rows - y) / scale,
  )
  alpha = np.clip(drawn.distance + 0.5, 0.0, 1.0) * presence
  # What a lens does to an outline that is computed.
  alpha = cv2.GaussianBlur(alpha, (0, 0), 0.6)
  colour = cv2.GaussianBlur(colour, (0, 0), 0.5)
  part = frame[drawn.rows, drawn.columns]
  part += alpha[..., None] * (colour - part)
  return (drawn.distance > 0) & (presence > 0.5)


def render(scene: spec.Scene) -> Iterator[tuple[Array, Truth]]:
  """Renders a scene, one frame at a time.

  The frames are a function of the spec and `spec.VERSION` alone.

  Args:
    scene: What to show.

  Yields:
    uint8 [480, 640, 3], RGB, and the truth about it.

  Raises:
    errors.UserError: The scene cannot be rendered.
  """
  spec.check(scene)
  empty, is_floor = setting.paint(scene)
  lamp, light, blur = _lamp(scene)
  actors = []
  for number, person in enumerate(scene.people):
    course = course_lib.plot(person)
    actors.append(
      _Actor(
        course,
        raster.flatten(course),
        colours_lib.choose(scene, number, course),
        shadows.Shadow(course, lamp, blur),
      )
    )
  rng = spec.generator(spec.NOISE, scene.seed)
  size = (spec.HEIGHT + _NOISE_REACH, spec.WIDTH + _NOISE_REACH, 3)
  noise = rng.standard_normal(size, dtype=np.float32)
  # A sensor's colours share most of their noise once it is filtered.
  noise += noise.mean(-1, keepdims=True)
  noise *= np.float32(scene.noise / noise.std())
  times, factors = zip(*scene.light, strict=True)
  for number in range(scene.frames):
    frame = empty.copy()
    present = [
      (i, actor, number - actor.course.first)
      for i, actor in enumerate(actors)
      if 0 <= number - actor.course.first < len(actor.course.ground)
    ]
    for _, actor, index in present:
      found = actor.shadow.draw(index)
      if found is None:
        continue
      box, dark = found
      dark *= scene.shadow * actor.course.presence[index]
      dark *= is_floor[box]
      frame[box] *= (1.0 - dark)[..., None]
    # The far ones first.
    present.sort(key=lambda item: -item[1].course.ground[item[2], 1])
    seen: dict[int, Seen] = {}
    for i, actor, index in present:
      drawn = raster.draw(actor.flat, actor.course.parts, index, light)
      if drawn is None:
        continue
      inside = _add(frame, actor, drawn, index)
      if not inside.any():
        continue
      for other in seen.values():
        _hide(other, drawn.rows.start, drawn.columns.start, inside)
      seen[i] = _seen(scene, i, actor.course, index, drawn, inside)
    frame *= np.float32(
      np.interp(number / spec.FRAMES_PER_SECOND, times, factors)
    )
    # Drawing 900,000 numbers a frame would take longer than all the rest.
    down, across = rng.integers(0, _NOISE_REACH, 2)
    frame += noise[down : down + spec.HEIGHT, across : across + spec.WIDTH]
    np.clip(frame, 0.0, 255.0, out=frame)
    people = tuple(seen[i] for i in sorted(seen))
    yield np.rint(frame, out=frame).astype(np.uint8), Truth(number, people)


def _hide(seen: Seen, row: int, column: int, mask: Array) -> None:
  """Takes a nearer person's mask, which begins there, out of what is seen."""
  x, y, width, height = seen.box
  top, left = max(row, y), max(column, x)
  bottom = min(row + mask.shape[0], y + height)
  right = min(column + mask.shape[1], x + width)
  if top < bottom and left < right:
    cover = mask[top - row : bottom - row, left - column : right - column]
    seen.seen[top - y : bottom - y, left - x : right - x] &= ~cover


def _seen(
  scene: spec.Scene,
  number: int,
  course: course_lib.Course,
  index: int,
  drawn: raster.Drawn,
  inside: Array,
) -> Seen:
  x, y, width, height = cv2.boundingRect(inside.view(np.uint8))
  mask = inside[y : y + height, x : x + width].copy()
  return Seen(
    number,
    scene.people[number].subject,
    (int(x + drawn.columns.start), int(y + drawn.rows.start), width, height),
    mask,
    mask.copy(),
    drawn.whole,
    float(course.azimuth[index]),
    float(np.hypot(*course.ground[index])),
  )
