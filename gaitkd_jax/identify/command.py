"""Who walks in a video: from the video and a gallery to names."""

from collections.abc import Callable
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
from gaitkd_jax.identify import beside
from gaitkd_jax.identify import boxes as boxes_lib
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
    segment_every: of a video's frames, how many make one that the segmenter is
      shown.
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
  segment_every: int = 1
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
  # What can be wrong with the input is said before anything takes long.
  video = _open(request)
  segmenter = None
  if request.segmenter:
    segmenter = segmenter_lib.Segmenter(
      request.segmenter, every=request.segment_every
    )
  if request.stop_after:
    assert video is not None
    with clock.of("video"):
      extraction = _extract(request, video, segmenter)
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
  embedder = beside.Embedder(network)
  try:
    tracks, known, warnings = _read(request, video, segmenter, clock, embedder)
    with clock.of("embed"):
      found = embedder.finish(tracks)
  finally:
    embedder.stop()
  embeddings = np.zeros((0, *gallery.embeddings.shape[1:]), np.float32)
  if found:
    embeddings = np.stack(found)
  with clock.of("match"):
    matches = matching.match_tracks(tracks, embeddings, gallery, threshold)
  result = found_lib.Found(
    request.source,
    tuple(tracks),
    tuple(matches),
    gallery,
    network,
    threshold,
    known,
    (*warnings, *gallery.notes),
    clock.seconds,
  )
  with clock.of("write"):
    folder = results.write(result, video, request.output, _command())
  print(
    f"gallery: {len(gallery.names)} people, {len(gallery.people)} sequences; "
    f"threshold: {result.said_of_threshold}"
  )
  for line in result.lines():
    print(line)
  print(clock.line())
  if video is not None:
    print(
      f"embedding took {embedder.seconds:.1f} seconds beside the video; "
      f"{clock.seconds['embed']:.1f} of them were waited for"
    )
  for name in results.FILES:
    print(f"written: {folder / name}", flush=True)
  return result


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
  if request.segment_every != 1 and not request.segmenter:
    mistakes.add(
      ["--segment_every is given without --segmenter; give both, or neither"]
    )
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


def _open(request: Request) -> video_lib.Video | None:
  """Opens the video, and checks the boxes; None: silhouettes are the input."""
  if not _is_video(request):
    return None
  video = video_lib.Video(
    pathlib.Path(request.source).expanduser(), request.fps or None
  )
  if request.boxes:
    boxes_lib.Boxes(request.boxes).check(video.width, video.height, video.count)
  return video


def _extract(
  request: Request,
  video: video_lib.Video,
  segmenter: segmenter_lib.Segmenter | None,
  on_track: Callable[[Track], None] | None = None,
) -> pipeline.Extraction:
  extraction = pipeline.extract(
    video,
    boxes=request.boxes or None,
    segmenter=segmenter,
    on_track=on_track,
  )
  for line in (*extraction.lines(), *_warned(extraction.warnings)):
    print(line, flush=True)
  return extraction


def _warned(warnings: Sequence[str]) -> list[str]:
  return [f"warning: {text}" for text in warnings]


def _read(
  request: Request,
  video: video_lib.Video | None,
  segmenter: segmenter_lib.Segmenter | None,
  clock: _Clock,
  embedder: beside.Embedder,
) -> tuple[list[Track], dict[str, float], tuple[str, ...]]:
  """The tracks, what is known of the video, and what was odd."""
  if video is not None:
    with clock.of("video"):
      extraction = _extract(request, video, segmenter, embedder.add)
    known = {
      "frames": extraction.frames,
      "fps": extraction.fps,
      "width": extraction.width,
      "height": extraction.height,
    }
    return extraction.tracks, known, tuple(extraction.warnings)
  with clock.of("silhouettes"):
    tracks = silhouettes.load(pathlib.Path(request.source).expanduser())
  for track in tracks:
    # Those of a video have boxes, and were judged when they were written.
    if not track.rejected and not track.boxes.any():
      track.rejected = quality.judge_track(track.frames, track.good)
    embedder.add(track)
  return tracks, {}, ()


def _command() -> str:
  """The command line, for the page."""
  return shlex.join(["python", "-m", "gaitkd_jax.identify", *sys.argv[1:]])
