"""Writes scenes as video files."""

import os
import pathlib

import cv2

from gaitkd_jax import errors
from gaitkd_jax.identify.scenes import rendering
from gaitkd_jax.identify.scenes import spec

# What FFmpeg says of a full disk is several lines of its own.
os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")

_CODECS = {".mp4": "mp4v", ".avi": "MJPG"}


def write_video(
  scene: spec.Scene, path: str | os.PathLike[str]
) -> list[rendering.Truth]:
  """Renders a scene into a video file, which is whole or is not there.

  Args:
    scene: What to show.
    path: The file to write; its ending, .mp4 or .avi (MJPEG), decides on the
      format. A file that is there is replaced.

  Returns:
    The truth about every frame.

  Raises:
    errors.UserError: The scene cannot be rendered, or the file not written.
  """
  spec.check(scene)
  path = pathlib.Path(path)
  if path.suffix not in _CODECS:
    raise errors.UserError(
      f"{path}: cannot write a video of this ending; choose one of"
      f" {', '.join(_CODECS)}"
    )
  if not path.parent.is_dir():
    raise errors.UserError(f"{path}: there is no folder {path.parent}")
  new = unfinished(path)
  cv2.utils.logging.setLogLevel(0)  # it has a line for every frame
  try:
    writer = cv2.VideoWriter(
      str(new),
      cv2.VideoWriter.fourcc(*_CODECS[path.suffix]),
      spec.FRAMES_PER_SECOND,
      (spec.WIDTH, spec.HEIGHT),
    )
    truths = []
    try:
      if not writer.isOpened():
        raise errors.UserError(f"{path}: OpenCV cannot write there")
      for frame, truth in rendering.render(scene):
        writer.write(cv2.cvtColor(frame, cv2.COLOR_RGB2BGR))
        truths.append(truth)
    finally:
      writer.release()
    # OpenCV says nothing of a disk that is full.
    written = _count(new)
    if written != len(truths):
      raise errors.UserError(
        f"{path}: {written} of {len(truths)} frames could be written; is the"
        " disk full?"
      )
    new.replace(path)
  finally:
    new.unlink(missing_ok=True)
  return truths


def unfinished(path: pathlib.Path) -> pathlib.Path:
  """The file that a video is until it is whole."""
  return path.with_name(f".{path.stem}.unfinished{path.suffix}")


def _count(path: pathlib.Path) -> int:
  reader = cv2.VideoCapture(str(path))
  frames = 0
  while reader.grab():
    frames += 1
  reader.release()
  return frames
