"""Projects a figure and rasterises it into normalised silhouettes.

The person fills the 64 rows of every frame, as it does after the size
normalisation of recorded gait data.
"""

import dataclasses

import numpy as np

from data_pipelines.walkers import shapes as shapes_lib

Array = np.ndarray

ROWS = 64
# A stride seen from the side is at most about 55 pixels wide.
CANVAS = 88
_TARGET_HEIGHT = 0.9  # metres above the floor that the camera looks at


@dataclasses.dataclass(frozen=True)
class Camera:
  """Where a sequence is seen from.

  Attributes:
    azimuth: float [s], degrees; 0 ahead of the walker, 90 at its left side.
    elevation: Degrees above the horizon.
    distance: Metres.
    roll: Degrees.
  """

  azimuth: Array
  elevation: float
  distance: float
  roll: float


def sample_camera(rng: np.random.Generator, view: str, frames: int) -> Camera:
  """Draws the camera of one sequence around the nominal view."""
  azimuth = float(view) + rng.normal(0.0, 2.0)
  # A walker passes a fixed camera, so the angle grows, and most so when the
  # walker is seen from the side.
  drift = rng.normal(6.0, 2.0) * np.sin(np.deg2rad(azimuth))
  return Camera(
    azimuth=azimuth + drift * np.linspace(-1.0, 1.0, frames),
    elevation=rng.normal(7.0, 1.5),
    distance=rng.uniform(4.5, 6.5),
    roll=rng.normal(0.0, 0.7),
  )


@dataclasses.dataclass
class _Flat:
  """Capsules and ellipses on the image plane, in metres and later in pixels.

  Attributes:
    ends: [c, 2, s, 2], x to the right and y down.
    radii: [c, 2, s].
    centres: [e, s, 2].
    covariances: [e, s, 3], xx, xy, yy of the ellipses.
    joints: [17, s, 2].
  """

  ends: Array
  radii: Array
  centres: Array
  covariances: Array
  joints: Array


def _project(shapes: shapes_lib.Shapes, camera: Camera) -> _Flat:
  azimuth = np.deg2rad(camera.azimuth)
  elevation, roll = np.deg2rad(camera.elevation), np.deg2rad(camera.roll)
  sin, cos = np.sin(azimuth), np.cos(azimuth)
  zero = np.zeros_like(azimuth)
  toward = np.stack(
    [
      cos * np.cos(elevation),
      sin * np.cos(elevation),
      zero + np.sin(elevation),
    ],
    -1,
  )
  right = np.stack([-sin, cos, zero], -1)
  down = np.cross(right, toward)
  turned = np.cos(roll) * right + np.sin(roll) * down
  down = np.cos(roll) * down - np.sin(roll) * right
  plane = np.stack([turned, down], -2).astype(np.float32)  # [s, 2, 3]
  toward = toward.astype(np.float32)
  target = np.zeros((len(azimuth), 3), np.float32)
  target[:, 2] = shapes.floor + _TARGET_HEIGHT
  distance = np.float32(camera.distance)

  def flatten(points: Array) -> tuple[Array, Array]:
    moved = points - target
    scale = distance / (distance - (moved * toward).sum(-1))
    flat = (plane @ moved[..., None])[..., 0]
    return flat * scale[..., None], scale

  ends, end_scale = flatten(shapes.ends)
  centres, scale = flatten(shapes.centres)
  axes = (plane @ shapes.axes) * scale[..., None, None]  # [e, s, 2, 3]
  covariances = np.stack(
    [
      (axes[..., 0, :] ** 2).sum(-1),
      (axes[..., 0, :] * axes[..., 1, :]).sum(-1),
      (axes[..., 1, :] ** 2).sum(-1),
    ],
    -1,
  )
  joints, _ = flatten(shapes.joints)
  radii = shapes.radii[:, :, None] * end_scale
  return _Flat(ends, radii, centres, covariances, joints)


def _to_pixels(flat: _Flat, stretch: Array, shift: Array) -> _Flat:
  """Scales every frame so that the person fills all rows.

  Args:
    flat: Capsules and ellipses in metres.
    stretch: float [s], vertical scale about the middle row afterwards.
    shift: float [s], vertical shift in pixels afterwards.
  """
  end_y, centre_y = flat.ends[..., 1], flat.centres[..., 1]
  half = np.sqrt(flat.covariances[..., 2])
  top = np.minimum((end_y - flat.radii).min((0, 1)), (centre_y - half).min(0))
  bottom = np.maximum(
    (end_y + flat.radii).max((0, 1)), (centre_y + half).max(0)
  )
  scale = (ROWS / (bottom - top) * stretch).astype(np.float32)  # [s]
  middle = np.stack([np.zeros_like(top), 0.5 * (top + bottom)], -1)
  origin = np.stack(
    [np.full_like(top, CANVAS / 2), ROWS / 2 + shift.astype(np.float32)], -1
  )
  return _Flat(
    (flat.ends - middle) * scale[:, None] + origin,
    flat.radii * scale,
    (flat.centres - middle) * scale[:, None] + origin,
    flat.covariances * (scale**2)[:, None],
    (flat.joints - middle) * scale[:, None] + origin,
  )


def _box(low: Array, high: Array) -> tuple[slice, slice] | None:
  """Rows and columns that [low, high] ([..., 2]: x, y) touches, or None."""
  low = np.floor(low.reshape(-1, 2).min(0) - 1.0).astype(int)
  high = np.ceil(high.reshape(-1, 2).max(0) + 1.0).astype(int)
  x0, y0 = np.maximum(low, 0)
  x1, y1 = np.minimum(high, (CANVAS, ROWS))
  if x0 >= x1 or y0 >= y1:
    return None
  return slice(y0, y1), slice(x0, x1)


_X = np.arange(CANVAS, dtype=np.float32) + np.float32(0.5)
_Y = np.arange(ROWS, dtype=np.float32)[:, None] + np.float32(0.5)


def _draw_capsules(canvas: Array, ends: Array, radii: Array) -> None:
  reach = radii[..., None]
  for (p, q), (r0, r1), low, high in zip(
    ends, radii, ends - reach, ends + reach, strict=True
  ):
    box = _box(low, high)
    if box is None:
      continue
    rows, columns = box
    along = q - p
    length = np.sqrt((along**2).sum(-1))
    unit = along / np.maximum(length, np.float32(1e-6))[:, None]
    ux, uy = unit[:, 0, None, None], unit[:, 1, None, None]
    dx = _X[columns] - p[:, 0, None, None]
    dy = _Y[rows] - p[:, 1, None, None]
    length = length[:, None, None]
    u = dx * ux + dy * uy
    v = dy * ux - dx * uy
    inside = np.minimum(np.maximum(u, 0), length)
    u -= inside
    u *= u
    v *= v
    u += v
    np.sqrt(u, out=u)
    slope = (r1 - r0)[:, None, None] / np.maximum(length, np.float32(1e-6))
    inside *= slope
    inside += r0[:, None, None]
    inside -= u
    part = canvas[:, rows, columns]
    np.maximum(part, inside, out=part)


def _draw_ellipses(canvas: Array, centres: Array, covariances: Array) -> None:
  xx, xy, yy = np.moveaxis(covariances, -1, 0)
  reach = np.sqrt(np.stack([xx, yy], -1))
  determinant = np.maximum(xx * yy - xy * xy, np.float32(1e-6))
  # Inverse covariances; q = a x^2 + 2 b x y + c y^2 is 1 on the outline.
  a, b, c = yy / determinant, -xy / determinant, xx / determinant
  for i, (low, high) in enumerate(
    zip(centres - reach, centres + reach, strict=True)
  ):
    box = _box(low, high)
    if box is None:
      continue
    rows, columns = box
    dx = _X[columns] - centres[i, :, 0, None, None]
    dy = _Y[rows] - centres[i, :, 1, None, None]
    ai, bi, ci = (v[i][:, None, None] for v in (a, b, c))
    gx = dx * ai + dy * bi
    gy = dx * bi + dy * ci
    q = gx * dx + gy * dy
    gx *= gx
    gy *= gy
    gx += gy
    np.sqrt(gx, out=gx)
    # First order: (1 - q) over the gradient of q is the distance in pixels.
    gx *= 2.0
    gx += np.float32(1e-6)
    np.subtract(1.0, q, out=q)
    q /= gx
    part = canvas[:, rows, columns]
    np.maximum(part, q, out=part)


def distances(
  shapes: shapes_lib.Shapes, camera: Camera, stretch: Array, shift: Array
) -> Array:
  """Renders a figure.

  Args:
    shapes: The figure, s frames.
    camera: Where it is seen from.
    stretch: float [s], vertical scale about the middle row (1: none).
    shift: float [s], vertical shift in pixels.

  Returns:
    float32 [s, 64, 88], signed distance to the outline in pixels, positive
    inside; -1 far outside. The hips' middle is near column 44.
  """
  flat = _to_pixels(_project(shapes, camera), stretch, shift)
  canvas = np.full((len(stretch), ROWS, CANVAS), -1.0, np.float32)
  _draw_capsules(canvas, flat.ends, flat.radii)
  _draw_ellipses(canvas, flat.centres, flat.covariances)
  return canvas


def key_points(shapes: shapes_lib.Shapes, camera: Camera) -> Array:
  """Projects the joints of a figure.

  Args:
    shapes: The figure, s frames.
    camera: Where it is seen from.

  Returns:
    float32 [s, 17, 2], x to the right and y down, in pixels of what
    `distances` draws without stretch and shift.
  """
  still = np.zeros(len(shapes.floor))
  flat = _to_pixels(_project(shapes, camera), still + 1.0, still)
  return flat.joints.swapaxes(0, 1)


def centre_windows(canvas: Array, width: int, offset: Array) -> Array:
  """Cuts a window around the column that halves the mass.

  Args:
    canvas: float32 [s, h, w], positive inside the person.
    width: Columns of the window.
    offset: int [s], columns by which the window misses the centre.

  Returns:
    [s, h, width] of the canvas' type.
  """
  mass = (canvas > 0).sum(axis=1).cumsum(axis=1)
  centre = (mass > mass[:, -1:] / 2).argmax(axis=1)
  start = np.clip(centre - width // 2 + offset, 0, canvas.shape[2] - width)
  windows = np.lib.stride_tricks.sliding_window_view(canvas, width, axis=2)
  return windows[np.arange(len(canvas)), :, start]
