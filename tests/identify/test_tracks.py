"""People are followed, and never become one another."""

import numpy as np
import pytest

from gaitkd_jax.identify import given as given_lib
from gaitkd_jax.identify import people
from gaitkd_jax.identify import tracks as tracks_lib
from gaitkd_jax.identify.track import Detection

WIDTH, HEIGHT = 640, 480
RED, BLUE = 0, 1


def look(colour):
  """Histograms that differ by a half."""
  found = np.zeros((6, 8), np.float32)
  found[:, 3] = 0.5
  found[:, 5 + colour] = 0.5
  return found.ravel()


def person(x, colour=RED, y=150, width=60, height=180):
  box = np.array([x, y, width, height], float)
  return Detection(box, area=int(width * height * 0.5), look=look(colour))


def merged(one, other):
  """What a background model makes of two who overlap."""
  low = np.minimum(one.box[:2], other.box[:2])
  high = np.maximum(one.box[:2] + one.box[2:], other.box[:2] + other.box[2:])
  if one.box[0] + one.box[2] < other.box[0]:
    return [one, other]
  if other.box[0] + other.box[2] < one.box[0]:
    return [one, other]
  box = np.concatenate([low, high - low])
  area = int(box[2] * box[3] * 0.5)
  return [Detection(box, area=area, look=(one.look + other.look) / 2)]


def follow(frames):
  tracker = tracks_lib.Tracker(25, WIDTH, HEIGHT)
  for i, found in enumerate(frames):
    tracker.update(i, found)
  return tracker.finish()


def places(track):
  return np.array([one.box[0] for one in track.found])


def test_one_person_is_one_track():
  rng = np.random.default_rng(0)
  frames = [[person(50 + 4 * i + rng.normal(0, 2))] for i in range(100)]
  (track,) = follow(frames)
  assert track.frames == list(range(100)) and track.ended == people.LAST


def test_noise_is_no_track():
  rng = np.random.default_rng(0)
  frames = [
    [person(300), person(rng.uniform(0, 600), width=20, height=30)]
    for _ in range(60)
  ]
  assert len(follow(frames)) == 1


def test_a_short_gap_is_bridged_a_long_one_ends_the_track():
  walk = [[person(20 + 4 * i)] for i in range(120)]
  short = [[] if 50 <= i < 60 else found for i, found in enumerate(walk)]
  (track,) = follow(short)
  assert len(track.frames) == 110 and 55 not in track.frames
  long = [[] if 50 <= i < 75 else found for i, found in enumerate(walk)]
  first, second = follow(long)
  assert (first.ended, second.ended) == (people.LOST, people.LAST)


def test_who_comes_back_as_another_is_another():
  frames = [
    [person(20 + 4 * i, RED if i < 50 else BLUE)] if not 50 <= i < 56 else []
    for i in range(120)
  ]
  frames[56:] = [[person(20 + 4 * i, BLUE)] for i in range(56, 120)]
  for found in frames[56:]:
    found[0].look = np.eye(48, dtype=np.float32)[0] * 6
  assert len(follow(frames)) == 2


def test_who_stops_keeps_the_track():
  x = 50 + 4 * np.minimum(np.arange(150), 60)
  (track,) = follow([[person(at)] for at in x])
  assert len(track.frames) == 150


def crossing(colours, turn=False, frames=120):
  """Two people who meet in the middle, and walk on or turn back."""
  steps = np.arange(frames)
  if turn:
    steps = np.where(steps < 60, steps, 118 - steps)
  one, other = 60 + 4 * steps, 520 - 4 * steps
  return [
    merged(person(a, colours[0]), person(b, colours[1]))
    for a, b in zip(one, other, strict=True)
  ]


@pytest.mark.parametrize("turn", [False, True])
def test_people_of_other_clothes_are_told_apart(turn):
  red, blue = follow(crossing((RED, BLUE), turn))
  for track, colour in ((red, RED), (blue, BLUE)):
    assert len(track.frames) > 80
    assert track.ended == people.LAST
    for one in track.found:
      np.testing.assert_array_equal(one.look, look(colour))


@pytest.mark.parametrize("turn", [False, True])
def test_people_who_look_alike_get_new_tracks(turn):
  found = follow(crossing((RED, RED), turn))
  assert len(found) == 4
  assert "met track 2, and could not be told apart" in found[0].ended
  assert "met track 1, and could not be told apart" in found[1].ended
  # Nobody is followed through the meeting.
  assert all(np.ptp(track.frames) < 70 for track in found)


def test_a_third_who_looks_alike_spoils_only_a_meeting():
  third = [person(300, RED, y=20, height=90) for _ in range(120)]
  frames = [
    [*found, one]
    for found, one in zip(crossing((RED, BLUE)), third, strict=True)
  ]
  assert len(follow(frames)) == 3


def test_two_who_come_as_one_are_two_new_tracks():
  def at(i):
    return merged(person(50 + 3 * i, RED), person(50 + 4 * i, BLUE))

  found = follow([at(i) for i in range(110)])
  assert found[0].ended == "two people stepped out of it"
  assert len(found) == 3


def test_who_leaves_is_not_who_comes_in_there():
  """One walks out to the left, while another comes in at the same place."""
  out = [person(200 - 4 * i, width=60) for i in range(66)]
  into = [person(-60 + 4 * i, width=60) for i in range(90)]
  frames = []
  for i in range(120):
    seen = []
    for one in (*out[i : i + 1], *(into[i - 45 : i - 44] if i >= 45 else ())):
      left = max(0.0, one.box[0])
      right = one.box[0] + one.box[2]
      if right > 25:  # less of a person is not seen
        one.box = np.array([left, 150, right - left, 180])
        seen.append(one)
    frames.append(merged(*seen) if len(seen) == 2 else seen)
  found = follow(frames)
  for track in found:
    inside = places(track)[places(track) > 1]
    # To the left, or to the right, never both.
    steps = np.diff(inside)
    assert (steps <= 0).all() or (steps >= 0).all()
  assert len(found) == 2


def test_parts_of_one_person_are_joined():
  frames = []
  for i in range(80):
    one = person(50 + 4 * i)
    if 30 <= i < 50:
      x = one.box[0]
      upper = person(x, y=150, height=80)
      lower = person(x, y=245, height=85)
      frames.append([upper, lower])
    else:
      frames.append([one])
  (track,) = follow(frames)
  assert len(track.frames) == 80
  assert track.found[40].box[3] == 180


def test_the_same_frames_give_the_same_tracks():
  frames = crossing((RED, BLUE))
  again = [list(reversed(found)) for found in frames]
  one, other = follow(frames), follow(again)
  for a, b in zip(one, other, strict=True):
    assert a.frames == b.frames
    np.testing.assert_array_equal(places(a), places(b))


def test_given_ids_are_kept():
  given = given_lib.Given(WIDTH, HEIGHT)
  for i in range(30):
    found = [person(50 + 4 * i), person(500 - 4 * i)]
    found[0].id, found[1].id = 8, 3
    given.update(i, found if i < 20 else found[1:])
  tracks = {track.id: track for track in given.finish()}
  assert len(tracks[8].frames) == 20 and tracks[8].ended == people.LOST
  assert len(tracks[3].frames) == 30 and tracks[3].ended == people.LAST
  assert len(given.take_ended()) == 2 and not given.tracks
