"""The soft shadows of people on the floor."""

import cv2
import numpy as np

from gaitkd_jax.identify.scenes import camera
from gaitkd_jax.identify.scenes import course as course_lib
from gaitkd_jax.identify.scenes import spec

Array = np.ndarray

# A map of the floor around a person's feet, looked at from above.
_SIZE, _STEP = 144, 0.025  # pixels; metres a pixel
_HALF = 0.5 * _SIZE * _STEP


class Shadow:
  """Casts the shadow of one person."""

  def __init__(self, course: course_lib.Course, lamp: Array, blur: float):
    """Projects the figure onto the floor.

    Args:
      course: The person's.
      lamp: float [3], direction towards the lamp in the world; above.
      blur: Metres by which the outline is blurred.
    """
    self._ground = course.ground
    self._blur = blur / _STEP
    back = camera.ROTATION  # rows are the camera's axes in the world
    lean = lamp[:2] / lamp[2]

    def cast(points: Array) -> Array:
      world = points @ back + np.array((0.0, 0.0, camera.RAISED))
      flat = world[..., :2] - world[..., 2:] * lean
      return (flat - course.ground + _HALF) / _STEP

    self._ends = np.rint(cast(course.ends) * 16).astype(int)
    self._width = np.maximum(
      np.rint(2 * course.radii.mean(1) / _STEP).astype(int), 1
    )
    self._centres = np.rint(cast(course.centres) * 16).astype(int)
    axes = np.linalg.norm(course.axes, axis=-2)  # [e, s, 3]
    middle = np.sort(axes[:, 0], axis=-1)[:, 1]
    self._reach = np.rint(middle * 0.9 / _STEP * 16).astype(int)

  def draw(self, frame: int) -> tuple[tuple[slice, slice], Array] | None:
    """Draws the shadow of a frame.

    Returns:
      Rows and columns of the picture, and float32 [h, w], 0 to 1 (dark); or
      None where it is outside of the picture.
    """
    plan = np.zeros((_SIZE, _SIZE), np.uint8)
    for p, q, width in zip(
      self._ends[:, 0, frame], self._ends[:, 1, frame], self._width, strict=True
    ):
      cv2.line(plan, p.tolist(), q.tolist(), 255, int(width), cv2.LINE_AA, 4)
    for centre, reach in zip(self._centres[:, frame], self._reach, strict=True):
      cv2.circle(plan, centre.tolist(), int(reach), 255, -1, cv2.LINE_AA, 4)
    plan = cv2.GaussianBlur(plan, (0, 0), self._blur)
    # Where feet touch the floor, hardly any light comes in from the sides.
    middle = (_SIZE // 2, _SIZE // 2)
    near = np.zeros_like(plan)
    cv2.circle(near, middle, int(0.25 / _STEP), 110, -1)
    plan = np.maximum(plan, cv2.GaussianBlur(near, (0, 0), 0.12 / _STEP))

    x, y = self._ground[frame] - _HALF
    matrix = camera.floor_homography(x, y, _STEP)
    side = float(_SIZE)
    corners = np.array([(0, 0, 1), (side, 0, 1), (0, side, 1), (side, side, 1)])
    seen = corners @ matrix.T
    if (seen[:, 2] < 0.3).any():
      return None
    seen = seen[:, :2] / seen[:, 2:]
    x0, y0 = np.maximum(np.floor(seen.min(0)).astype(int), 0)
    x1, y1 = np.minimum(
      np.ceil(seen.max(0)).astype(int), (spec.WIDTH, spec.HEIGHT)
    )
    if x0 >= x1 or y0 >= y1:
      return None
    move = np.array([(1.0, 0, -x0), (0, 1.0, -y0), (0, 0, 1.0)])
    picture = cv2.warpPerspective(
      plan, move @ matrix, (int(x1 - x0), int(y1 - y0))
    )
    box = (slice(int(y0), int(y1)), slice(int(x0), int(x1)))
    return box, picture.astype(np.float32) / 255.0
