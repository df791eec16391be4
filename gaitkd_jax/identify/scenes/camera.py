"""The camera of a scene: a pinhole at the origin of the floor.

The world: x to the right, y away from the camera, z up, metres. The camera's
frame: x to the right, y down, z along the line of sight.
"""

import numpy as np

from gaitkd_jax.identify.scenes import spec

Array = np.ndarray

# A person at 6 m is 210 pixels high, and seen from 7 degrees above the middle
# of the body, like the walkers' own sequences.
FOCAL = 720.0  # pixels
RAISED = 1.65  # metres above the floor
# People at the sides of the picture lean outward by up to 1.8 degrees; those of
# the walkers' own sequences by some 0.7. A steeper camera would lean them more.
_PITCH = np.deg2rad(4.0)

ROTATION = np.array(
  [
    (1.0, 0.0, 0.0),
    (0.0, -np.sin(_PITCH), -np.cos(_PITCH)),
    (0.0, np.cos(_PITCH), -np.sin(_PITCH)),
  ]
)
CENTRE = np.array((0.5 * spec.WIDTH, 0.5 * spec.HEIGHT))


def to_camera(points: Array) -> Array:
  """Takes points [..., 3] from the world's frame to the camera's."""
  return (points - np.array((0.0, 0.0, RAISED))) @ ROTATION.T


def project(points: Array) -> tuple[Array, Array]:
  """Projects points of the camera's frame.

  Args:
    points: [..., 3], before the camera.

  Returns:
    Pixels [..., 2], x and y, and pixels a metre [...] at those points.
  """
  scale = FOCAL / points[..., 2]
  return points[..., :2] * scale[..., None] + CENTRE, scale


def rays() -> Array:
  """Directions of sight in the world, [height, width, 3]."""
  y, x = np.indices((spec.HEIGHT, spec.WIDTH)) + 0.5
  ahead = np.full_like(x, FOCAL)
  inside = np.stack([x - CENTRE[0], y - CENTRE[1], ahead], -1)
  return inside @ ROTATION


def floor_homography(x: float, y: float, step: float) -> Array:
  """Takes pixels of a map of the floor to pixels of the picture.

  Args:
    x: Metres to the right of the map's first column.
    y: Metres away of the map's first row; rows lead away from the camera.
    step: Metres a pixel of the map.

  Returns:
    [3, 3], of homogeneous coordinates.
  """
  floor = np.array([(step, 0, x), (0, step, y), (0, 0, -RAISED)])
  inside = np.array([(FOCAL, 0, CENTRE[0]), (0, FOCAL, CENTRE[1]), (0, 0, 1)])
  return inside @ ROTATION @ floor
