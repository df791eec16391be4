"""Tracks are embedded beside the video, with the same numbers."""

import numpy as np
import pytest

from gaitkd_jax import errors
from gaitkd_jax.identify import beside
from gaitkd_jax.identify import embedding
from gaitkd_jax.identify import track as track_lib
from tests.helpers import gait_videos
from tests.helpers import onnx_files


def track(number, subject="080", frames=20, rejected=""):
  return track_lib.Track(
    id=number,
    frames=np.arange(frames),
    times=np.arange(frames) / 25,
    boxes=np.ones((frames, 4), np.float32),
    silhouettes=gait_videos.clip(subject, frames=frames),
    good=np.ones(frames, bool),
    reasons=[""] * frames,
    rejected=rejected,
  )


def test_numbers_are_those_of_each_track_alone(tmp_path):
  network = embedding.open_network(onnx_files.write(tmp_path / "a.onnx"))
  tracks = [track(1), track(2, rejected="short"), track(3, "095", 17)]
  embedder = beside.Embedder(network)
  for one in tracks[::-1]:  # the last to begin may be the first to end
    embedder.add(one)
  found = embedder.finish(tracks)
  assert len(found) == 2 and embedder.seconds > 0
  for one, values in zip((tracks[0], tracks[2]), found, strict=True):
    (alone,) = embedding.embed(network, [one.used])
    np.testing.assert_array_equal(values, alone)


def test_errors_reach_whoever_waits(tmp_path):
  embedder = beside.Embedder(
    embedding.open_network(onnx_files.write(tmp_path / "a.onnx"))
  )
  bad = track(1)
  bad.silhouettes = bad.silhouettes[:, :60]
  embedder.add(bad)
  with pytest.raises(errors.UserError, match="no silhouettes"):
    embedder.finish([bad])
  with pytest.raises(errors.UserError, match="no silhouettes"):
    embedder.add(track(2))


def test_it_stops_without_the_rest(tmp_path):
  network = embedding.open_network(onnx_files.write(tmp_path / "a.onnx"))
  embedder = beside.Embedder(network)
  embedder.stop()
  embedder.add(track(1))
  assert embedder.finish([]) == []
