"""A demonstration: synthetic walkers pass a camera, and are recognised.

Two are enrolled from other clips; the third is a stranger. The threshold was
found among walkers who are neither. The network is the small one that lies in
shipped_teachers/walkers, which was trained on none of these people.
"""

from collections.abc import Iterator
import contextlib
import json
import pathlib
import shutil
import tempfile
import time
from typing import Any

import numpy as np
import tqdm

from gaitkd_jax import errors
from gaitkd_jax.identify import command
from gaitkd_jax.identify import embedding
from gaitkd_jax.identify import enrolment
from gaitkd_jax.identify import found as found_lib
from gaitkd_jax.identify import results
from gaitkd_jax.identify import scenes

MODEL = pathlib.Path(__file__).parents[2] / "shipped_teachers" / "walkers"
# What scripts/calibrate_demo.py found among walkers who are neither in the
# scene, nor among those whom the network was trained on.
CALIBRATION = pathlib.Path(__file__).with_name("demo_calibration.json")
# The network learned from clean silhouettes, and is less sure of those that a
# video gives: at 1 % it names a fourth of all pairs of one person.
RATE = 0.05
# Files and folders beside the results.
PEOPLE, SCENE, GALLERY = "people", "scene.mp4", "gallery"
OTHERS = tuple(f"{i:03d}" for i in range(97, 113))


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
  results.check(output or tempfile.gettempdir())
  folder = pathlib.Path(output or tempfile.mkdtemp(prefix="gaitkd_identify_"))
  folder = folder.expanduser()
  with cleared(folder, given=bool(output)):
    return _run(folder, start)


def _run(folder: pathlib.Path, start: float) -> found_lib.Found:
  people, scene = folder / PEOPLE, folder / SCENE
  videos = {scene: scenes.DEMO}
  for subject, clips in scenes.DEMO_ENROLMENT.items():
    own = people / name_of(subject)
    own.mkdir(parents=True, exist_ok=True)
    videos |= {own / f"{clip.name}.mp4": clip for clip in clips}
  # Two processes render; here the network is compiled meanwhile.
  with scenes.writing(videos) as written:
    network = embedding.open_network(MODEL)
    known = calibration(network)
    for count in (1, 4):  # a track alone, and clips
      network.embed([np.zeros((90, 64, 44), np.uint8)] * count)
    bar = tqdm.tqdm(
      written, total=len(videos), desc="render", unit="video", disable=None
    )
    for _ in bar:
      pass
  print(
    f"rendered {len(videos)} videos in {time.perf_counter() - start:.1f} s",
    flush=True,
  )
  enrolment.enrol(
    enrolment.Change(
      store=str(folder / GALLERY),
      model=network,
      people=str(people),
      replace=True,
      calibration=known,
    )
  )
  found = command.run(
    command.Request(
      model=network,
      gallery=str(folder / GALLERY),
      source=str(scene),
      output=str(folder),
      far=RATE,
    )
  )
  assert found is not None
  enrolled = ", ".join(map(name_of, scenes.DEMO_ENROLMENT))
  strangers = ", ".join(
    name_of(person.subject)
    for person in scenes.DEMO.people
    if person.subject not in scenes.DEMO_ENROLMENT
  )
  print(
    f"in truth: {enrolled}; and a stranger, {strangers}, who is in no gallery. "
    "These are synthetic walkers: see docs/identify.md for what that means\n"
    f"the demonstration took {time.perf_counter() - start:.1f} s; open "
    f"{folder / results.PAGE} and {folder / results.VIDEO}",
    flush=True,
  )
  return found


def name_of(subject: str) -> str:
  """What a walker is called."""
  return f"walker {subject}"


def calibration(network: embedding.Network) -> dict[str, Any]:
  """Reads the stored calibration, see `threshold.measure`.

  Raises:
    errors.UserError: it is of another network.
  """
  found = json.loads(CALIBRATION.read_text())
  if found.pop("digest") not in network.digests:
    raise errors.UserError(
      f"{CALIBRATION} is not of the network {network.path}; run "
      "scripts/calibrate_demo.py"
    )
  return found


@contextlib.contextmanager
def cleared(folder: pathlib.Path, given: bool) -> Iterator[None]:
  """Takes away what was made in a folder, if the demonstration fails.

  Args:
    folder: of all files.
    given: whether it is the user's; else nothing is in it yet.

  Raises:
    errors.UserError: it holds other people, or a gallery of them.
  """
  mine = {name_of(subject) for subject in scenes.DEMO_ENROLMENT}
  people = folder / PEOPLE
  others = people.exists() and not (
    people.is_dir() and {path.name for path in people.iterdir()} <= mine
  )
  if others or ((folder / GALLERY).exists() and not (folder / SCENE).exists()):
    raise errors.UserError(
      f"--output {folder} holds {PEOPLE if others else GALLERY}, which is of "
      "no demonstration; give a new folder"
    )
  there = {path: path.exists() for path in (folder, *folder.parents)}
  if not given:
    there[folder] = False
  kept = {name: (folder / name).exists() for name in (PEOPLE, SCENE, GALLERY)}
  try:
    yield
  except BaseException:
    for name, stays in kept.items():
      if not stays:
        shutil.rmtree(folder / name, ignore_errors=True)
        with contextlib.suppress(OSError):
          (folder / name).unlink()
    for path, stays in there.items():
      if not stays:
        with contextlib.suppress(OSError):
          path.rmdir()
    raise
