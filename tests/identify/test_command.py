"""From a video and a gallery to names, as a user does it."""

import json
import signal
import subprocess
import sys
import time

import cv2
import numpy as np
import pytest

from gaitkd_jax import errors
from gaitkd_jax.identify import annotated
from gaitkd_jax.identify import command as command_lib
from gaitkd_jax.identify import enrolment
from gaitkd_jax.identify import quality
from gaitkd_jax.identify import results
from tests.helpers import command
from tests.helpers import disks
from tests.helpers import exports
from tests.helpers import gait_videos
from tests.helpers import onnx_files
from tests.helpers import paths
from tests.helpers.pages import Page
from tests.identify import test_segmenter

PROGRAM = ("-m", "gaitkd_jax.identify")
# A name that would break a page, and one that no single code page has.
EVIL, FOREIGN = "<b onload=x>&'\"", "Jörg 李明"


@pytest.fixture(scope="module")
def world(tmp_path_factory):
  """A network, a gallery, and a video in which Jörg and a stranger walk."""
  folder = tmp_path_factory.mktemp("world")
  onnx_files.write(folder / "strips.onnx")
  known = gait_videos.clip("080"), gait_videos.clip("095")
  people = folder / "people"
  for name, walk in zip((FOREIGN, EVIL), known, strict=True):
    gait_videos.write_video(people / name / "one.avi", walk)
  stranger = gait_videos.clip("110", "cl-01")
  gait_videos.write_video(folder / "door.avi", known[0], stranger)
  enrolment.enrol(
    enrolment.Change(
      store=str(folder / "store"),
      model=str(folder / "strips.onnx"),
      people=str(people),
    )
  )
  return folder


def request(world, output, **changes):
  values = dict(
    model=str(world / "strips.onnx"),
    gallery=str(world / "store"),
    source=str(world / "door.avi"),
    output=str(output),
  )
  return command_lib.Request(**{**values, **changes})


@pytest.fixture(scope="module")
def limit(world, tmp_path_factory):
  """A threshold between the known person and the stranger."""
  output = tmp_path_factory.mktemp("first") / "out"
  found = command_lib.run(request(world, output))
  near, far = (match.distance for match in found.matches)
  assert near < 0.6 * far
  assert [match.identity for match in found.matches] == [None, None]
  assert all(
    match.reason == "nearest of the gallery; no threshold"
    for match in found.matches
  )
  return (near + far) / 2


@pytest.fixture(scope="module")
def done(world, limit, tmp_path_factory):
  output = tmp_path_factory.mktemp("done") / "out"
  people = str(world / "people")
  asked = request(world, output, threshold=limit, gallery=people)
  return command_lib.run(asked), output


def test_result_is_as_documented(world, done, limit):
  found, output = done
  assert sorted(p.name for p in output.iterdir()) == sorted(results.FILES)
  content = json.loads((output / "result.json").read_text(encoding="utf-8"))
  one, two = content["tracks"]
  assert one["identity"] == FOREIGN and one["distance"] <= limit
  assert two["identity"] is None and two["distance"] > limit
  assert two["reason"].startswith("nobody of the gallery")
  for track, known in zip((one, two), found.tracks, strict=True):
    assert track["first_frame"] == known.frames[0] == track["frames"][0]
    assert track["last_frame"] == known.frames[-1] == track["frames"][-1]
    assert track["frames_used"] == known.good.sum() > 15
    np.testing.assert_allclose(track["boxes"], known.boxes, atol=0.06)
    assert {near["person"] for near in track["nearest"]} == {FOREIGN, EVIL}
  assert content["threshold"]["distance"] == limit
  assert content["video"]["frames"] == 181


def test_the_video_shows_it(done):
  found, output = done
  reader = cv2.VideoCapture(str(output / "annotated.mp4"))
  frames = []
  while True:
    got, frame = reader.read()
    if not got:
      break
    frames.append(frame)
  assert len(frames) == 181
  assert frames[0].shape == (240, 320 + 232, 3)
  track = found.tracks[0]
  middle = int(track.frames[len(track) // 2])
  shown, empty = frames[middle].astype(int), frames[0].astype(int)
  left, top, width, height = track.boxes[len(track) // 2].round().astype(int)
  # The box has the track's colour; the panel shows the silhouette.
  edge = shown[top + height // 2, left - 1 : left + 3]
  assert np.abs(edge - annotated.colour(0)).sum(-1).min() < 90
  panel = shown[10:74, 330:374].mean(-1) > 128
  silhouette = track.silhouettes[len(track) // 2] > 128
  assert (panel == silhouette).mean() > 0.95
  assert (empty[10:74, 330:374] < 60).all()


def test_the_page_shows_it_and_trusts_nobody(done):
  _, output = done
  page = Page(output / "page.html")
  text = " ".join(page.texts)
  assert FOREIGN in text and EVIL in text and "nobody of the gallery" in text
  assert "b onload" not in str(page.tags) and "<b onload" not in page.source
  assert "touches the border" in text and "Threshold" in text
  # A picture and strips for each track; all of it is in the page.
  assert len(page.images) >= 6
  assert all(i["src"].startswith("data:image/") for i in page.images)
  assert all(one.startswith(("data:", "#track")) for one in page.references)
  assert not page.tags & {"script", "link", "iframe"}


def test_silhouettes_are_an_input(world, limit, done, tmp_path):
  """What the first stages wrote gives what the video gives."""
  stop = request(
    world, tmp_path / "tracks", stop_after="silhouettes", model="", gallery=""
  )
  assert command_lib.run(stop) is None
  assert len(list((tmp_path / "tracks").glob("track_*/*.png"))) > 60
  found = command_lib.run(
    request(
      world,
      tmp_path / "out",
      source=str(tmp_path / "tracks"),
      threshold=limit,
    )
  )
  for one, other in zip(found.matches, done[0].matches, strict=True):
    assert one.identity == other.identity
    assert one.distance == pytest.approx(other.distance, rel=1e-5)
  gait_videos.write_folder(tmp_path / "png", gait_videos.clip("080"))
  found = command_lib.run(
    request(world, tmp_path / "png_out", source=str(tmp_path / "png"))
  )
  assert found.tracks[0].frames_used == 30
  reader = cv2.VideoCapture(str(tmp_path / "png_out" / "annotated.mp4"))
  assert reader.get(cv2.CAP_PROP_FRAME_COUNT) == 30


@pytest.mark.parametrize("every", [1, 2])
def test_a_segmenter_of_the_user(world, done, tmp_path, every):
  """From the video to names; people in it wear red, as the network knows."""
  for name, subject in ((FOREIGN, "080"), ("Eve", "095")):
    gait_videos.write_folder(tmp_path / "g" / name, gait_videos.clip(subject))
  changes = dict(
    gallery=str(tmp_path / "g"),
    segmenter=str(
      test_segmenter.network(tmp_path / "red.onnx", (1, 3, 192, 192), bias=-4)
    ),
    segment_every=every,
  )
  found = command_lib.run(request(world, tmp_path / "out", **changes))
  content = json.loads((tmp_path / "out" / "result.json").read_text())
  assert [t["nearest"][0]["person"] for t in content["tracks"]][0] == FOREIGN
  for track, plain in zip(found.tracks, done[0].tracks, strict=True):
    np.testing.assert_array_equal(track.frames, plain.frames)
    both = track.good & plain.good
    one, other = track.silhouettes[both] > 127, plain.silhouettes[both] > 127
    assert (one & other).sum() > 0.8 * (one | other).sum()
    assert not (track.frames[track.good] % every).any()
    skipped = track.counted().get(quality.BETWEEN, 0)
    assert skipped == np.count_nonzero(track.frames % every)
    assert track.frames_used >= 0.9 * plain.frames_used / every
  if every == 1:
    return
  # The silhouettes may be kept, and compared later.
  stop = request(world, tmp_path / "t", stop_after="silhouettes", **changes)
  command_lib.run(stop)
  later = request(
    world, tmp_path / "o", gallery=changes["gallery"], source=stop.output
  )
  again = command_lib.run(later)
  for one, other in zip(again.matches, found.matches, strict=True):
    assert one.distance == other.distance


def test_a_track_that_is_too_short_is_not_judged(world, tmp_path):
  gait_videos.write_folder(tmp_path / "png", gait_videos.clip(frames=9))
  found = command_lib.run(
    request(
      world, tmp_path / "out", source=str(tmp_path / "png"), threshold=9.0
    )
  )
  content = json.loads((tmp_path / "out" / "result.json").read_text())
  (track,) = content["tracks"]
  assert (track["identity"], track["distance"]) == (None, None)
  assert "good frames" in track["reason"] and track["frames_used"] == 0
  assert "not judged" in "".join(found.lines())


def test_nobody_in_the_video(world, tmp_path):
  path = gait_videos.write_video(tmp_path / "empty.avi", pause=30)
  found = command_lib.run(request(world, tmp_path / "out", source=str(path)))
  assert found.lines() == ["nobody walks in it"]
  content = json.loads((tmp_path / "out" / "result.json").read_text())
  assert content["tracks"] == []


@pytest.mark.parametrize("size", [2_000, 150_000])
def test_a_full_disk_leaves_what_was_there(world, limit, tmp_path, size):
  output = tmp_path / "out"
  output.mkdir()
  (output / "page.html").write_text("before")
  (output / "mine.txt").write_text("mine")
  with disks.full(size), pytest.raises((errors.UserError, OSError)) as caught:
    command_lib.run(request(world, output, threshold=limit))
  assert "\n" not in str(caught.value)
  assert (output / "page.html").read_text() == "before"
  assert sorted(p.name for p in output.iterdir()) == ["mine.txt", "page.html"]
  assert [p.name for p in tmp_path.iterdir()] == ["out"]
  command_lib.run(request(world, output, threshold=limit))
  assert "before" not in (output / "page.html").read_text(encoding="utf-8")
  assert (output / "mine.txt").exists()


def test_an_interrupt_leaves_nothing(world, tmp_path, monkeypatch):
  def stop(*_, **__):
    raise KeyboardInterrupt

  monkeypatch.setattr(results.page, "write", stop)
  with pytest.raises(KeyboardInterrupt):
    command_lib.run(request(world, tmp_path / "out"))
  assert not list(tmp_path.iterdir())


# What a shell starts in the background ignores ctrl-C.
INTERRUPTIBLE = """
import runpy, signal
signal.signal(signal.SIGINT, signal.default_int_handler)
runpy.run_module("gaitkd_jax.identify", run_name="__main__", alter_sys=True)
"""


def test_ctrl_c_half_way_is_one_line_and_leaves_nothing(world, tmp_path):
  with command.start(
    f"--model={world / 'strips.onnx'}",
    f"--gallery={world / 'store'}",
    f"--input={world / 'door.avi'}",
    f"--output={tmp_path / 'out'}",
    program=("-c", INTERRUPTIBLE),
  ) as process:
    # The video is written beside the folder that is to be.
    while not list(tmp_path.glob(".out-*/new/*.mp4")):
      assert process.poll() is None
      time.sleep(0.005)
    process.send_signal(signal.SIGINT)
    _, said = process.communicate()
  assert (process.returncode, said) == (130, "stopped by SIGINT\n")
  assert not list(tmp_path.iterdir())


def test_a_full_disk_leaves_no_silhouettes(world, tmp_path):
  """Nor a part of them in the place of older ones."""
  output = tmp_path / "tracks"
  stop = request(world, output, stop_after="silhouettes", model="", gallery="")
  (output / "track_0001").mkdir(parents=True)
  (output / "track_0001" / "track.json").write_text("before")
  with disks.full(4_000), pytest.raises(errors.UserError, match="make room"):
    command_lib.run(stop)
  assert [p.name for p in tmp_path.iterdir()] == ["tracks"]
  (before,) = output.rglob("*.*")
  assert before.read_text() == "before"


@pytest.mark.parametrize(
  "changes, said",
  [
    ({"model": ""}, "--model is missing"),
    ({"gallery": ""}, "--gallery is missing"),
    ({"source": ""}, "--input is missing"),
    ({"output": ""}, "--output is missing"),
    ({"output": "gs://bucket/x"}, "object store"),
    ({"model": "/none.onnx"}, "cannot be read"),
    ({"model": "/none"}, "/none"),
    ({"gallery": "/none"}, "--gallery /none is missing"),
    ({"source": "/none.mp4"}, "--input /none.mp4 is missing"),
    ({"threshold": -1.0}, "give a distance"),
    ({"threshold": 1.0, "far": 0.1}, "both given"),
    ({"far": 2.0}, "between 0 and 1"),
    ({"far": 0.01}, "takes 100 pairs"),
    ({"model": "", "gallery": "", "far": 3.0}, "3 mistakes"),
    ({"boxes": "/none.csv"}, "/none.csv"),
    ({"segmenter": "/none.onnx"}, "/none.onnx is missing"),
    ({"segment_every": 2}, "without --segmenter"),
    ({"segmenter": "/none.onnx", "segment_every": 0}, "give 1 or more"),
    ({"fps": 1e9}, "up to 1000"),
    ({"source": __file__}, "no video that can be read"),
    ({"output": f"{__file__}/x"}, "which is a file"),
    ({"gallery": __file__}, "no usable clip of test_command"),
    ({"model": __file__}, "no network that ONNX Runtime can open"),
  ],
)
def test_mistakes_are_one_line(world, tmp_path, changes, said):
  with pytest.raises(errors.UserError) as caught:
    command_lib.run(request(world, **{"output": tmp_path / "out", **changes}))
  assert said in str(caught.value) and "\n" not in str(caught.value)
  assert not list(tmp_path.iterdir())


def test_a_file_is_no_output(world, tmp_path):
  (tmp_path / "file").write_text("mine")
  with pytest.raises(errors.UserError, match="is a file"):
    command_lib.run(request(world, tmp_path / "file"))
  assert (tmp_path / "file").read_text() == "mine"


REFUSING = """
import sys
class Refusing:
  def find_spec(self, name, path=None, target=None):
    if name.partition(".")[0] in ("jax", "jaxlib", "flax", "tensorflow",
                                  "orbax", "optax", "matplotlib"):
      raise ImportError(name + " is refused")
sys.meta_path.insert(0, Refusing())
import runpy
sys.argv = ["identify", *{args!r}]
runpy.run_module("gaitkd_jax.identify", run_name="__main__", alter_sys=False)
"""


def test_neither_jax_nor_tensorflow_is_imported(world, tmp_path):
  def run(*args):
    ran = subprocess.run(
      [sys.executable, "-c", REFUSING.format(args=args)],
      cwd=paths.ROOT,
      capture_output=True,
      text=True,
    )
    assert ran.returncode == 0, ran.stderr
    return ran.stdout

  model, store = f"--model={world / 'strips.onnx'}", f"{tmp_path / 'store'}"
  people = f"--enrol={world / 'people'}"
  out = run(model, people, f"--gallery={store}")
  assert FOREIGN in out
  out = run(
    model,
    f"--gallery={store}",
    f"--input={world / 'door.avi'}",
    f"--output={tmp_path / 'out'}",
    "--threshold=0.01",
  )
  assert "threshold: 0.01: given by the user" in out and "seconds: " in out
  assert (tmp_path / "out" / "result.json").exists()


def test_the_program_says_mistakes_in_one_line(world, tmp_path):
  said = command.mistake("--demo", "--model=x", program=PROGRAM)
  assert "--demo makes its own video" in said
  said = command.mistake(
    "--gallery=x", "--enrol=y", "--input=z", program=PROGRAM
  )
  assert "identify in a second command" in said
  said = command.mistake("--stop_after=names", "--inputs=z", program=PROGRAM)
  assert "--inputs" in said and "silhouettes" in said


def test_a_checkpoint_is_a_model(world, tmp_path):
  checkpoint = exports.save(tmp_path / "run")
  found = command_lib.run(
    request(
      world,
      tmp_path / "out",
      model=checkpoint,
      gallery=str(world / "people"),
      threshold=1e9,
    )
  )
  assert found.network.metric == "euclidean"
  assert all(match.identity for match in found.matches)
  again = found.network.embed([track.used for track in found.tracks])
  alone = found.network.embed([found.tracks[1].used])
  np.testing.assert_allclose(again[1], alone[0], atol=1e-4)
