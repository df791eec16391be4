"""Capsules and ellipsoids are collected in order."""

import numpy as np

from data_pipelines.walkers import shapes as shapes_lib


def test_shapes_are_those_that_were_added():
  rng = np.random.default_rng(0)
  points = rng.normal(size=(4, 5, 3))
  frame = np.broadcast_to(np.eye(3), (5, 3, 3))
  out = shapes_lib.Collector()
  out.capsule(points[0], points[1], 0.1, 0.2)
  out.ellipsoid(points[2], frame, (1.0, 2.0, 3.0))
  out.slices(points, np.stack([frame] * 4), np.full((4, 3), 0.5))
  out.capsule(points[1], points[2], 0.3, 0.4)
  floor = rng.normal(size=5)
  made = out.shapes(floor, list(points))
  assert made.ends.shape == (2, 2, 5, 3) and made.ends.dtype == np.float32
  np.testing.assert_allclose(made.ends[1, 0], points[1], rtol=1e-6)
  np.testing.assert_allclose(made.radii, [[0.1, 0.2], [0.3, 0.4]], rtol=1e-6)
  np.testing.assert_allclose(made.centres[0], points[2], rtol=1e-6)
  assert made.centres.shape == (5, 5, 3) and made.axes.shape == (5, 5, 3, 3)
  np.testing.assert_array_equal(made.axes[0, 0], np.diag([1.0, 2.0, 3.0]))
  halves = np.broadcast_to(0.5 * np.eye(3), (4, 5, 3, 3))
  np.testing.assert_array_equal(made.axes[1:], halves)
  np.testing.assert_allclose(made.joints, points, rtol=1e-6)
  np.testing.assert_allclose(made.floor, floor, rtol=1e-6)
