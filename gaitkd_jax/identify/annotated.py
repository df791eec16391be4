"""Draws what was found into the video: boxes, names, distances, silhouettes."""

from collections.abc import Iterator
from collections.abc import Sequence
import contextlib
import os
import pathlib
from typing import Any

import cv2
import numpy as np
import tqdm

from gaitkd_jax import errors
from gaitkd_jax.identify import matching
from gaitkd_jax.identify import video as video_lib
from gaitkd_jax.identify.track import HEIGHT
from gaitkd_jax.identify.track import WIDTH
from gaitkd_jax.identify.track import Track

# Okabe and Ito's colours, as blue, green and red; one a track, in turn.
COLOURS = (
  (233, 180, 86),
  (0, 159, 230),
  (115, 158, 0),
  (167, 121, 204),
  (66, 228, 240),
  (0, 94, 213),
)
_PANEL, _ROW, _EDGE = 232, 84, 10
_BACK, _INK, _FAINT = (30, 23, 18), (243, 237, 232), (184, 168, 154)
_BIG = 5  # by which a silhouette is enlarged where there is no picture
_FPS = 25.0


def colour(index: int) -> tuple[int, int, int]:
  """Of the track at that place: blue, green and red."""
  return COLOURS[index % len(COLOURS)]


def label(match: matching.Match) -> str:
  """Who it is, in a word or two."""
  if match.identity is not None:
    return match.identity
  if match.distance is None:
    return "not judged"
  if match.reason == matching.NO_THRESHOLD:
    return f"nearest: {match.nearest[0].person}"
  return "nobody"


def write(
  path: str | os.PathLike[str],
  pictures: video_lib.Video | None,
  tracks: Sequence[Track],
  matches: Sequence[matching.Match],
  progress: bool = True,
) -> dict[int, np.ndarray]:
  """Writes a video with all that was found.

  Args:
    path: of the .mp4 file.
    pictures: the video; None: the silhouettes themselves are shown.
    tracks: their boxes in the video's pixels.
    matches: as many.
    progress: whether to show a bar.

  Returns:
    By place of a track, what the video shows of it in the middle of its good
    frames, uint8 `[h, w, 3]`.

  Raises:
    errors.UserError: it cannot be written.
  """
  if pictures is None:
    frames, count, fps = _played(tracks), sum(map(len, tracks)), _FPS
    size = (_BIG * HEIGHT + 2 * _EDGE, _BIG * WIDTH + 8 * _EDGE)
  else:
    frames = ((f.number, f.picture) for f in pictures)
    count, fps, size = pictures.count, pictures.fps, pictures.shape
  scale = 1 if pictures is None else pictures.scale
  height, width = size[0] + size[0] % 2, size[1] + size[1] % 2
  seen = _seen(tracks, played=pictures is None)
  shown: dict[int, np.ndarray] = {}
  written = 0
  with _writer(path, fps, (width + _PANEL, height)) as writer:
    for number, picture in tqdm.tqdm(
      frames,
      total=count or None,
      desc="annotated",
      unit="frame",
      disable=None if progress else True,
    ):
      here = seen.get(number, [])
      if pictures is not None:
        for i, k in here:
          if tracks[i].frames[k] == _middle(tracks[i]):
            shown[i] = _cut(picture, tracks[i].boxes[k] / scale)
      canvas = np.full((height, width + _PANEL, 3), _BACK, np.uint8)
      canvas[: size[0], : size[1]] = picture
      if pictures is not None:
        labels: list[tuple[int, int, int, int]] = []
        for i, k in here:
          box = (tracks[i].boxes[k] / scale).round().astype(int)
          good = bool(tracks[i].good[k])
          _box(canvas[:, :width], box, good, i, matches[i], labels)
      _panel(canvas[:, width:], here, tracks, matches)
      writer.write(canvas)
      written += 1
  _check(path, written)
  return shown


def _seen(
  tracks: Sequence[Track], played: bool
) -> dict[int, list[tuple[int, int]]]:
  """Places of tracks, and of frames in them, by number of the video's frame."""
  found: dict[int, list[tuple[int, int]]] = {}
  first = 0
  for i, track in enumerate(tracks):
    numbers = np.arange(len(track)) + first if played else track.frames
    first += len(track)
    for k, number in enumerate(numbers.tolist()):
      found.setdefault(number, []).append((i, k))
  return found


def _played(tracks: Sequence[Track]) -> Iterator[tuple[int, np.ndarray]]:
  """The silhouettes of tracks, one after the other, as pictures."""
  number = 0
  for track in tracks:
    for silhouette in track.silhouettes:
      big = cv2.resize(
        silhouette, None, fx=_BIG, fy=_BIG, interpolation=cv2.INTER_NEAREST
      )
      picture = cv2.copyMakeBorder(
        big,
        _EDGE,
        _EDGE,
        4 * _EDGE,
        4 * _EDGE,
        cv2.BORDER_CONSTANT,
        value=0,
      )
      yield number, cv2.cvtColor(picture, cv2.COLOR_GRAY2BGR)
      number += 1


def _middle(track: Track) -> int:
  """The number of the frame in the middle of the good ones, else of all."""
  frames = track.frames[track.good] if track.good.any() else track.frames
  return int(frames[len(frames) // 2])


def _cut(picture: np.ndarray, box: np.ndarray) -> np.ndarray:
  """What is in a box and a little around it, at most 200 pixels high."""
  left, top, width, height = box
  edge = 0.15 * height
  x0, y0 = max(0, int(left - edge)), max(0, int(top - edge))
  x1, y1 = int(left + width + edge), int(top + height + edge)
  cut = picture[y0:y1, x0:x1]
  if not cut.size:
    return np.zeros((2, 2, 3), np.uint8)
  factor = min(1.0, 200 / cut.shape[0])
  return cv2.resize(
    cut, None, fx=factor, fy=factor, interpolation=cv2.INTER_AREA
  )


def _box(
  picture: np.ndarray,
  box: np.ndarray,
  good: bool,
  index: int,
  match: matching.Match,
  labels: list[tuple[int, int, int, int]],
) -> None:
  """Draws a box and its label, beside the `labels` that are there already."""
  left, top, width, height = box.tolist()
  tone = colour(index)
  corner, other = (left, top), (left + width, top + height)
  cv2.rectangle(picture, corner, other, tone, 2 if good else 1)
  text = label(match)
  if match.distance is not None:
    text = f"{text}  {match.distance:.4g}"
  columns, rows = _width(text, 16) + 8, 24
  x = max(0, min(left - 1, picture.shape[1] - columns))
  for y in (top - rows, top + height, top - 2 * rows):
    y = max(0, min(y, picture.shape[0] - rows))
    place = (x, y, columns, rows)
    if not any(_meet(place, taken) for taken in labels):
      break
  labels.append(place)
  cv2.rectangle(picture, (x, y), (x + columns, y + rows), tone, -1)
  _text(picture, text, (x + 4, y + rows - 7), (0, 0, 0), 16)


def _meet(
  one: tuple[int, int, int, int], other: tuple[int, int, int, int]
) -> bool:
  return all(
    one[i] < other[i] + other[i + 2] and other[i] < one[i] + one[i + 2]
    for i in (0, 1)
  )


def _width(text: str, size: int) -> int:
  """Of a text, in pixels."""
  font = cv2.FontFace("uni")
  return int(cv2.getTextSize((4096, 4096), text, (0, 99), font, size, 400)[2])


def _panel(
  panel: np.ndarray,
  here: Sequence[tuple[int, int]],
  tracks: Sequence[Track],
  matches: Sequence[matching.Match],
) -> None:
  """At the side: each track that is seen, with the silhouette of this frame."""
  for place, (i, k) in enumerate(here):
    top = _EDGE + place * _ROW
    if top + HEIGHT > panel.shape[0]:
      break
    track, match = tracks[i], matches[i]
    silhouette = cv2.cvtColor(track.silhouettes[k], cv2.COLOR_GRAY2BGR)
    if not track.good[k]:
      silhouette //= 3
    panel[top : top + HEIGHT, _EDGE : _EDGE + WIDTH] = silhouette
    cv2.rectangle(
      panel,
      (_EDGE - 2, top - 2),
      (_EDGE + WIDTH + 1, top + HEIGHT + 1),
      colour(i),
      1,
    )
    x = _EDGE + WIDTH + 10
    _text(panel, label(match), (x, top + 16), _INK, 18)
    if match.distance is not None:
      _text(panel, f"distance {match.distance:.4g}", (x, top + 36), _FAINT, 14)
    state = "used" if track.good[k] and not track.rejected else "left out"
    _text(panel, f"track {track.id}, {state}", (x, top + 56), _FAINT, 14)


def _text(
  picture: np.ndarray,
  text: str,
  at: tuple[int, int],
  ink: tuple[int, int, int],
  size: int,
) -> None:
  """Writes in any alphabet."""
  cv2.putText(picture, text, at, ink, cv2.FontFace("uni"), size, 400)


@contextlib.contextmanager
def _writer(
  path: str | os.PathLike[str], fps: float, size: tuple[int, int]
) -> Iterator[Any]:
  # What FFmpeg says of a full disk is several lines of its own.
  os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")
  code = cv2.VideoWriter.fourcc(*"mp4v")
  writer = cv2.VideoWriter(os.fspath(path), cv2.CAP_FFMPEG, code, fps, size)
  try:
    if not writer.isOpened():
      raise errors.UserError(
        f"{path}: OpenCV cannot write a video there; make room, or give another"
        " --output"
      )
    yield writer
  finally:
    writer.release()


def _check(path: str | os.PathLike[str], written: int) -> None:
  """Raises a UserError if frames are missing: OpenCV does not say so."""
  reader = cv2.VideoCapture(os.fspath(path), cv2.CAP_FFMPEG)
  there = int(reader.get(cv2.CAP_PROP_FRAME_COUNT)) if reader.isOpened() else 0
  reader.release()
  if there != written:
    raise errors.UserError(
      f"{pathlib.Path(path).name} cannot be written whole ({there} of "
      f"{written} frames): the disk is full; make room, or give another "
      "folder"
    )
