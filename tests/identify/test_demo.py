"""The demonstration finds who is known, and names no stranger."""

import json
import os
import signal
import subprocess
import sys
import time

import pytest

from gaitkd_jax import errors
from gaitkd_jax.evaluation import store as store_lib
from gaitkd_jax.identify import demo
from gaitkd_jax.identify import embedding
from gaitkd_jax.identify import scenes
from gaitkd_jax.identify import threshold
from tests.helpers import command
from tests.helpers import paths
from tests.helpers.pages import Page
from tests.identify.test_command import INTERRUPTIBLE


def test_people_of_the_demonstration():
  shown = [person.subject for person in scenes.DEMO.people]
  assert len(scenes.DEMO_ENROLMENT) == 2 and len(shown) == 3
  assert set(scenes.DEMO_ENROLMENT) < set(shown)
  # The threshold was found among others, whom the network has not seen either.
  assert not set(demo.OTHERS) & set(shown) and min(demo.OTHERS) > "074"
  for subject, clips in scenes.DEMO_ENROLMENT.items():
    walks = {person.condition for clip in clips for person in clip.people}
    seen = {p.condition for p in scenes.DEMO.people if p.subject == subject}
    assert not walks & seen


def test_the_calibration_is_of_the_shipped_network():
  network = embedding.open_network(demo.MODEL)
  known = demo.calibration(network)
  assert known["people"] == len(demo.OTHERS)
  assert threshold.at(demo.RATE, known).pairs == known["pairs"] > 1000
  network.digests = ("0" * 64,)
  with pytest.raises(errors.UserError, match="calibrate_demo.py"):
    demo.calibration(network)


def test_a_demonstration_that_fails_leaves_nothing(tmp_path):
  folder = tmp_path / "new" / "demo"
  for error in (errors.UserError("full"), KeyboardInterrupt()):
    with pytest.raises(type(error)), demo.cleared(folder, given=True):
      (folder / demo.PEOPLE / demo.name_of("076")).mkdir(parents=True)
      (folder / demo.SCENE).write_text("half")
      raise error
    assert not list(tmp_path.iterdir())


def test_a_demonstration_that_fails_keeps_what_was_there(tmp_path):
  (tmp_path / "mine.txt").write_text("mine")
  (tmp_path / demo.SCENE).write_text("before")
  with pytest.raises(KeyboardInterrupt), demo.cleared(tmp_path, given=True):
    (tmp_path / demo.GALLERY).mkdir()
    raise KeyboardInterrupt
  assert {p.name for p in tmp_path.iterdir()} == {"mine.txt", demo.SCENE}


def test_a_demonstration_adds_nobody_to_the_people_of_users(tmp_path):
  (tmp_path / demo.PEOPLE / "Ada").mkdir(parents=True)
  with pytest.raises(errors.UserError, match="holds people, which is of no"):
    demo.run(str(tmp_path))
  (tmp_path / demo.PEOPLE / "Ada").rmdir()
  (tmp_path / demo.GALLERY).mkdir()
  with pytest.raises(errors.UserError, match="holds gallery, which is of no"):
    demo.run(str(tmp_path))


@pytest.mark.slow
def test_ctrl_c_ends_the_demonstration_and_all_its_processes(tmp_path):
  """A terminal sends it to all of them."""
  with subprocess.Popen(
    [
      sys.executable,
      "-c",
      INTERRUPTIBLE,
      "--demo",
      f"--output={tmp_path / 'x'}",
    ],
    cwd=paths.ROOT,
    env=os.environ | {"JAX_PLATFORMS": "cpu", "PYTHONPATH": str(paths.ROOT)},
    stderr=subprocess.PIPE,
    text=True,
    start_new_session=True,
  ) as process:
    while not list(tmp_path.glob("x/**/*.mp4")):
      assert process.poll() is None
      time.sleep(0.05)
    os.killpg(process.pid, signal.SIGINT)
    # It ends when nobody is left who could write.
    said = process.stderr.read()
  assert (process.returncode, said) == (130, "stopped by SIGINT\n")
  assert not list(tmp_path.iterdir())


@pytest.mark.slow
def test_the_known_are_named_and_the_stranger_is_nobody(tmp_path):
  out = command.output(
    "--demo",
    f"--output={tmp_path / 'demo'}",
    program=("-m", "gaitkd_jax.identify"),
  )
  content = json.loads((tmp_path / "demo" / "result.json").read_text())
  known = set(map(demo.name_of, scenes.DEMO_ENROLMENT))
  named = [track["identity"] for track in content["tracks"]]
  assert {name for name in named if name} == known
  # Someone who is seen again after a gap may be two tracks; no stranger is.
  last = max(content["tracks"], key=lambda track: track["first_frame"])
  assert last["identity"] is None and last["frames_used"] > 15
  assert last["distance"] > content["threshold"]["distance"]
  pairs = content["threshold"]["pairs"]
  assert f"of {pairs} pairs of different people" in out
  assert str(tmp_path / "demo" / "page.html") in out
  assert str(tmp_path / "demo" / "annotated.mp4") in out
  assert "seconds: " in out and "the demonstration took" in out
  page = Page(tmp_path / "demo" / "page.html")
  assert all(name in page.text for name in known)
  gallery = store_lib.EmbeddingStore.open(tmp_path / "demo" / "gallery")
  assert set(gallery.subjects) == known
