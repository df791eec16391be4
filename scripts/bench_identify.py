"""Scores what is found in videos of walkers whose truth is known.

python scripts/bench_identify.py
python scripts/bench_identify.py --scenes=two-cross,stops --keep=runs/scenes

Renders every scene of gaitkd_jax/identify/scenes/catalogue.py into a video,
finds tracks in it, and prints a line: how many people there are, how many of
them were found, how many tracks are broken, go from one person to another, or
follow nobody, and the mean intersection over union of boxes and of silhouettes
of 64 x 44 pixels with the truth. The last line is of all scenes.

--keep names a folder where the videos stay.

python scripts/bench_identify.py --names

With --names ten of the people are enrolled, each from six videos of them alone,
and tracks are identified by the network of the demonstration. Then it also
prints, for the tracks of those ten, how many have their own person nearest
(Rank-1); how many are named rightly and wrongly, and how many strangers are
named, at the threshold of several rates of false accepts: by the calibration of
the demonstration, and by the gallery's own as of `--calibrate`; and the same of
the clean silhouettes of the same walks, whose gallery is of clean ones as well.
"""

from collections.abc import Mapping
from collections.abc import Sequence
import pathlib
import tempfile
from typing import Any

from absl import flags
import numpy as np
import tqdm

from gaitkd_jax import cli
from gaitkd_jax import errors
from gaitkd_jax.identify import demo
from gaitkd_jax.identify import embedding
from gaitkd_jax.identify import gallery as gallery_lib
from gaitkd_jax.identify import matching
from gaitkd_jax.identify import pipeline
from gaitkd_jax.identify import scenes
from gaitkd_jax.identify import threshold as threshold_lib
from gaitkd_jax.identify.scenes import scoring

_SCENES = flags.DEFINE_list("scenes", [], "names; by default all")
_SEGMENTER = flags.DEFINE_string("segmenter", None, "ONNX file")
_KEEP = flags.DEFINE_string("keep", None, "folder in which the videos stay")
_NAMES = flags.DEFINE_bool("names", False, "identify the tracks as well")


def chosen(names: Sequence[str]) -> tuple[scenes.Scene, ...]:
  """The scenes of these names; without names all.

  Raises:
    errors.UserError: there is no scene of a name.
  """
  known = {scene.name: scene for scene in (scenes.DEMO, *scenes.SCENES)}
  for name in names:
    if name not in known:
      raise errors.UserError(
        f"--scenes: there is no scene {name!r}; choose of {', '.join(known)}"
      )
  return tuple(known[name] for name in names or known)


RATES = (0.05, 0.01, 0.005)


class Naming:
  """Names tracks of videos, or clean walks, by a gallery of their kind."""

  def __init__(
    self,
    network: embedding.Network,
    gallery: Mapping[str, Sequence[np.ndarray]],
    calibration: Mapping[str, Any],
  ):
    """Embeds a gallery.

    Args:
      network: that embeds.
      gallery: clips uint8 `[s, 64, 44]` by subject.
      calibration: of other people.
    """
    clips = [clip for own in gallery.values() for clip in own]
    people = [name for name, own in gallery.items() for _ in own]
    self._network = network
    self._gallery = gallery_lib.Gallery(
      path="of the scenes",
      embeddings=embedding.embed(network, clips),
      people=tuple(people),
      clips=tuple(map(str, range(len(clips)))),
      metric=network.metric,
      metadata={},
    )
    self._nearest = scoring.Names(0, 0, 0, 0, 0)
    own = threshold_lib.measure(
      self._gallery.embeddings, people, network.metric, "this gallery"
    )
    self._limits, self._named = {}, {}
    for name, known in (("of others", calibration), ("its own", own)):
      for rate in RATES:
        self._limits[rate, name] = threshold_lib.at(rate, known)
        self._named[rate, name] = scoring.Names(0, 0, 0, 0, 0)

  def add(self, score: scoring.Score, clips: Mapping[int, np.ndarray]) -> None:
    """Counts the answers for the tracks of a scene.

    Args:
      score: of the tracks.
      clips: what is embedded, by the track's id.
    """
    if not clips:
      return
    embeddings = embedding.embed(self._network, list(clips.values()))

    def answers(limit: threshold_lib.Threshold) -> list[matching.Match]:
      return matching.match(embeddings, self._gallery, limit)

    for key, limit in self._limits.items():
      found = answers(limit)
      named = {i: m.identity for i, m in zip(clips, found, strict=True)}
      self._named[key] += scoring.score_names(score, named, scenes.ENROLLED)
    first = {i: m.nearest[0].person for i, m in zip(clips, found, strict=True)}
    self._nearest += scoring.score_names(score, first, scenes.ENROLLED)

  def lines(self, name: str) -> list[str]:
    """What was counted."""
    first = self._nearest
    told = [
      f"{name}: {first.right} of {first.known} tracks of enrolled people have "
      "their own person nearest"
    ]
    for (rate, calibration), named in self._named.items():
      limit = self._limits[rate, calibration]
      told.append(
        f"  rate {rate:.3f}, calibration {calibration}: threshold "
        f"{limit.distance:.4f} of {limit.pairs} pairs; {named.right} of "
        f"{named.known} named rightly, {named.wrong} wrongly; {named.accepted} "
        f"of {named.strangers} strangers named"
      )
    return told


def create_namings(folder: pathlib.Path) -> tuple[Naming, Naming]:
  """Those of videos and of clean walks; renders and reads the enrolment.

  Args:
    folder: takes the videos.
  """
  network = embedding.open_network(demo.MODEL)
  calibration = demo.calibration(network)
  videos: dict[str, list[np.ndarray]] = {}
  clean: dict[str, list[np.ndarray]] = {}
  for subject in tqdm.tqdm(scenes.ENROLLED, desc="enrol", disable=None):
    for clip in scenes.enrolment(subject):
      path = folder / f"{clip.name}.mp4"
      truths = scenes.write_video(clip, path)
      tracks = pipeline.extract(path, progress=False).tracks
      videos.setdefault(subject, []).extend(
        track.used for track in tracks if track.frames_used
      )
      clean.setdefault(subject, []).extend(
        track.silhouettes for track in scoring.true_tracks(truths)
      )
  return tuple(Naming(network, own, calibration) for own in (videos, clean))


def add_names(
  namings: tuple[Naming, Naming],
  truths: Sequence[Any],
  score: scoring.Score,
  tracks: Sequence[Any],
) -> None:
  """Counts the names of a scene's tracks, and of its clean walks.

  Args:
    namings: see `create_namings`.
    truths: of the scene.
    score: of the tracks.
    tracks: that were found.
  """
  videos, clean = namings
  videos.add(score, {t.id: t.used for t in tracks if t.frames_used})
  walks = scoring.true_tracks(truths)
  clean.add(
    scoring.score(truths, walks), {walk.id: walk.silhouettes for walk in walks}
  )


def main(argv: list[str]) -> None:
  """Prints the table."""
  del argv
  wanted = chosen(_SCENES.value)
  scores, frames, seconds = [], 0, 0.0
  with tempfile.TemporaryDirectory() as passing:
    folder = pathlib.Path(_KEEP.value or passing)
    folder.mkdir(parents=True, exist_ok=True)
    namings = create_namings(folder) if _NAMES.value else ()
    print(scoring.HEADER, flush=True)
    for scene in wanted:
      path = folder / f"{scene.name}.mp4"
      truths = scenes.write_video(scene, path)
      found = pipeline.extract(path, segmenter=_SEGMENTER.value, progress=False)
      scores.append(scoring.score(truths, found.tracks))
      print(scores[-1].line(scene.name), flush=True)
      frames, seconds = frames + found.frames, seconds + found.wall
      if namings:
        add_names(namings, truths, scores[-1], found.tracks)
  print(scoring.total(scores))
  for naming, name in zip(namings, ("videos", "clean walks"), strict=False):
    print("\n".join(naming.lines(name)))
  print(f"{frames / max(seconds, 1e-9):.1f} frames a second were looked at")


if __name__ == "__main__":
  cli.run(main)
