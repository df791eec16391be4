"""Cameras, and what they see of a figure."""

import numpy as np

from data_pipelines.walkers import render
from data_pipelines.walkers import shapes as shapes_lib


def ball(frames=3):
  """A ball of 0.9 m on the floor: it touches both edges of the image."""
  out = shapes_lib.Collector()
  frame = np.broadcast_to(np.eye(3), (frames, 3, 3))
  out.ellipsoid(np.zeros((frames, 3)), frame, (0.9, 0.9, 0.9))
  # A capsule needs to be there; this one is inside.
  out.capsule(np.zeros((frames, 3)), np.zeros((frames, 3)), 0.1, 0.1)
  joints = [np.zeros((frames, 3))] * 17
  return out.shapes(np.full(frames, -0.9), joints)


def test_a_ball_is_a_disc_from_every_side():
  still = np.zeros(3)
  for azimuth in (0.0, 90.0, 130.0):
    camera = render.Camera(np.full(3, azimuth), 0.0, 5.0, 0.0)
    distance = render.distances(ball(), camera, still + 1, still)
    assert distance.shape == (3, render.ROWS, render.CANVAS)
    y, x = np.mgrid[: render.ROWS, : render.CANVAS] + 0.5
    radius = np.hypot(x - render.CANVAS / 2, y - render.ROWS / 2)
    wrong = (distance > 0) != (radius < render.ROWS / 2)
    assert (wrong & (np.abs(radius - 32) > 1)).sum() == 0
    points = render.key_points(ball(), camera)
    np.testing.assert_allclose(points[:, 0], [[44, 32]] * 3, atol=0.1)


def test_windows_are_centred_on_the_mass():
  canvas = np.full((2, 8, 30), -1.0, np.float32)
  canvas[0, :, 12:15] = 1
  canvas[1, :, 20:23] = 1
  windows = render.centre_windows(canvas, 10, np.array([0, 2]))
  assert windows.shape == (2, 8, 10)
  columns = [np.flatnonzero(w[0] > 0).tolist() for w in windows]
  assert columns == [[4, 5, 6], [2, 3, 4]]


def test_a_camera_is_near_its_view():
  for view in ("000", "090", "180"):
    cameras = [
      render.sample_camera(np.random.default_rng(i), view, 9)
      for i in range(100)
    ]
    middle = [camera.azimuth.mean() for camera in cameras]
    assert abs(np.mean(middle) - float(view)) < 1
    assert all(4.5 <= camera.distance <= 6.5 for camera in cameras)
