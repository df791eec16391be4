"""Renders sequences of the set, one at a time."""

import functools

import numpy as np

from data_pipelines.walkers import appearance
from data_pipelines.walkers import body
from data_pipelines.walkers import figure
from data_pipelines.walkers import motion
from data_pipelines.walkers import render
from data_pipelines.walkers import segmentation
from data_pipelines.walkers import spec as spec_lib

_WIDTH = 44
_PADDING = 10
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


@functools.lru_cache(maxsize=4)
def _figure(
  subject: str, condition: str, frames: int, spec: spec_lib.Spec
) -> figure.Shapes:
  """Poses a subject; all cameras see the same walk, as in a real studio."""
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
  return figure.build(measures, clothes, bag, walk)


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
    size: "tiny", "small", "full", or a `Size` of your own.
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
  spec_lib.check(size, subject, condition, view)
  frames = size.frames
  shapes = _figure(subject, condition, frames, spec)
  camera = render.sample_camera(
    spec_lib.generator(spec_lib.CAMERA, subject, condition, view), view, frames
  )
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
