"""How a walker crosses the floor: its pace follows from its feet."""

import dataclasses

import numpy as np

from gaitkd_jax.identify.scenes import camera
from gaitkd_jax.identify.scenes import spec

Array = np.ndarray

WALL = 13.0  # metres from the camera
_LONGEST = 24.0  # seconds that a walk may last
_SETTLE = 0.5  # seconds from walking to standing
_MARGIN = 0.6  # metres beside the picture where a walk begins and ends
_NEAREST = 1.2  # metres from the camera where a walk ends
# Degrees: straight legs, and soles flat on the floor.
_STANDING = {"thigh_a": 2.0, "shank_a": -3.0, "foot_a": -11.0}


@dataclasses.dataclass(frozen=True)
class Course:
  """A person's figure on the floor, from entry to exit.

  Attributes:
    first: Frame of the scene at which it begins.
    ends: float32 [c, 2, s, 3], ends of the capsules in the camera's frame.
    radii: float32 [c, 2].
    centres: float32 [e, s, 3], of the ellipsoids, in the camera's frame.
    axes: float32 [e, s, 3, 3], columns are their half axes.
    parts: What they are, capsules first; see the walkers' `Shapes`.
    ground: float [s, 2], where the person is in the world, x and y.
    azimuth: float [s], degrees under which the camera sees the walk; 0 from
      ahead, 90 from the left, 270 from the right.
    presence: float [s], 1, or less where the person comes out of the dark of a
      door or goes into it.
    bare: Whether the forearms are.
    tucked: Whether the shirt ends at the waist.
  """

  first: int
  ends: Array
  radii: Array
  centres: Array
  axes: Array
  parts: tuple[str, ...]
  ground: Array
  azimuth: Array
  presence: Array
  bare: bool
  tucked: bool


def _smooth(values: Array, sigma: float) -> Array:
  reach = int(3 * sigma) + 1
  kernel = np.exp(-0.5 * (np.arange(-reach, reach + 1) / sigma) ** 2)
  padded = np.pad(values, reach, mode="edge")
  return np.convolve(padded, kernel / kernel.sum(), mode="valid")


def _bearing(phase: Array) -> Array:
  """How much a leg bears, [s] of 0 to 1, at the phases of its stride."""
  # From heel strike to toe-off, 0.62 of a stride later; the other leg lifts off
  # at 0.12 and strikes at 0.5.
  share = np.mod(phase / (2 * np.pi) + 0.2, 1.0) - 0.2
  return np.interp(share, [-0.02, 0.10, 0.50, 0.62], [0.0, 1.0, 1.0, 0.0])


def travel(shapes, phase: Array) -> Array:
  """Finds the way that keeps a foot in its place while it bears the body.

  Args:
    shapes: The walkers' `Shapes`, s frames at 25 a second.
    phase: float [s], the phase of the walk.

  Returns:
    float [s, 2], metres forward and to the left of the first frame.
  """
  feet = [part == "shoe" for part in shapes.capsule_parts]
  # Left foot and instep, right foot and instep; heel or ankle, and toe.
  points = shapes.ends[feet].astype(float)[::2]
  height = points[..., 2] - shapes.radii[feet][::2, :, None]
  # Of a foot that point bears which is lower, by more than millimetres. Which
  # foot bears is known from the phase: some drag the other along the floor.
  weight = np.exp(-(height - height.min(1, keepdims=True)) / 0.006)
  weight /= weight.sum(1, keepdims=True)
  weight *= np.stack([_bearing(phase), _bearing(phase + np.pi)])[:, None]
  weight = weight[..., 1:] * weight[..., :-1] + 1e-12
  weight /= weight.sum((0, 1))
  moves = np.diff(points[..., :2], axis=2)
  moves = -(weight[..., None] * moves).sum((0, 1))
  forward = _smooth(np.append(moves[:, 0], moves[-1, 0]), 1.5)
  forward = np.concatenate([[0.0], forward.cumsum()[:-1]])
  aside = np.concatenate([[0.0], moves[:, 1].cumsum()])
  # Sway stays; what slowly adds up would bend the way.
  aside = _smooth(aside - _smooth(aside, 14.0), 1.5)
  return np.stack([forward, aside], -1)


def _stop(walk, rate: Array):
  """Returns the walk slowed down by `rate` [s]: 1 walks on, 0 stands."""
  from data_pipelines.walkers import motion

  index = np.concatenate([[0.0], rate.cumsum()[:-1]])
  frames = np.arange(len(walk.phase))
  motion_share = rate * rate * (3.0 - 2.0 * rate)

  def slow(angles: Array, names: tuple[str, ...]) -> Array:
    out = np.stack([np.interp(index, frames, row) for row in angles])
    standing = angles.mean(1)
    for i, name in enumerate(names):
      if name in _STANDING:
        standing[i] = np.deg2rad(_STANDING[name])
    standing = standing[:, None]
    return (standing + motion_share * (out - standing)).astype(np.float32)

  return motion.Walk(
    slow(walk.left, motion.SIDED),
    slow(walk.right, motion.SIDED),
    slow(walk.central, motion.CENTRAL),
    np.interp(index, frames, walk.phase),
  )


def heading(person: spec.Person) -> Array:
  """Direction of the walk in the world, [2]."""
  angle = np.deg2rad(person.view)
  sign = -1.0 if person.direction == "left" else 1.0
  return np.array([sign * np.sin(angle), -np.cos(angle)])


def _inside(place: Array) -> Array:
  """Whether somebody who stands there, [..., 2], may be in the picture."""
  x, y = place[..., 0], place[..., 1]
  edge = y * 0.5 * spec.WIDTH / camera.FOCAL + _MARGIN
  return (np.abs(x) < edge) & (y > _NEAREST) & (y < WALL - 0.3)


def plot(person: spec.Person) -> Course:
  """Lays a person's walk through a scene.

  The walk begins beside the picture or in the dark of a door in the wall, at
  the second at which the person's course says, and ends likewise.
  """
  from data_pipelines.walkers import figure
  from data_pipelines.walkers import sequence

  frames = round(_LONGEST * spec.FRAMES_PER_SECOND)
  body, clothes, bag, walk = sequence.draw_walker(
    person.subject, person.condition, frames
  )
  first = round(person.start * spec.FRAMES_PER_SECOND)
  if person.halt is not None:
    begin, length = person.halt
    seconds = (first + np.arange(frames)) / spec.FRAMES_PER_SECOND
    away = np.maximum(begin - seconds, seconds - begin - length)
    walk = _stop(walk, np.clip(away / _SETTLE, 0.0, 1.0))
  shapes = figure.build(body, clothes, bag, walk)

  ahead = heading(person)
  left = np.array([-ahead[1], ahead[0]])
  middle = np.array([person.offset, person.depth])
  # The way out of the picture, backward from its middle, in centimetres.
  back = np.arange(0.0, 20.0, 0.01)[:, None]
  enter = back[np.argmin(_inside(middle - back * ahead)), 0]
  way = travel(shapes, walk.phase)
  ground = middle + (way[:, :1] - enter) * ahead + way[:, 1:] * left
  passed = way[:, 0] > enter
  gone = np.flatnonzero(passed & ~_inside(ground))
  last = int(gone[0]) if len(gone) else frames
  kept = slice(0, last)

  turn = np.zeros((3, 3))
  turn[:2, 0], turn[:2, 1], turn[2, 2] = ahead, left, 1.0
  ground = ground[kept]
  lift = np.concatenate([ground, -shapes.floor[kept, None]], -1)
  ends = shapes.ends[:, :, kept] @ turn.T + lift
  centres = shapes.centres[:, kept] @ turn.T + lift
  axes = camera.ROTATION @ turn @ shapes.axes[:, kept]
  toward = -ground
  cosine, sine = toward @ ahead, toward @ left
  # Coming out of a dark door takes as long as half a metre.
  dark = np.clip((WALL - 0.3 - ground[:, 1]) / 0.5, 0.0, 1.0)
  single = np.float32
  return Course(
    first,
    camera.to_camera(ends).astype(single),
    shapes.radii,
    camera.to_camera(centres).astype(single),
    axes.astype(single),
    shapes.capsule_parts + shapes.ellipsoid_parts,
    ground,
    np.rad2deg(np.arctan2(sine, cosine)) % 360.0,
    dark,
    bool(clothes.cuff == 0.0),
    "hem" not in shapes.capsule_parts,
  )
