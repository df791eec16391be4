"""Renders sequences of the set, one at a time."""

import functools

import numpy as np

from data_pipelines.walkers import appearance
from data_pipelines.walkers import body
from data_pipelines.walkers import figure
from data_pipelines.walkers import motion
from data_pipelines.walkers import render
from data_pipelines.walkers import segmentation
from data_pipelines.walkers import shapes as shapes_lib
from data_pipelines.walkers import spec as spec_lib

_WIDTH = 44
_PADDING = 10
# Errors of a joint's position in pixels, of which a person is 64 high: one is
# 2.7 cm. The first error lasts for the whole sequence, because pose estimators
# err alike in frames that look alike; the second changes from frame to frame.
# At the third the confidence is 0.6.
_LASTING_ERROR, _PASSING_ERROR, _DOUBTFUL_ERROR = 0.4, 0.5, 3.0
_DEFAULT = spec_lib.Spec()


@functools.lru_cache(maxsize=4)
def _subject(
  subject: str, spec: spec_lib.Spec
) -> tuple[dict[str, float], motion.Gait, appearance.Clothes]:
  draw = functools.partial(spec_lib.generator, subject=subject)
  measures = body.sample(draw(spec_lib.BODY))
  gait = motion.sample_gait(draw(spec_lib.GAIT), spec)
  female = bool(measures["female"])
  clothes = appearance.sample_clothes(draw(spec_lib.CLOTHES), female)
  return measures, gait, clothes


def draw_walker(
  subject: str, condition: str, frames: int, spec: spec_lib.Spec = _DEFAULT
) -> tuple[
  dict[str, float], appearance.Clothes, appearance.Bag | None, motion.Walk
]:
  """Draws who walks in a sequence: what `figure.build` takes.

  Args:
    subject: "001", "002", ...
    condition: "nm-01" to "nm-06", "bg-01", "bg-02", "cl-01" or "cl-02".
    frames: Length of the walk; a longer one begins with the shorter.
    spec: Knobs of the difficulty.

  Returns:
    Body, clothes, bag, and joint angles of `frames` frames.
  """
  measures, gait, clothes = _subject(subject, spec)
  bag = None
  if condition.startswith("bg"):
    bag = appearance.sample_bag(spec_lib.generator(spec_lib.BAG, subject))
  if condition.startswith("cl"):
    clothes = appearance.put_on_coat(
      spec_lib.generator(spec_lib.COAT, subject), clothes
    )
  walk = motion.sample_walk(
    spec_lib.generator(spec_lib.WALK, subject, condition),
    spec,
    gait,
    frames,
    bag.swing if bag else (1.0, 1.0),
  )
  return measures, clothes, bag, walk


@functools.lru_cache(maxsize=4)
def _figure(
  subject: str, condition: str, frames: int, spec: spec_lib.Spec
) -> shapes_lib.Shapes:
  """Poses a subject; all cameras see the same walk, as in a real studio."""
  return figure.build(*draw_walker(subject, condition, frames, spec))


def _scene(
  size: spec_lib.Size,
  subject: str,
  condition: str,
  view: str,
  spec: spec_lib.Spec,
) -> tuple[shapes_lib.Shapes, render.Camera]:
  spec_lib.check(size, subject, condition, view)
  shapes = _figure(subject, condition, size.frames, spec)
  rng = spec_lib.generator(spec_lib.CAMERA, subject, condition, view)
  return shapes, render.sample_camera(rng, view, size.frames)


def render_sequence(
  size: str | spec_lib.Size,
  subject: str,
  condition: str,
  view: str,
  spec: spec_lib.Spec = _DEFAULT,
) -> np.ndarray:
  """Renders one sequence; the same arguments give the same frames.

  A subject has the same body, gait, clothes, bag and coat in every size.

  Args:
    size: "tiny", "small", "full", or any `Size`.
    subject: "001", "002", ...
    condition: "nm-01" to "nm-06", "bg-01", "bg-02", "cl-01" or "cl-02".
    view: "000" (towards the camera) to "180" (away from it).
    spec: Knobs of the difficulty.

  Returns:
    uint8 [s, 64, 64], 0 or 255: the person fills the rows, and the column that
    halves its mass is in the middle of the inner 44 columns; the 10 columns on
    each side are 0.

  Raises:
    errors.UserError: The set has no such sequence.
  """
  size = spec_lib.get_size(size)
  shapes, camera = _scene(size, subject, condition, view, spec)
  frames = size.frames
  rng = spec_lib.generator(spec_lib.NOISE, subject, condition, view)
  quality = segmentation.sample_quality(rng, spec.noise)
  jitter = segmentation.sample_jitter(rng, quality, frames)
  canvas = render.distances(shapes, camera, jitter.stretch, jitter.shift)
  window = render.centre_windows(canvas, _WIDTH, jitter.offset)
  mask = segmentation.segment(rng, quality, window)
  out = np.zeros((frames, render.ROWS, _WIDTH + 2 * _PADDING), np.uint8)
  out[:, :, _PADDING:-_PADDING] = mask
  out *= 255
  return out


def render_key_points(
  size: str | spec_lib.Size,
  subject: str,
  condition: str,
  view: str,
  spec: spec_lib.Spec = _DEFAULT,
) -> np.ndarray:
  """Renders what a pose estimator finds in the frames of `render_sequence`.

  Args:
    size: As for `render_sequence`.
    subject: Likewise.
    condition: Likewise.
    view: Likewise.
    spec: Likewise.

  Returns:
    float64 [s, 17, 3]: COCO's key points as x, y and confidence. x and y are
    pixels of the image before it gets faults and is centred: the person is 64
    high, and the middle of the hips is near x = 44. Joints that the body hides
    are found, too.

  Raises:
    errors.UserError: The set has no such sequence.
  """
  size = spec_lib.get_size(size)
  shapes, camera = _scene(size, subject, condition, view, spec)
  points = render.key_points(shapes, camera).astype(np.float64)
  rng = spec_lib.generator(spec_lib.POSE, subject, condition, view)
  quality = segmentation.sample_quality(rng, spec.noise)
  misses = _LASTING_ERROR * rng.standard_normal(points.shape[1:])
  misses = misses + _PASSING_ERROR * rng.standard_normal(points.shape)
  misses *= quality
  # An estimator is less sure of what it misplaces.
  squares = (misses**2).sum(-1, keepdims=True)
  confidence = np.exp(-0.5 * squares / _DOUBTFUL_ERROR**2)
  return np.concatenate([points + misses, confidence], -1)


def render_heatmaps(
  size: str | spec_lib.Size,
  subject: str,
  condition: str,
  view: str,
  spec: spec_lib.Spec = _DEFAULT,
) -> np.ndarray:
  """Renders the heat maps beside the frames of `render_sequence`.

  They are made like those of recorded data, see
  `data_pipelines.heatmaps.make_heatmaps`: the hips are in the middle column,
  with room above the head and below the feet.

  Args:
    size: As for `render_sequence`.
    subject: Likewise.
    condition: Likewise.
    view: Likewise.
    spec: Likewise.

  Returns:
    uint8 [s, 2, 64, 64], limbs and joints.

  Raises:
    errors.UserError: The set has no such sequence.
  """
  # OpenCV is loaded only where heat maps are wanted.
  from data_pipelines import heatmaps

  key_points = render_key_points(size, subject, condition, view, spec)
  return heatmaps.make_heatmaps(key_points)
