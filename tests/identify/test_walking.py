"""Somebody who stays on the spot does not walk; all others may."""

import numpy as np
import pytest

from gaitkd_jax.identify import walking
from tests.helpers import gait_videos

WIDTH, FRAMES = 640, 125  # 5 seconds


@pytest.fixture(scope="module")
def steps():
  return gait_videos.clip(frames=FRAMES)


@pytest.fixture(scope="module")
def exercise(steps):
  """Legs apart and together again, once in two seconds."""
  place = np.abs((np.arange(FRAMES) % 50) - 25) // 4
  return steps[place]


def judge(silhouettes, x=100.0, heights=180.0, rate=25):
  boxes = np.zeros((FRAMES, 4))
  boxes[:, 3] = heights
  boxes[:, 2] = 60
  boxes[:, 0] = x
  times = np.arange(FRAMES) / rate
  return walking.judge(boxes, times, silhouettes, WIDTH)


def test_exercise_on_the_spot_is_no_walk(exercise):
  rng = np.random.default_rng(0)
  jumps = 180 + 40 * np.sin(np.arange(FRAMES) / 3) + rng.normal(0, 3, FRAMES)
  said = judge(exercise, 100 + rng.normal(0, 5, FRAMES), jumps)
  assert said.startswith("does not walk: for 5.0 seconds it moves by 0.1")
  # Nor does somebody who stands.
  assert judge(np.repeat(exercise[:1], FRAMES, 0))


def test_whoever_gets_on_walks(exercise):
  across = np.linspace(100, 300, FRAMES)
  assert not judge(exercise, x=across)
  # One who stops half way.
  assert not judge(exercise, x=np.minimum(across, 250))
  # Towards the camera, and away from it; from 10 to 7 metres.
  nearer = 180 / np.linspace(1, 0.7, FRAMES)
  assert not judge(exercise, heights=nearer)
  assert not judge(exercise, heights=nearer[::-1])
  # From 40 metres to 34 with a telephoto lens.
  assert not judge(exercise, heights=80 / np.linspace(1, 0.85, FRAMES))


def test_whoever_takes_steps_walks(steps):
  assert not judge(steps)


def test_nothing_is_said_of_a_short_or_sparse_track(exercise):
  assert not judge(exercise, rate=100)
  assert not judge(exercise, rate=5)
  nothing = np.zeros((0, 4))
  assert not walking.judge(nothing, np.zeros(0), exercise[:0], WIDTH)
