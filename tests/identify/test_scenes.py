"""Scenes show people who walk, and the truth about them is true."""

import dataclasses
import itertools
import multiprocessing
import subprocess
import sys

import cv2
import numpy as np
import pytest

from data_pipelines.walkers import figure
from data_pipelines.walkers import render as walkers_render
from data_pipelines.walkers import sequence
from data_pipelines.walkers import spec as walkers
from gaitkd_jax import errors
from gaitkd_jax.identify import scenes
from gaitkd_jax.identify.scenes import camera
from gaitkd_jax.identify.scenes import course as course_lib
from gaitkd_jax.identify.scenes import rendering
from tests.helpers import disks
from tests.helpers.paths import ROOT

# In the middle of the picture at once.
NEAR = scenes.Person("075", start=-1.5, depth=5.4)
FAR = scenes.Person("076", "nm-06", direction="right", start=-1.5, depth=6.6)
PLAIN = scenes.Scene("plain", (NEAR,), seconds=0.6, seed=3, noise=0.0)
CROSSING = scenes.Scene("crossing", (NEAR, FAR), seconds=2.6, seed=4)


def iou(one, other):
  return (one & other).sum() / (one | other).sum()


def frames(scene, count=None):
  return list(itertools.islice(scenes.render(scene), count))


@pytest.fixture(scope="module")
def crossing():
  return frames(CROSSING)


@pytest.fixture(scope="module")
def plain():
  return frames(PLAIN)


def test_a_scene_is_a_function_of_its_spec(crossing):
  again = frames(CROSSING, 5)
  for (frame, truth), (other, other_truth) in zip(
    crossing, again, strict=False
  ):
    np.testing.assert_array_equal(frame, other)
    for seen, other_seen in zip(truth.people, other_truth.people, strict=True):
      assert seen.box == other_seen.box
      np.testing.assert_array_equal(seen.mask, other_seen.mask)
  another = frames(dataclasses.replace(CROSSING, seed=5), 1)[0][0]
  assert np.abs(another.astype(int) - crossing[0][0]).mean() > 5


def test_frames_are_pictures_of_the_named_size(crossing):
  assert len(crossing) == CROSSING.frames == 65
  assert [truth.frame for _, truth in crossing] == list(range(65))
  for frame, _ in crossing:
    assert frame.shape == (480, 640, 3)
    assert frame.dtype == np.uint8


def test_only_the_masks_differ_from_the_empty_place():
  scene = dataclasses.replace(PLAIN, shadow=0.0)
  empty = frames(dataclasses.replace(scene, people=()), 1)[0][0].astype(int)
  for frame, truth in frames(scene)[::5]:
    (seen,) = truth.people
    change = np.abs(frame - empty).max(-1)
    # The lens spreads outlines over two pixels.
    around = cv2.dilate(seen.full.astype(np.uint8), np.ones((7, 7))) > 0
    assert not change[~around].any()
    assert (change[seen.full] > 10).mean() > 0.9


def test_shadows_fall_on_the_floor_at_the_feet(plain):
  dark = plain
  light = frames(dataclasses.replace(PLAIN, shadow=0.0))
  for (frame, truth), (bright, _) in list(zip(dark, light, strict=True))[::7]:
    (seen,) = truth.people
    lost = (bright.astype(int) - frame).max(-1)
    assert lost.min() >= 0
    rows = np.flatnonzero((lost > 5).any(1))
    feet = seen.box[1] + seen.box[3]
    assert rows.size
    assert rows[0] < feet < rows[-1] + 30
    assert 6 < lost.max() < 120


def test_boxes_are_those_of_the_masks(crossing):
  for frame, truth in crossing:
    del frame
    for seen in truth.people:
      rows, columns = np.nonzero(seen.full)
      x, y, width, height = seen.box
      assert (columns.min(), rows.min()) == (x, y)
      assert (columns.max() + 1, rows.max() + 1) == (x + width, y + height)
      assert seen.mask.sum() == seen.full.sum()


def test_the_near_one_hides_the_far_one(crossing):
  most = 0.0
  for _, truth in crossing:
    people = {seen.number: seen for seen in truth.people}
    if len(people) < 2:
      continue
    near, far = people[0], people[1]
    assert near.distance < far.distance
    assert near.hidden == 0.0
    assert not (near.visible & far.visible).any()
    np.testing.assert_array_equal(far.visible, far.full & ~near.full)
    most = max(most, far.hidden)
  assert most > 0.5


def test_people_are_whole_before_and_after_they_meet(crossing):
  hidden = [t.people[1].hidden for _, t in crossing if len(t.people) == 2]
  assert hidden[0] < 0.05
  assert hidden[-1] < 0.05


def test_a_figure_is_that_of_the_walkers(crossing):
  # The same figure through the walkers' own rasteriser. Near the picture's
  # middle, because people lean outward at its sides.
  shapes = figure.build(*sequence.draw_walker("075", "nm-05", 120))
  first = round(NEAR.start * scenes.FRAMES_PER_SECOND)
  people = [(truth.frame - first, truth.people[0]) for _, truth in crossing]
  middle = [
    (index, seen)
    for index, seen in people
    if abs(seen.box[0] + seen.box[2] / 2 - 320) < 40
  ]
  assert len(middle) > 10
  for index, seen in middle[::4]:
    now = dataclasses.replace(
      shapes,
      ends=shapes.ends[:, :, [index]],
      centres=shapes.centres[:, [index]],
      axes=shapes.axes[:, [index]],
      floor=shapes.floor[[index]],
      joints=shapes.joints[:, [index]],
    )
    above = np.rad2deg(np.arctan2(camera.RAISED - 0.9, seen.distance))
    view = walkers_render.Camera(
      np.array([seen.azimuth]), float(above), seen.distance, 0.0
    )
    zero = np.zeros(1)
    canvas = walkers_render.distances(now, view, zero + 1.0, zero)
    # At 64 rows half a pixel would be an eighth of the silhouette.
    expected = cv2.resize(canvas[0], None, fx=4, fy=4) > 0
    width = round(seen.mask.shape[1] * 256 / seen.mask.shape[0])
    found = cv2.resize(seen.mask.astype(np.float32), (width, 256)) > 0.5
    place = np.zeros_like(expected)
    place[:, :width] = found
    best = max(iou(expected, np.roll(place, i, 1)) for i in range(300))
    assert best > 0.94


def test_a_person_beside_the_picture_has_no_silhouette():
  scene = scenes.Scene(
    "enters", (scenes.Person("077", start=0.0),), 1.4, seed=2
  )
  seen = [truth.people[0] for _, truth in frames(scene) if truth.people]
  assert not seen[0].whole
  assert seen[0].silhouette() is None
  assert seen[-1].whole
  x, _, width, _ = seen[0].box
  assert x + width == 640


@pytest.mark.parametrize(
  ("view", "direction", "azimuths", "side"),
  [
    (90, "left", (60, 120), -1),
    (90, "right", (240, 300), 1),
    (54, "left", (25, 90), -1),
    (126, "right", (205, 270), 1),
  ],
)
def test_walks_lead_where_they_should(view, direction, azimuths, side):
  person = scenes.Person("078", view=view, direction=direction)
  course = course_lib.plot(person)
  assert azimuths[0] < course.azimuth.min()
  assert course.azimuth.max() < azimuths[1]
  assert side * (course.ground[-1, 0] - course.ground[0, 0]) > 3.0


@pytest.mark.parametrize("subject", ["075", "079", "083", "088", "090"])
def test_feet_that_bear_hardly_slide(subject):
  course = course_lib.plot(scenes.Person(subject))
  seconds = len(course.ground) / scenes.FRAMES_PER_SECOND
  way = np.linalg.norm(course.ground[-1] - course.ground[0])
  assert 0.8 < way / seconds < 1.8
  shoe = np.array(course.parts[: len(course.radii)]) == "shoe"
  feet = course.ends[shoe][::2] @ camera.ROTATION  # each foot's heel and toe
  # Somewhere in half a step each foot rests.
  speed = np.linalg.norm(np.diff(feet[..., :2], axis=2), axis=-1)
  speed *= scenes.FRAMES_PER_SECOND
  slowest = np.sort(speed.min((0, 1)))
  assert np.median(slowest) < 0.2
  assert slowest[int(0.9 * len(slowest))] < 0.5 * way / seconds


def test_a_person_stops_and_walks_on():
  course = course_lib.plot(scenes.Person("076", start=0.0, halt=(2.0, 1.0)))
  speed = np.linalg.norm(np.diff(course.ground, axis=0), axis=1) * 25
  assert speed[:30].min() > 0.4
  assert speed[53:72].max() < 0.05
  assert speed[95:].min() > 0.4
  still = course.ends[:, :, 55] - course.ends[:, :, 70]
  assert np.abs(still).max() < 0.01


def test_light_changes_all_pixels_alike():
  light = ((0.0, 1.0), (0.2, 1.0), (0.24, 0.5))
  scene = scenes.Scene("step", (), 0.4, seed=1, noise=0.0, light=light)
  means = [frame.mean() for frame, _ in frames(scene)]
  assert means[5] == pytest.approx(means[0], abs=0.1)
  assert means[6] == pytest.approx(means[0] / 2, rel=0.01)


def test_noise_is_as_strong_as_the_spec_says():
  scene = scenes.Scene("noise", (), 0.08, seed=1, noise=4.0)
  one, two = (frame.astype(float) for frame, _ in frames(scene))
  assert np.std(one - two) == pytest.approx(4.0 * np.sqrt(2.0), rel=0.05)


def test_people_come_out_of_doors():
  person = scenes.Person("080", view=0, offset=0.5, start=0.0)
  found = frames(scenes.Scene("door", (person,), 1.2, seed=1))
  boxes = [truth.people[0].box for _, truth in found if truth.people]
  # Nobody, then a whole person who becomes larger.
  assert not found[0][1].people
  assert boxes[-1][3] > boxes[0][3] > 64


@pytest.mark.parametrize(
  ("change", "message"),
  [
    ({"seconds": 0.0}, "are no frame"),
    ({"people": (scenes.Person("999"),)}, "no subject '999'"),
    ({"people": (scenes.Person("075", "nm-09"),)}, "no condition 'nm-09'"),
    ({"people": (scenes.Person("075", direction="up"),)}, "direction 'up'"),
    ({"people": (scenes.Person("075", view=270),)}, "view 270"),
    ({"people": (scenes.Person("075", depth=2.0),)}, "depth 2.0 m"),
  ],
)
def test_what_cannot_be_rendered_is_one_line(change, message):
  scene = dataclasses.replace(PLAIN, **change)
  with pytest.raises(errors.UserError, match=message) as caught:
    next(scenes.render(scene))
  assert "\n" not in str(caught.value)


@pytest.mark.parametrize("ending", [".mp4", ".avi"])
def test_a_video_file_holds_the_frames(tmp_path, plain, ending):
  path = tmp_path / f"scene{ending}"
  truths = scenes.write_video(PLAIN, path)
  assert [truth.frame for truth in truths] == list(range(PLAIN.frames))
  assert [item.name for item in tmp_path.iterdir()] == [path.name]
  reader = cv2.VideoCapture(str(path))
  assert reader.get(cv2.CAP_PROP_FPS) == scenes.FRAMES_PER_SECOND
  for frame, _ in plain:
    more, picture = reader.read()
    assert more
    difference = picture[..., ::-1].astype(int) - frame
    assert np.abs(difference).mean() < 6
  assert not reader.read()[0]


def test_a_video_is_whole_or_not_there(tmp_path, monkeypatch):
  path = tmp_path / "scene.mp4"
  path.write_text("before")

  def interrupted(scene):
    yield from frames(scene, 3)
    raise KeyboardInterrupt

  monkeypatch.setattr(rendering, "render", interrupted)
  with pytest.raises(KeyboardInterrupt):
    scenes.write_video(PLAIN, path)
  assert [item.name for item in tmp_path.iterdir()] == ["scene.mp4"]
  assert path.read_text() == "before"


@pytest.mark.parametrize("name", ["scene.gif", "nowhere/scene.mp4"])
def test_a_video_that_cannot_be_written_is_one_line(tmp_path, name):
  with pytest.raises(errors.UserError) as caught:
    scenes.write_video(PLAIN, tmp_path / name)
  assert "\n" not in str(caught.value)
  assert not list(tmp_path.iterdir())


def test_the_catalogue_has_what_is_to_be_measured():
  assert len(scenes.SCENES) == 20
  assert len({scene.name for scene in scenes.SCENES}) == 20
  people = [person for scene in scenes.SCENES for person in scene.people]
  assert {len(scene.people) for scene in scenes.SCENES} == {1, 2, 3}
  assert {person.direction for person in people} == {"left", "right"}
  assert {person.view for person in people} == {54, 90, 126}
  assert any(person.condition.startswith("bg") for person in people)
  assert any(person.halt for person in people)
  assert any(len(scene.light) > 1 for scene in scenes.SCENES)
  assert any(person.subject in scenes.STRANGERS for person in people)


def test_nobody_in_the_catalogue_was_trained_on():
  trained = {name for s in walkers.SIZES.values() for name in s.split("train")}
  people = [p for s in (scenes.DEMO, *scenes.SCENES) for p in s.people]
  assert not trained & {person.subject for person in people}
  assert not trained & {*scenes.ENROLLED, *scenes.STRANGERS}
  known = set(scenes.ENROLLED)
  assert not known & set(scenes.STRANGERS)
  assert {p.subject for p in people} <= known | set(scenes.STRANGERS)
  shown = {(p.subject, p.condition) for p in people}
  for subject in scenes.ENROLLED:
    for clip in scenes.enrolment(subject):
      (person,) = clip.people
      assert person.subject == subject
      assert (subject, person.condition) not in shown


def test_the_demonstration_has_two_known_people_and_a_stranger():
  subjects = [person.subject for person in scenes.DEMO.people]
  assert len(subjects) == 3
  assert set(subjects[:2]) == set(scenes.DEMO_ENROLMENT)
  assert subjects[2] in scenes.STRANGERS


@pytest.mark.parametrize(
  "scene",
  [scenes.DEMO, *scenes.SCENES, *scenes.enrolment("079")],
  ids=lambda scene: scene.name,
)
def test_everybody_comes_late_and_leaves_before_the_end(scene):
  courses = [course_lib.plot(person) for person in scene.people]
  # A second is empty, or nearly, for a model of the background.
  assert min(course.first for course in courses) >= 18
  ends = [course.first + len(course.ground) for course in courses]
  assert max(ends) <= scene.frames


def test_videos_are_written_in_processes(tmp_path, capfd):
  short = [
    dataclasses.replace(scenes.SCENES[0], seconds=seconds)
    for seconds in (0.2, 0.4, 60)
  ]
  videos = {tmp_path / f"{i}.mp4": scene for i, scene in enumerate(short)}
  with scenes.writing(videos) as written:
    first = {next(written), next(written)}
  # What was begun is gone, as are the processes.
  assert first == set(tmp_path.iterdir()) == set(list(videos)[:2])
  assert not multiprocessing.active_children()
  # A disk that is full is said by one of them, in one line.
  with (
    disks.full(10_000),
    pytest.raises(errors.UserError, match="is the disk full"),
    scenes.writing({tmp_path / "full.mp4": short[1]}) as written,
  ):
    list(written)
  assert first == set(tmp_path.iterdir())
  assert capfd.readouterr().err == ""


def test_neither_jax_nor_tensorflow_is_loaded():
  code = (
    "import sys; from gaitkd_jax.identify import scenes;"
    "next(scenes.render(scenes.DEMO));"
    "sys.exit(any(m in sys.modules for m in ('jax', 'tensorflow')))"
  )
  subprocess.run([sys.executable, "-c", code], check=True, cwd=ROOT)
