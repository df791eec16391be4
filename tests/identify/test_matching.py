"""Names, strangers, and what is said where nothing can be."""

import numpy as np
import pytest

from gaitkd_jax import errors
from gaitkd_jax.identify import gallery as gallery_lib
from gaitkd_jax.identify import matching
from gaitkd_jax.identify import threshold
from gaitkd_jax.identify.track import Track

# On a line: Ada at 0 and 1, Ben at 10.
GALLERY = gallery_lib.Gallery(
  "here",
  np.array([0.0, 1.0, 10.0], np.float32).reshape(3, 1, 1),
  ("Ada", "Ada", "Ben"),
  ("Ada/1", "Ada/2", "Ben/1"),
  "euclidean",
  {},
)


def at(*places):
  return np.array(places, np.float32).reshape(-1, 1, 1)


def track(number, frames, good=True, rejected=""):
  count = len(frames)
  return Track(
    id=number,
    frames=np.array(frames),
    times=np.array(frames) / 25,
    boxes=np.zeros((count, 4), np.float32),
    silhouettes=np.full((count, 64, 44), 255, np.uint8),
    good=np.full(count, good),
    reasons=["" if good else "too small"] * count,
    rejected=rejected,
  )


def test_a_name_or_nobody():
  near, far = matching.match(at(1.5, 5.2), GALLERY, 2.0)
  assert near.identity == "Ada" and near.distance == pytest.approx(0.5)
  assert [n.person for n in near.nearest] == ["Ada", "Ben"]
  assert near.nearest[0].row == 1 and "within the threshold 2" in near.reason
  assert far.identity is None and far.distance == pytest.approx(4.2)
  assert far.reason.startswith("nobody of the gallery: Ada is the nearest")


def test_the_threshold_itself_is_near_enough():
  (found,) = matching.match(at(12.0), GALLERY, threshold.given(2.0))
  assert found.identity == "Ben"


def test_without_a_threshold_nobody_is_named():
  (found,) = matching.match(at(0.0), GALLERY)
  assert found.identity is None and found.nearest[0].person == "Ada"
  assert found.reason == "nearest of the gallery; no threshold"


def test_a_track_that_is_not_good_enough_is_not_compared():
  tracks = [track(1, [0, 1], rejected="too short"), track(2, [5, 6])]
  one, two = matching.match_tracks(
    tracks, at(0.0), GALLERY, threshold.given(1.0)
  )
  assert (one.identity, one.distance, one.reason) == (None, None, "too short")
  assert two.identity == "Ada"
  none = matching.match_tracks(
    [track(1, [0], good=False)], at(), GALLERY, threshold.given(1.0)
  )
  assert none[0].reason == "no frame may be used"


def test_nobody_is_in_two_places():
  limit = threshold.given(3.0)
  tracks = [track(1, [0, 1, 2]), track(2, [2, 3]), track(3, [4, 5])]
  found = matching.match_tracks(tracks, at(2.5, 0.5, 0.9), GALLERY, limit)
  assert [one.identity for one in found] == [None, "Ada", "Ada"]
  assert "so is track 2" in found[0].reason


def test_other_embeddings():
  with pytest.raises(errors.UserError, match="use one network"):
    matching.match(np.zeros((1, 2, 1), np.float32), GALLERY)
  with pytest.raises(errors.UserError, match="not finite"):
    matching.match(at(np.nan), GALLERY)
