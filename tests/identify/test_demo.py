"""The demonstration finds who is known, and names no stranger."""

import json

import pytest

from gaitkd_jax import errors
from gaitkd_jax.evaluation import store as store_lib
from gaitkd_jax.identify import demo
from gaitkd_jax.identify import embedding
from gaitkd_jax.identify import scenes
from gaitkd_jax.identify import threshold
from tests.helpers import command
from tests.helpers.pages import Page


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
