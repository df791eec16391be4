"""Scores of tracks say what is wrong with them."""

import dataclasses

import numpy as np
import pytest

from gaitkd_jax.identify import scenes
from gaitkd_jax.identify.scenes import scoring

NEAR = scenes.Person("075", start=-1.5, depth=5.4)
FAR = scenes.Person("085", direction="right", start=-1.5, depth=6.6)
SCENE = scenes.Scene("crossing", (NEAR, FAR), seconds=2.6, seed=4)


@pytest.fixture(scope="module")
def truths():
  return [truth for _, truth in scenes.render(SCENE)]


@pytest.fixture(scope="module")
def tracks(truths):
  return scoring.true_tracks(truths)


def cut(track, kept, number=None):
  """The track with some of its frames."""
  return dataclasses.replace(
    track,
    id=track.id if number is None else number,
    frames=track.frames[kept],
    boxes=track.boxes[kept],
    silhouettes=track.silhouettes[kept],
  )


def joined(one, other):
  names = ("frames", "boxes", "silhouettes")
  both = {
    name: np.concatenate([getattr(one, name), getattr(other, name)])
    for name in names
  }
  return dataclasses.replace(one, **both)


def test_perfect_tracks_have_perfect_scores(truths, tracks):
  score = scoring.score(truths, tracks)
  assert score.people == (0, 1)
  assert score.subjects == {0: "075", 1: "085"}
  assert (score.found, score.broken, score.swapped, score.false) == (2, 0, 0, 0)
  assert score.mean("box_iou") == 1.0
  assert score.mean("silhouette_iou") == 1.0
  assert np.isnan(score.mean("mask_iou"))
  assert [track.owner for track in score.tracks] == [0, 1]


def test_a_broken_track_is_broken(truths, tracks):
  parts = [
    cut(tracks[0], slice(0, 25), 7),
    cut(tracks[0], slice(30, None), 8),
    tracks[1],
  ]
  score = scoring.score(truths, parts)
  assert (score.found, score.broken, score.swapped, score.false) == (2, 1, 0, 0)
  assert [track.owner for track in score.tracks] == [0, 0, 1]


def test_swapped_tracks_are_swapped(truths, tracks):
  near, far = tracks
  half = slice(0, 32), slice(32, None)
  swapped = [
    joined(cut(near, half[0]), cut(far, half[1])),
    joined(cut(far, half[0]), cut(near, half[1])),
  ]
  assert scoring.score(truths, swapped).swapped == 2


def test_a_few_frames_in_a_crossing_are_no_swap(truths, tracks):
  near, far = tracks
  brush = [joined(cut(near, slice(0, 40)), cut(far, slice(40, 43)))]
  score = scoring.score(truths, brush)
  assert score.swapped == 0
  assert score.tracks[0].matched == {0: 40, 1: 3}


def test_who_is_not_followed_is_not_found(truths, tracks):
  score = scoring.score(truths, [cut(tracks[0], slice(0, 10))])
  assert score.found == 0
  assert 0.1 < score.covered[0] < 0.4
  assert score.covered[1] == 0.0
  assert scoring.score(truths, []).found == 0


def test_a_track_of_nobody_is_false(truths, tracks):
  ghost = dataclasses.replace(
    tracks[0], boxes=np.full_like(tracks[0].boxes, 5.0)
  )
  score = scoring.score(truths, [ghost])
  assert (score.found, score.false) == (0, 1)
  assert score.tracks[0].owner is None


def test_worse_silhouettes_have_a_lower_iou(truths, tracks):
  moved = dataclasses.replace(
    tracks[0], silhouettes=np.roll(tracks[0].silhouettes, 3, axis=2)
  )
  score = scoring.score(truths, [moved])
  assert 0.4 < score.mean("silhouette_iou") < 0.85


def test_frames_that_are_not_good_do_not_count(truths, tracks):
  class Judged:
    id, frames, boxes = 3, tracks[0].frames, tracks[0].boxes
    silhouettes = tracks[0].silhouettes.copy()
    good = np.ones(len(frames), bool)

  Judged.silhouettes[:20] = 0
  assert scoring.score(truths, [Judged]).mean("silhouette_iou") < 0.75
  Judged.good[:20] = False
  assert scoring.score(truths, [Judged]).mean("silhouette_iou") == 1.0


def test_masks_are_compared_with_what_is_visible(truths, tracks):
  far = tracks[1]
  seen = {t.frame: p for t in truths for p in t.people if p.number == 1}

  class Masked:
    id, frames, boxes = 1, far.frames, far.boxes
    silhouettes = far.silhouettes
    masks = [seen[frame].visible for frame in far.frames]

  assert scoring.score(truths, [Masked]).mean("mask_iou") == 1.0
  Masked.masks = [np.roll(mask, 4, axis=1) for mask in Masked.masks]
  assert scoring.score(truths, [Masked]).mean("mask_iou") < 0.9


def test_iou_of_boxes():
  found = scoring.box_iou([[0, 0, 10, 10]], [[5, 0, 10, 10], [20, 0, 1, 1]])
  np.testing.assert_allclose(found, [[1 / 3, 0.0]])


def test_iou_of_masks_takes_any_white():
  mask = np.zeros((4, 4), np.uint8)
  mask[:2] = 1
  assert scoring.mask_iou(mask, mask * 255) == 1.0
  assert scoring.mask_iou(mask, np.roll(mask, 1, 0)) == pytest.approx(1 / 3)
  assert scoring.mask_iou(mask, 0 * mask) == 0.0


def test_a_silhouettes_edge_is_at_half_grey():
  grey = np.array([[0, 100, 200, 255]], np.uint8)
  assert scoring.silhouette_iou(grey, np.array([[0, 0, 255, 255]])) == 1.0


def test_names(truths, tracks):
  score = scoring.score(truths, tracks)
  names = scoring.score_names(score, {0: "075", 1: None}, ["075"])
  assert names == scoring.Names(1, 1, 0, 1, 0)
  wrong = scoring.score_names(score, {0: "076", 1: "076"}, ["075", "076"])
  assert wrong == scoring.Names(1, 0, 1, 1, 1)
  assert names + wrong == scoring.Names(2, 1, 1, 2, 1)
  assert scoring.score_names(score, {}, ["075"]) == scoring.Names(0, 0, 0, 0, 0)


def test_a_table_has_a_line_for_a_scene(truths, tracks):
  line = scoring.score(truths, tracks).line(SCENE.name)
  assert line.split()[:7] == ["crossing", "2", "2", "0", "0", "0", "1.000"]
  assert len(line) == len(scoring.HEADER)


def test_the_last_line_is_of_all_scenes(truths, tracks):
  all_found = scoring.score(truths, tracks)
  nothing = scoring.score(truths, [])
  last = scoring.total([all_found, all_found, nothing])
  assert last.split()[:7] == ["all", "6", "4", "0", "0", "0", "1.000"]
  assert scoring.total([]).split()[:3] == ["all", "0", "0"]
