"""Gaits over the stride."""

import numpy as np
import pytest

from data_pipelines.walkers import motion
from data_pipelines.walkers import sequence
from data_pipelines.walkers import spec as spec_lib


def test_legs_close_twice_a_stride():
  for subject in ("001", "006", "010"):
    spec = spec_lib.Spec(noise=0.0, within=0.0)
    gait = motion.sample_gait(spec_lib.generator(spec_lib.GAIT, subject), spec)
    size = spec_lib.Size(12, 8, ("090",), 100)
    frames = sequence.render_sequence(size, subject, "nm-01", "090", spec) > 0
    # Spread of the shins: wide at both heel strikes, narrow in mid stance.
    across = np.arange(64) - 31.5
    legs = frames[:, 48:]
    spread = np.sqrt(
      (legs * across**2).sum(axis=(1, 2)) / legs.sum(axis=(1, 2))
    )
    power = np.abs(np.fft.rfft((spread - spread.mean()) * np.hanning(100), 800))
    hertz = power.argmax() * spec_lib.FRAMES_PER_SECOND / 800
    assert hertz == pytest.approx(2 * gait.frequency, rel=0.15)


def test_sides_are_half_a_stride_apart():
  spec = spec_lib.Spec(within=0.0, between=0.0)
  rng = np.random.default_rng(0)
  gait = motion.sample_gait(rng, spec)
  walk = motion.sample_walk(rng, spec, gait, 400)
  thigh = motion.SIDED.index("thigh_a")
  shifted = np.interp(walk.phase[:300] + np.pi, walk.phase, walk.right[thigh])
  np.testing.assert_allclose(shifted, walk.left[thigh, :300], atol=0.01)
  # Around heel strike the thigh is far ahead, half a stride later behind.
  strike = np.abs(walk.phase - 4 * np.pi).argmin()
  assert np.rad2deg(walk.left[thigh, strike]) > 20
  assert np.rad2deg(walk.right[thigh, strike]) < -5
