"""Who walks in a video: from the video and a gallery to names."""

from collections.abc import Iterator
from collections.abc import Sequence
import contextlib
import dataclasses
import pathlib
import shlex
import sys
import time

import numpy as np

from gaitkd_jax import errors
from gaitkd_jax.identify import embedding
from gaitkd_jax.identify import found as found_lib
from gaitkd_jax.identify import gallery as gallery_lib
from gaitkd_jax.identify import matching
from gaitkd_jax.identify import pipeline
from gaitkd_jax.identify import quality
from gaitkd_jax.identify import results
from gaitkd_jax.identify import segmenter as segmenter_lib
from gaitkd_jax.identify import silhouettes
from gaitkd_jax.identify import threshold as threshold_lib
from gaitkd_jax.identify import video as video_lib
from gaitkd_jax.identify.track import Track

STOPS = ("", "silhouettes")


@dataclasses.dataclass(frozen=True)
class Request:
  """What is to be found out.

  Attributes:
    model: see `embedding.open_network`.
    gallery: see `gallery.open_gallery`.
    source: a video, or a folder of silhouettes.
    output: folder for the results.
    segmenter: an ONNX file, see `segmenter.Segmenter`; "": the background.
    boxes: a CSV file, see `boxes.Boxes`; "": people are looked for.
    threshold: distance up to which somebody is named.
    far: rate of false accepts, in place of a threshold.
    stop_after: "silhouettes", or "" to go on to names.
    fps: frames a second, where the video says something wrong; 0: it is right.
  """

  model: embedding.Network | str = ""
  gallery: str = ""
  source: str = ""
  output: str = ""
  segmenter: str = ""
  boxes: str = ""
  threshold: float | None = None
  far: float | None = None
  stop_after: str = ""
  fps: float = 0.0


class _Clock:
  """Seconds of stages."""

  def __init__(self) -> None:
    self.seconds: dict[str, float] = {}

  @contextlib.contextmanager
  def of(self, stage: str) -> Iterator[None]:
    start = time.perf_counter()
    yield
    spent = time.perf_counter() - start
    self.seconds[stage] = self.seconds.get(stage, 0.0) + spent

  def line(self) -> str:
    """All of them, in one line."""
    return "seconds: " + ", ".join(
      f"{stage} {spent:.1f}" for stage, spent in self.seconds.items()
    )


def run(request: Request) -> found_lib.Found | None:
  """Identifies people, and writes what was found.

  Args:
    request: what is to be found out.

  Returns:
    What was found; None if it stopped after the silhouettes.

  Raises:
    errors.UserError: what the user can mend; nothing is written then.
  """
  _check(request)
  clock = _Clock()
  segmenter = None
  if request.segmenter:
    segmenter = segmenter_lib.Segmenter(request.segmenter)
  if request.stop_after:
    with clock.of("video"):
      extraction = _extract(request, segmenter)
    silhouettes.save(extraction.tracks, request.output)
    print(f"written: {len(extraction.tracks)} tracks in {request.output}")
    return None
  with clock.of("model"):
    network = embedding.open_network(request.model)
  with clock.of("gallery"):
    gallery = gallery_lib.open_gallery(request.gallery, network, segmenter)
    threshold = gallery_lib.threshold_of(
      gallery, network, request.threshold, request.far
    )
  for note in gallery.notes:
    print(note, flush=True)
  pictures, tracks, video, warnings = _read(request, segmenter, clock)
  with clock.of("embed"):
    used = [track.used for track in tracks if track.frames_used]
    embeddings = np.zeros((0, *gallery.embeddings.shape[1:]), np.float32)
    if used:
      embeddings = embedding.embed(network, used)
  with clock.of("match"):
    matches = matching.match_tracks(tracks, embeddings, gallery, threshold)
  found = found_lib.Found(
    request.source,
    tuple(tracks),
    tuple(matches),
    gallery,
    network,
    threshold,
    video,
    (*warnings, *gallery.notes),
    clock.seconds,
  )
  with clock.of("write"):
    folder = results.write(found, pictures, request.output, _command())
  print(
    f"gallery: {len(gallery.names)} people, {len(gallery.people)} sequences; "
    f"threshold: {found.said_of_threshold}"
  )
  for line in found.lines():
    print(line)
  print(clock.line())
  for name in results.FILES:
    print(f"written: {folder / name}", flush=True)
  return found


def _check(request: Request) -> None:
  """Finds what is wrong before any work is done."""
  mistakes = errors.Mistakes()
  wanted = {
    "model": "a checkpoint or an exported .onnx",
    "gallery": "a store, or a folder of people",
    "source": "a video, or a folder of silhouettes",
  }
  if request.stop_after:
    wanted = {"source": wanted["source"]}
  for key, what in wanted.items():
    if not getattr(request, key):
      flag = "input" if key == "source" else key
      mistakes.add([f"--{flag} is missing; give {what}"])
  with mistakes.collect():
    results.check(request.output)
  with mistakes.collect():
    threshold_lib.check(request.threshold, request.far)
  source = pathlib.Path(request.source).expanduser()
  if request.source and not source.exists():
    mistakes.add([f"--input {request.source} is missing; check the path"])
  elif not _is_video(request) and request.boxes:
    mistakes.add(
      [
        f"--input {request.source} is a folder of silhouettes, which takes no "
        "--boxes; drop them, or give a video"
      ]
    )
  mistakes.check()


def _is_video(request: Request) -> bool:
  """A folder is one of silhouettes, but for the first stage."""
  source = pathlib.Path(request.source).expanduser()
  return not source.is_dir() or bool(request.stop_after)


def _extract(
  request: Request, segmenter: segmenter_lib.Segmenter | None
) -> pipeline.Extraction:
  extraction = pipeline.extract(
    pathlib.Path(request.source).expanduser(),
    boxes=request.boxes or None,
    segmenter=segmenter,
    fps=request.fps or None,
  )
  for line in (*extraction.lines(), *_warned(extraction.warnings)):
    print(line, flush=True)
  return extraction


def _warned(warnings: Sequence[str]) -> list[str]:
  return [f"warning: {text}" for text in warnings]


def _read(
  request: Request, segmenter: segmenter_lib.Segmenter | None, clock: _Clock
) -> tuple[
  video_lib.Video | None, list[Track], dict[str, float], tuple[str, ...]
]:
  """The video, its tracks, what is known of it, and what was odd."""
  if _is_video(request):
    with clock.of("video"):
      extraction = _extract(request, segmenter)
    pictures = video_lib.Video(
      pathlib.Path(request.source).expanduser(), request.fps or None
    )
    known = {
      "frames": extraction.frames,
      "fps": extraction.fps,
      "width": extraction.width,
      "height": extraction.height,
    }
    return pictures, extraction.tracks, known, tuple(extraction.warnings)
  with clock.of("silhouettes"):
    tracks = silhouettes.load(pathlib.Path(request.source).expanduser())
  for track in tracks:
    if not track.rejected:
      track.rejected = quality.judge_track(track.frames, track.good)
  return None, tracks, {}, ()


def _command() -> str:
  """The command line, for the page."""
  return shlex.join(["python", "-m", "gaitkd_jax.identify", *sys.argv[1:]])
