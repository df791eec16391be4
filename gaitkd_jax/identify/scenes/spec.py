"""What a scene shows: who walks where and when, and what light does."""

import dataclasses

import numpy as np

from gaitkd_jax import errors

# Part of every seed: raise it when the same spec no longer gives the same
# frames.
VERSION = 1

WIDTH, HEIGHT = 640, 480
FRAMES_PER_SECOND = 25.0

# Streams of random numbers; part of the seeds, so they never change.
SETTING, LIGHT, NOISE, COLOURS = range(4)


@dataclasses.dataclass(frozen=True)
class Person:
  """One person's walk through a scene.

  Attributes:
    subject: A subject of the walkers, "001" to "124".
    condition: Which of the subject's walks, such as "nm-05" or "bg-01".
    view: Degrees between the walk and the direction towards the camera: 0
      comes towards it, 90 crosses the picture, 180 goes away.
    direction: "left" or "right", where in the picture the walk leads. The
      walkers' own sequences lead to the left; to the right they are mirrored.
    start: Second at which the person comes into the picture.
    depth: Metres from the camera where the walk crosses the picture's middle.
    offset: Metres to the right of the middle, for walks towards the camera or
      away from it.
    halt: Second at which the person stops, and for how many seconds.
    contrast: 1 for clothes of any colour, towards 0 for those of the wall.
  """

  subject: str
  condition: str = "nm-05"
  view: int = 90
  direction: str = "left"
  start: float = 1.0
  depth: float = 6.0
  offset: float = 0.0
  halt: tuple[float, float] | None = None
  contrast: float = 1.0


@dataclasses.dataclass(frozen=True)
class Scene:
  """A short video of people who walk past a camera that stands still.

  Attributes:
    name: A name for files and tables.
    people: Who walks through it.
    seconds: Its length.
    seed: Decides on the place, its light, and all colours.
    noise: Standard deviation of the sensor's noise, in grey levels.
    shadow: How much light the shadows take, 0 to 1.
    light: (second, factor) of the brightness, linear in between.
  """

  name: str
  people: tuple[Person, ...]
  seconds: float = 8.0
  seed: int = 0
  noise: float = 3.0
  shadow: float = 0.35
  light: tuple[tuple[float, float], ...] = ((0.0, 1.0),)

  @property
  def frames(self) -> int:
    """The number of frames."""
    return round(self.seconds * FRAMES_PER_SECOND)


def check(scene: Scene) -> None:
  """Refuses a scene that cannot be rendered.

  Raises:
    errors.UserError: It has no frame, or a walk that the walkers or the place
      do not have.
  """
  from data_pipelines.walkers import spec as walkers

  if scene.frames < 1:
    raise errors.UserError(
      f"scene {scene.name}: {scene.seconds} seconds are no frame; one lasts"
      f" {1 / FRAMES_PER_SECOND} seconds"
    )
  for person in scene.people:
    where = f"scene {scene.name}, subject {person.subject}"
    size = walkers.SIZES["full"]
    walkers.check(size, person.subject, person.condition, size.views[0])
    if person.direction not in ("left", "right"):
      raise errors.UserError(
        f"{where}: direction {person.direction!r}; choose left or right"
      )
    if not 0 <= person.view <= 180:
      raise errors.UserError(f"{where}: view {person.view} is not in 0 to 180")
    if not 4.0 <= person.depth <= 12.0:
      raise errors.UserError(
        f"{where}: depth {person.depth} m is not in 4 to 12, where people are"
        " wholly in the picture and in front of the wall"
      )


def generator(stream: int, seed: int, number: int = 0) -> np.random.Generator:
  """Returns the random generator of one part of a scene."""
  key = (VERSION, stream, seed, number)
  return np.random.Generator(np.random.Philox(np.random.SeedSequence(key)))
