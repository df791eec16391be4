"""Scores what is found in videos of walkers whose truth is known.

python scripts/bench_identify.py
python scripts/bench_identify.py --scenes=two-cross,stops --keep=runs/scenes

Renders every scene of gaitkd_jax/identify/scenes/catalogue.py into a video,
finds tracks in it, and prints a line: how many people there are, how many of
them were found, how many tracks are broken, go from one person to another, or
follow nobody, and the mean intersection over union of boxes and of silhouettes
of 64 x 44 pixels with the truth. The last line is of all scenes.

--keep names a folder where the videos stay.
"""

from collections.abc import Sequence
import pathlib
import tempfile

from absl import flags

from gaitkd_jax import cli
from gaitkd_jax import errors
from gaitkd_jax.identify import pipeline
from gaitkd_jax.identify import scenes
from gaitkd_jax.identify.scenes import scoring

_SCENES = flags.DEFINE_list("scenes", [], "names; by default all")
_SEGMENTER = flags.DEFINE_string("segmenter", None, "ONNX file")
_KEEP = flags.DEFINE_string("keep", None, "folder in which the videos stay")


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


def main(argv: list[str]) -> None:
  """Prints the table."""
  del argv
  wanted = chosen(_SCENES.value)
  scores, frames, seconds = [], 0, 0.0
  with tempfile.TemporaryDirectory() as passing:
    folder = pathlib.Path(_KEEP.value or passing)
    folder.mkdir(parents=True, exist_ok=True)
    print(scoring.HEADER, flush=True)
    for scene in wanted:
      path = folder / f"{scene.name}.mp4"
      truths = scenes.write_video(scene, path)
      found = pipeline.extract(path, segmenter=_SEGMENTER.value, progress=False)
      scores.append(scoring.score(truths, found.tracks))
      print(scores[-1].line(scene.name), flush=True)
      frames, seconds = frames + found.frames, seconds + found.wall
  print(scoring.total(scores))
  print(f"{frames / max(seconds, 1e-9):.1f} frames a second were looked at")


if __name__ == "__main__":
  cli.run(main)
