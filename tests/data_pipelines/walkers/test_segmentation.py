"""Faults of a segmenter."""

import numpy as np

from data_pipelines.walkers import segmentation


def test_segmenting_leaves_no_speckle_outside():
  rng = np.random.default_rng(0)
  distance = np.full((50, 64, 44), -1.0, np.float32)
  distance[:, 8:58, 15:29] = 5.0
  mask = segmentation.segment(rng, 1.0, distance)
  assert not mask[:, :56, :14].any()
  assert mask[:, 8:58, 15:29].mean() > 0.9
  assert not mask[:, 8:58, 15:29].all()


def test_perfect_silhouettes_have_no_faults():
  rng = np.random.default_rng(0)
  assert segmentation.sample_quality(rng, 0.0) == 0.0
  jitter = segmentation.sample_jitter(rng, 0.0, 9)
  assert (jitter.stretch == 1).all()
  assert not jitter.shift.any() and not jitter.offset.any()
  distance = rng.normal(size=(3, 64, 44)).astype(np.float32)
  np.testing.assert_array_equal(
    segmentation.segment(rng, 0.0, distance), distance > 0
  )


def test_more_noise_is_worse():
  draws = [
    segmentation.sample_quality(np.random.default_rng(i), 1.0)
    for i in range(500)
  ]
  assert min(draws) > 0 and max(draws) == 2.5
  assert 0.8 < np.mean(draws) < 1.2
