"""Finds the threshold of `python -m gaitkd_jax.identify --demo`.

python scripts/calibrate_demo.py

Walkers who are neither in the demonstration nor in the training of its network
pass a camera four times, each in a video of their own. They are found, followed
and embedded as in the demonstration, and compared with one another. Writes
gaitkd_jax/identify/demo_calibration.json. Two cores, some four minutes.
"""

from concurrent import futures
import json
import multiprocessing
import pathlib
import tempfile

from absl import flags
import numpy as np
import tqdm

from gaitkd_jax import cli
from gaitkd_jax.identify import demo
from gaitkd_jax.identify import embedding
from gaitkd_jax.identify import pipeline
from gaitkd_jax.identify import scenes
from gaitkd_jax.identify import threshold

_PROCESSES = flags.DEFINE_integer("processes", 2, "that render and look", 1)
_WALKS = (
  ("nm-01", "left", 6.0),
  ("nm-02", "right", 6.0),
  ("nm-05", "left", 5.4),
  ("nm-06", "right", 6.6),
)
_EVERY = 5.2  # seconds; a walk takes less


def scene(subject: str) -> scenes.Scene:
  """One walker, who passes four times."""
  people = tuple(
    scenes.Person(
      subject, walk, direction=way, start=1 + i * _EVERY, depth=depth
    )
    for i, (walk, way, depth) in enumerate(_WALKS)
  )
  seconds = 1 + len(people) * _EVERY
  return scenes.Scene(
    f"others-{subject}", people, seconds=seconds, seed=7_000 + int(subject)
  )


def walks_of(subject: str) -> list[np.ndarray]:
  """The silhouettes of a walker's good tracks, uint8 `[s, 64, 44]`."""
  with tempfile.TemporaryDirectory() as folder:
    path = pathlib.Path(folder, "walks.mp4")
    scenes.write_video(scene(subject), path)
    tracks = pipeline.silhouettes_of(path, progress=False)
  return [track.used for track in tracks if track.frames_used]


def main(argv: list[str]) -> None:
  """Calibrates, and writes the file."""
  del argv
  context = multiprocessing.get_context("spawn")
  clips, people = [], []
  with futures.ProcessPoolExecutor(_PROCESSES.value, context) as pool:
    found = pool.map(walks_of, demo.OTHERS)
    for subject, walks in tqdm.tqdm(
      zip(demo.OTHERS, found, strict=True),
      total=len(demo.OTHERS),
      desc="walkers",
      disable=None,
    ):
      clips += walks
      people += [subject] * len(walks)
  network = embedding.open_network(demo.MODEL)
  known = threshold.measure(
    embedding.embed(network, clips),
    people,
    network.metric,
    f"calibration of {len(clips)} walks, to the left and to the right, of "
    f"{len(demo.OTHERS)} other synthetic walkers in rendered videos",
  )
  content = {"digest": network.digests[0], **known}
  demo.CALIBRATION.write_text(json.dumps(content) + "\n")
  print(threshold.at(demo.RATE, known))
  print(f"written: {demo.CALIBRATION}")


if __name__ == "__main__":
  cli.run(main)
