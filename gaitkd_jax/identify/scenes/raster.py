"""Rasterises a figure of capsules and ellipsoids with depth and shading."""

import dataclasses

import numpy as np

from gaitkd_jax.identify.scenes import camera
from gaitkd_jax.identify.scenes import course as course_lib
from gaitkd_jax.identify.scenes import spec

Array = np.ndarray

# Where light comes from in the camera's frame: above, and beside the camera.
_AMBIENT, _DIFFUSE = 0.62, 0.45
# Beyond every surface: pixels that are only near an outline.
_NEAR_OUTLINE = 1e3
# The torso is slices; shading them one by one would show it.
_UPRIGHT = ("shirt", "hips")
# Cloth lies over what is as far away, metres.
_OVER = {"hem": 0.04, "hips": 0.02, "shirt": 0.02}


@dataclasses.dataclass(frozen=True)
class Flat:
  """A course on the image plane, in pixels; depths in metres.

  Attributes:
    ends: float32 [s, c, 2, 2].
    radii: float32 [s, c, 2].
    depths: float32 [s, c, 2].
    scales: float32 [s, c], pixels a metre.
    centres: float32 [s, e, 2].
    middles: float32 [s, e], depths of the centres.
    forms: float32 [s, e, 6]: xx, xy, yy, xz, yz, zz of the ellipsoids.
    low: float32 [s, 2], least x and y of the figure.
    high: float32 [s, 2].
  """

  ends: Array
  radii: Array
  depths: Array
  scales: Array
  centres: Array
  middles: Array
  forms: Array
  low: Array
  high: Array


@dataclasses.dataclass(frozen=True)
class Drawn:
  """A figure in one frame, h x w pixels of it.

  Attributes:
    rows: Rows of the picture.
    columns: Columns of the picture.
    distance: float32 [h, w], pixels to the outline, positive inside.
    part: int [h, w], index of the primitive; the last where there is none.
    shade: float32 [h, w], light on the surface.
    whole: Whether nothing of the figure is outside of the picture.
  """

  rows: slice
  columns: slice
  distance: Array
  part: Array
  shade: Array
  whole: bool


def flatten(course: course_lib.Course) -> Flat:
  """Projects all frames of a course."""
  over = np.array([_OVER.get(part, 0.0) for part in course.parts], np.float32)
  capsules = len(course.radii)
  ends, scale = camera.project(course.ends)
  radii = course.radii[:, :, None] * scale
  centres, centre_scale = camera.project(course.centres)
  axes = course.axes.copy()
  axes[..., :2, :] *= centre_scale[..., None, None]
  form = axes @ axes.swapaxes(-1, -2)
  i, j = (0, 0, 1, 0, 1, 2), (0, 1, 1, 2, 2, 2)
  forms = form[..., i, j]
  reach = np.sqrt(forms[..., (0, 2)])
  low = np.minimum(
    (ends - radii[..., None]).min((0, 1)), (centres - reach).min(0)
  )
  high = np.maximum(
    (ends + radii[..., None]).max((0, 1)), (centres + reach).max(0)
  )

  def by_frame(values: Array, axis: int) -> Array:
    return np.ascontiguousarray(np.moveaxis(values, axis, 0), np.float32)

  return Flat(
    by_frame(ends, 2),
    by_frame(radii, 2),
    by_frame(course.ends[..., 2] - over[:capsules, None, None], 2),
    by_frame(scale.mean(1), 1),
    by_frame(centres, 1),
    by_frame(course.centres[..., 2] - over[capsules:, None], 1),
    by_frame(forms, 1),
    low,
    high,
  )


class _Canvas:
  """The pixels of one figure in one frame."""

  def __init__(self, x0: int, y0: int, x1: int, y1: int, light: Array):
    shape = (y1 - y0, x1 - x0)
    self.x = np.arange(x0, x1, dtype=np.float32) + np.float32(0.5)
    self.y = np.arange(y0, y1, dtype=np.float32)[:, None] + np.float32(0.5)
    self.origin = np.array((x0, y0))
    self.size = np.array((x1 - x0, y1 - y0))
    self.distance = np.full(shape, -2.0, np.float32)
    self.depth = np.full(shape, 1e6, np.float32)
    self.part = np.full(shape, -1, np.int16)
    self.shade = np.zeros(shape, np.float32)
    self.light = light

  def box(self, low: Array, high: Array) -> tuple[slice, slice] | None:
    start = np.maximum(np.floor(low - 1.0).astype(int) - self.origin, 0)
    stop = np.minimum(np.ceil(high + 1.0).astype(int) - self.origin, self.size)
    if (start >= stop).any():
      return None
    return slice(start[1], stop[1]), slice(start[0], stop[0])

  def put(self, box, number: int, distance, depth, nx, ny, nz) -> None:
    """Keeps what is nearer than what is there."""
    part = self.distance[box]
    np.maximum(part, distance, out=part)
    depth = np.where(distance > 0, depth, _NEAR_OUTLINE - distance)
    nearer = depth < self.depth[box]
    nearer &= distance > -1.5
    np.copyto(self.depth[box], depth, where=nearer)
    self.part[box][nearer] = number
    lx, ly, lz = self.light
    shade = nx * lx
    shade += ny * ly
    shade += nz * lz
    np.maximum(shade, 0, out=shade)
    shade *= _DIFFUSE
    shade += _AMBIENT
    np.copyto(self.shade[box], shade, where=nearer)


def _draw_capsule(
  canvas: _Canvas, number: int, ends, radii, depths, scale
) -> None:
  (p, q), (r0, r1) = ends, radii
  reach = radii[:, None]
  box = canvas.box((ends - reach).min(0), (ends + reach).max(0))
  if box is None:
    return
  along = q - p
  length = max(float(np.hypot(*along)), 1e-6)
  ux, uy = (along / np.float32(length)).tolist()
  dx = canvas.x[box[1]] - p[0]
  dy = canvas.y[box[0]] - p[1]
  u = np.clip(dx * ux + dy * uy, 0.0, length)
  ox, oy = dx - u * ux, dy - u * uy
  squares = ox * ox + oy * oy
  share = u / np.float32(length)
  radius = r0 + (r1 - r0) * share
  distance = radius - np.sqrt(squares)
  height = np.sqrt(np.maximum(radius * radius - squares, 0.0))
  depth = depths[0] + (depths[1] - depths[0]) * share - height / scale
  inverse = 1.0 / radius
  canvas.put(
    box, number, distance, depth, ox * inverse, oy * inverse, height * inverse
  )


def _draw_ellipse(
  canvas: _Canvas, number: int, centre, middle, form, upright: bool
) -> None:
  xx, xy, yy, xz, yz, zz = form.tolist()
  reach = np.sqrt(form[[0, 2]])
  box = canvas.box(centre - reach, centre + reach)
  if box is None:
    return
  determinant = max(xx * yy - xy * xy, 1e-6)
  a, b, c = yy / determinant, -xy / determinant, xx / determinant
  dx = canvas.x[box[1]] - centre[0]
  dy = canvas.y[box[0]] - centre[1]
  gx, gy = dx * a + dy * b, dx * b + dy * c
  q = gx * dx + gy * dy
  slope = np.sqrt(gx * gx + gy * gy) + np.float32(1e-6)
  distance = (1.0 - q) / (2.0 * slope)
  height = np.sqrt(np.maximum(1.0 - q, 0.0))
  rest = zz - (a * xz * xz + 2 * b * xz * yz + c * yz * yz)
  depth = middle + xz * gx + yz * gy - np.sqrt(max(rest, 0.0)) * height
  # The normal leans as far as the outline is near.
  if upright:
    nx = dx / np.float32(np.sqrt(xx))
    lean = np.clip(nx, -1.0, 1.0)
    nx, ny = lean + 0 * dy, 0 * q
    nz = np.sqrt(1.0 - nx * nx)
  else:
    lean = np.sqrt(np.minimum(q, 1.0)) / slope
    nx, ny, nz = gx * lean, gy * lean, height
  canvas.put(box, number, distance, depth, nx, ny, nz)


def draw(
  flat: Flat, parts: tuple[str, ...], frame: int, light: Array
) -> Drawn | None:
  """Draws one frame of a figure.

  Args:
    flat: The projected figure.
    parts: Names of its primitives, capsules first.
    frame: Which of its frames.
    light: float [3], direction towards the light in the camera's frame.

  Returns:
    The figure, or None if it is outside of the picture.
  """
  x0, y0 = np.floor(flat.low[frame]).astype(int) - 2
  x1, y1 = np.ceil(flat.high[frame]).astype(int) + 2
  whole = x0 >= 0 and y0 >= 0 and x1 <= spec.WIDTH and y1 <= spec.HEIGHT
  x0, y0 = max(x0, 0), max(y0, 0)
  x1, y1 = min(x1, spec.WIDTH), min(y1, spec.HEIGHT)
  if x0 >= x1 or y0 >= y1:
    return None
  canvas = _Canvas(x0, y0, x1, y1, light)
  capsules = flat.ends.shape[1]
  for i in range(capsules):
    _draw_capsule(
      canvas,
      i,
      flat.ends[frame, i],
      flat.radii[frame, i],
      flat.depths[frame, i],
      flat.scales[frame, i],
    )
  for i in range(flat.centres.shape[1]):
    _draw_ellipse(
      canvas,
      capsules + i,
      flat.centres[frame, i],
      flat.middles[frame, i],
      flat.forms[frame, i],
      parts[capsules + i] in _UPRIGHT,
    )
  return Drawn(
    slice(y0, y1),
    slice(x0, x1),
    canvas.distance,
    canvas.part,
    canvas.shade,
    bool(whole),
  )
