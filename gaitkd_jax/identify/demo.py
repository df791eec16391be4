"""A demonstration: synthetic walkers pass a camera, and are recognised.

Two are enrolled from other clips; the third is a stranger. The threshold is
found among walkers who are neither. The network is the small one that lies in
shipped_teachers/walkers, which was trained on none of these people.
"""

from concurrent import futures
import dataclasses
import multiprocessing
import pathlib
import tempfile
import time

import numpy as np
import tqdm

from gaitkd_jax import errors
from gaitkd_jax.identify import command
from gaitkd_jax.identify import embedding
from gaitkd_jax.identify import enrolment
from gaitkd_jax.identify import found as found_lib
from gaitkd_jax.identify import results
from gaitkd_jax.identify import scenes
from gaitkd_jax.identify import threshold as threshold_lib

MODEL = pathlib.Path(__file__).parents[2] / "shipped_teachers" / "walkers"
# Neither in the scene, nor among those whom the network was trained on.
_OTHERS = tuple(f"{i:03d}" for i in range(97, 121))
# Two walks to the left and two to the right.
_WALKS = (("nm-01", False), ("nm-05", False), ("nm-02", True), ("nm-06", True))
_FRAMES = 64
_CUT = slice(10, 54)  # the columns that networks are shown


def run(output: str = "") -> found_lib.Found:
  """Renders, enrols, identifies, and prints where the results lie.

  Args:
    output: folder for all files; "": a new one among the temporary files.

  Returns:
    What was found.

  Raises:
    errors.UserError: the folder cannot be written, or the network is not there.
  """
  start = time.perf_counter()
  if not MODEL.is_dir():
    raise errors.UserError(
      f"{MODEL} is not there: the demonstration runs in a clone of the "
      "repository, which holds its network"
    )
  folder = pathlib.Path(output or tempfile.mkdtemp(prefix="gaitkd_identify_"))
  results.check(str(folder))
  people = folder / "people"
  (folder / "people").mkdir(parents=True, exist_ok=True)
  videos = {folder / "scene.mp4": scenes.DEMO}
  for subject, clips in scenes.DEMO_ENROLMENT.items():
    own = people / name_of(subject)
    own.mkdir(exist_ok=True)
    videos |= {own / f"{clip.name}.mp4": clip for clip in clips}
  # Two processes render; here the network is compiled meanwhile.
  context = multiprocessing.get_context("spawn")
  with futures.ProcessPoolExecutor(2, mp_context=context) as pool:
    waiting = [
      pool.submit(_render, scene, str(path)) for path, scene in videos.items()
    ]
    network = embedding.open_network(MODEL)
    calibration = calibrate(network)
    for done in tqdm.tqdm(
      futures.as_completed(waiting),
      total=len(waiting),
      desc="render",
      unit="video",
      disable=None,
    ):
      done.result()
  print(
    f"rendered {len(videos)} videos and calibrated in "
    f"{time.perf_counter() - start:.1f} s",
    flush=True,
  )
  enrolment.enrol(
    enrolment.Change(
      store=str(folder / "gallery"),
      model=network,
      people=str(people),
      replace=True,
      calibration=calibration,
    )
  )
  found = command.run(
    command.Request(
      model=network,
      gallery=str(folder / "gallery"),
      source=str(folder / "scene.mp4"),
      output=str(folder),
      far=threshold_lib.DEFAULT_RATE,
    )
  )
  assert found is not None
  known = ", ".join(map(name_of, scenes.DEMO_ENROLMENT))
  strangers = ", ".join(
    name_of(person.subject)
    for person in scenes.DEMO.people
    if person.subject not in scenes.DEMO_ENROLMENT
  )
  print(
    f"in truth: {known}; and a stranger, {strangers}, who is in no gallery. "
    "These are synthetic walkers: see docs/identify.md for what that means\n"
    f"the demonstration took {time.perf_counter() - start:.1f} s; open "
    f"{folder / results.PAGE} and {folder / results.VIDEO}",
    flush=True,
  )
  return found


def name_of(subject: str) -> str:
  """What a walker is called."""
  return f"walker {subject}"


def calibrate(network: embedding.Network) -> dict:
  """Compares walkers with one another, see `threshold.measure`."""
  from data_pipelines.walkers import sequence
  from data_pipelines.walkers import spec

  size = dataclasses.replace(spec.SIZES["full"], frames=_FRAMES)
  clips, people = [], []
  for subject in tqdm.tqdm(
    _OTHERS, desc="calibrate", unit="walker", disable=None
  ):
    for condition, mirrored in _WALKS:
      walk = sequence.render_sequence(size, subject, condition, "090")
      walk = walk[:, :, _CUT]
      clips.append(np.ascontiguousarray(walk[:, :, ::-1] if mirrored else walk))
      people.append(subject)
  return threshold_lib.measure(
    embedding.embed(network, clips),
    people,
    network.metric,
    f"calibration of {len(clips)} clean sequences of {len(_OTHERS)} other "
    "synthetic walkers",
  )


def _render(scene: scenes.Scene, path: str) -> None:
  """Writes a video, in a process of its own, which prints nothing."""
  scenes.write_video(scene, path)
