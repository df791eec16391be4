"""Reads the frames of a video, or of a folder of pictures, one at a time."""

from collections.abc import Iterator
import dataclasses
import os
import pathlib

import numpy as np

from gaitkd_jax.errors import UserError

# What FFmpeg says of a damaged file would be several lines of its own. OpenCV
# reads this when it opens its first video.
os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")

# Pictures with a longer side are scaled down by a whole number. A silhouette is
# 64 pixels high, so that a person in a larger picture gains nothing by it.
LONGEST = 1280
# OpenGait drops sequences of 15 frames or fewer.
LEAST_FRAMES = 15
# Frames a second of a folder of pictures, and of a video that does not say.
FPS = 25.0
# A container that promises more than this share above what it holds is damaged.
_SHORT = 0.9


@dataclasses.dataclass(frozen=True)
class Frame:
  """One frame.

  Attributes:
    number: from 0.
    time: seconds since the beginning.
    picture: uint8 [h, w, 3], blue, green and red, scaled down by the video's
      `scale`.
  """

  number: int
  time: float
  picture: np.ndarray


class Video:
  """A video, or a folder of pictures; can be read again and again.

  Videos that are marked as recorded on their side are turned upright. One whose
  frame rate varies has the times that it names for its frames.

  Attributes:
    path: of the file or the folder.
    width: of the video in pixels, upright.
    height: the same.
    fps: frames a second, on average.
    count: frames that the file promises; 0: it does not say.
    scale: by what the frames are scaled down, a whole number.
    warnings: what was odd, each in one line; complete once all is read.
  """

  def __init__(self, path: str | os.PathLike[str], fps: float | None = None):
    """Opens a video.

    Args:
      path: a file, or a folder of PNG or JPEG files.
      fps: frames a second, where the file is wrong or a folder says nothing.

    Raises:
      UserError: there is nothing that could be read.
    """
    self.path = os.fspath(path)
    self.warnings: list[str] = []
    if fps is not None and not 0 < fps <= 1000:
      raise UserError(f"fps is {fps:g}; give frames a second, up to 1000")
    self._fps = fps
    self._pictures: list[str] = []
    if not os.path.exists(self.path):
      raise UserError(f"{self.path} is missing; check the path")
    if os.path.isdir(self.path):
      self._open_folder()
    else:
      self._open_file()
    self.scale = -(-max(self.width, self.height) // LONGEST)
    if self.count == 1:
      raise UserError(self._short(1))

  @property
  def shape(self) -> tuple[int, int]:
    """Height and width of the pictures of frames."""
    return self.height // self.scale, self.width // self.scale

  @property
  def seconds(self) -> float:
    """How long it promises to be; 0: it does not say."""
    return self.count / self.fps

  def __iter__(self) -> Iterator[Frame]:
    """Reads all frames.

    Raises:
      UserError: there are fewer than 15, or a picture is damaged.
    """
    number = -1
    for number, time, picture in self._read(1):
      yield Frame(number, time, picture)
    if number + 1 < LEAST_FRAMES:
      raise UserError(self._short(number + 1))
    if number + 1 < _SHORT * self.count:
      self.warnings.append(
        f"{self.path} breaks off after {number + 1} of {self.count} frames "
        "(copied in part?); what comes before is used"
      )

  def sample(self, seconds: float) -> Iterator[Frame]:
    """Reads a frame every so many seconds, which is faster than reading all."""
    step = max(1, round(seconds * self.fps))
    for number, time, picture in self._read(step):
      yield Frame(number, time, picture)

  def _short(self, count: int) -> str:
    if not count:
      return (
        f"{self.path} holds no frame that can be read (damaged, or in a format "
        "that OpenCV does not know); write it anew as H.264 in .mp4"
      )
    frames = "1 frame" if count == 1 else f"{count} frames"
    return (
      f"{self.path} holds {frames}; a walk is seen in its movement: give "
      f"{LEAST_FRAMES} frames or more, two seconds are good"
    )

  def _open_folder(self) -> None:
    from data_pipelines import tree

    names = filter(tree.is_frame, os.listdir(self.path))
    folder = pathlib.Path(self.path)
    self._pictures = [str(folder / n) for n in tree.frame_order(names)]
    if not self._pictures:
      raise UserError(
        f"{self.path} holds no PNG or JPEG file; give a video, or a folder of "
        "its frames"
      )
    self.height, self.width = self._picture(self._pictures[0]).shape[:2]
    self.fps, self.count = self._fps or FPS, len(self._pictures)

  def _picture(self, path: str) -> np.ndarray:
    import cv2

    try:
      data = np.fromfile(path, np.uint8)
    except OSError as error:
      raise UserError(f"{path} cannot be read ({error.strerror})") from error
    picture = cv2.imdecode(data, cv2.IMREAD_COLOR) if data.size else None
    if picture is None:
      raise UserError(
        f"{path} is damaged or no picture; copy it again, or delete it"
      )
    return picture

  def _open_file(self) -> None:
    import cv2

    cv2.utils.logging.setLogLevel(0)
    if not os.access(self.path, os.R_OK):
      raise UserError(f"{self.path} cannot be read (permission denied)")
    if not os.path.getsize(self.path):
      raise UserError(f"{self.path} is empty; copy it again")
    suffix = os.path.splitext(self.path)[1].lower()
    # OpenCV takes a picture for a video of one frame, and "x1.png" for the
    # beginning of a series.
    if suffix != ".gif" and cv2.haveImageReader(self.path):
      raise UserError(
        f"{self.path} is a picture; give a video, or a folder of its frames"
      )
    capture = self._capture()
    self.width = int(capture.get(cv2.CAP_PROP_FRAME_WIDTH))
    self.height = int(capture.get(cv2.CAP_PROP_FRAME_HEIGHT))
    fps = capture.get(cv2.CAP_PROP_FPS)
    self.fps = self._fps or (fps if 0 < fps <= 1000 else FPS)
    self.count = max(0, int(capture.get(cv2.CAP_PROP_FRAME_COUNT)))
    got, picture = capture.read()
    capture.release()
    if not got or picture is None or not picture.size:
      raise UserError(self._short(0))
    # Upright, which not every version of OpenCV says beforehand.
    self.height, self.width = picture.shape[:2]

  def _capture(self):
    import cv2

    capture = cv2.VideoCapture(self.path, cv2.CAP_FFMPEG)
    if not capture.isOpened():
      raise UserError(
        f"{self.path} is no video that can be read (cut short, sound only, or "
        "another kind of file); copy it again, or write it as H.264 in .mp4"
      )
    return capture

  def _read(self, step: int) -> Iterator[tuple[int, float, np.ndarray]]:
    """Yields (number, time, scaled picture) of every `step`-th frame."""
    if self._pictures:
      for number in range(0, len(self._pictures), step):
        picture = self._picture(self._pictures[number])
        if picture.shape[:2] != (self.height, self.width):
          raise UserError(
            f"{self._pictures[number]} is {picture.shape[1]} x "
            f"{picture.shape[0]} pixels, the first picture {self.width} x "
            f"{self.height}; give frames of one camera"
          )
        yield number, number / self.fps, self._scaled(picture)
      return
    import cv2

    capture = self._capture()
    number, time = -1, -1.0
    try:
      while capture.grab():
        number += 1
        stamp = capture.get(cv2.CAP_PROP_POS_MSEC) / 1000
        # Not every container has stamps.
        if self._fps or not stamp > time:
          stamp = number / self.fps if self._fps else time + 1 / self.fps
        time = stamp if number else max(0.0, stamp)
        if number % step:
          continue
        got, picture = capture.retrieve()
        if not got:
          break
        yield number, time, self._scaled(picture)
    finally:
      capture.release()

  def _scaled(self, picture: np.ndarray) -> np.ndarray:
    import cv2

    if self.scale == 1 and picture.shape[:2] == (self.height, self.width):
      return picture
    height, width = self.shape
    return cv2.resize(picture, (width, height), interpolation=cv2.INTER_AREA)
