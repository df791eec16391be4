"""The walkers by whom the demonstration is calibrated."""

import numpy as np

from gaitkd_jax.identify import demo
from gaitkd_jax.identify import scenes
from tests.helpers import scripts


def test_each_passes_four_times_and_one_at_a_time():
  calibrate_demo = scripts.load("calibrate_demo")
  shown = {person.subject for person in scenes.DEMO.people}
  for subject in demo.OTHERS:
    scene = calibrate_demo.scene(subject)
    assert subject not in shown
    assert {person.subject for person in scene.people} == {subject}
    assert len({person.condition for person in scene.people}) == 4
    assert {person.direction for person in scene.people} == {"left", "right"}
    starts = np.array([person.start for person in scene.people])
    assert np.diff(starts).min() > 5
    assert scene.seconds - starts.max() >= 5
