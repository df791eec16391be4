"""From the files of a data set to its metrics, or to its server's CSV.

These are the combinations of data, partition and protocol that docs/data.md
names for data sets which have no recipe of their own.
"""

import csv
import json
import pathlib
import pickle
import re

import cv2
import numpy as np
import pytest

from data_pipelines import build_notes
from gaitkd_jax import errors
from gaitkd_jax.evaluation import embed
from gaitkd_jax.evaluation import evaluate
from gaitkd_jax.training import loop
from tests.helpers import command
from tests.helpers import paths
from tests.helpers import trees
from tests.helpers import untrained


@pytest.fixture(scope="module")
def untrained_config(prepared, folder):
  return untrained.config(prepared, folder)


class Run:
  """Evaluates an untrained network; keeps all its files in one folder."""

  def __init__(self, config, folder):
    self._config = config
    self._folder = folder

  def config(self, name, root, protocol, partition="", **changes):
    return untrained.changed(
      self._config,
      **{
        "data.name": name,
        "data.root": str(root),
        "data.prepared": str(self._folder / "prepared"),
        "data.partition": str(partition),
        "eval.protocol": protocol,
        "eval.report": False,
        **changes,
      },
    )

  def evaluate(self, *args, **changes):
    """Returns the metrics, or the rows of a submission."""
    config = self.config(*args, **changes)
    found = evaluate.evaluate_checkpoint(config, self._folder / "run")
    if found:
      return found
    with (self._folder / "run" / "eval" / "4.csv").open(newline="") as f:
      return list(csv.reader(f))

  def score_stored(self, *args):
    """Returns the metrics of embeddings that are stored in between."""
    config = self.config(*args)
    embed.embed_checkpoint(config, self._folder / "run")
    return evaluate.score_store(config, self._folder / "run")


@pytest.fixture
def run(untrained_config, tmp_path):
  return Run(untrained_config, tmp_path)


def frames(subject):
  """Six frames of a walker, the same in all of the subject's sequences."""
  return trees.normalised("casiab", subject, "nm-01", "000", 6)


def write(root, *names, file="{view}.pkl"):
  """Writes pickles `<subject>/<condition>/<view>/<file>`."""
  for name in names:
    subject, condition, view = name.split("/")
    folder = root / subject / condition / view
    path = folder / file.format(view=view)
    path.parent.mkdir(parents=True)
    path.write_bytes(pickle.dumps(frames(subject)))


def partition_of(tmp_path, **lists):
  path = tmp_path / "partition.json"
  path.write_text(json.dumps({"TRAIN_SET": [], **lists}))
  return path


# Their first probe walks as 0500 does, the second one as 0501.
_HID = {
  "gallery/0500/00": "0500",
  "gallery/0500/01": "0500",
  "gallery/0501/00": "0501",
  "gallery/0501/01": "0501",
  "probe/video1": "0500",
  "probe/video0": "0501",
}
_CSV = [["videoID", "label"], ["video0", "0501"], ["video1", "0500"]]


def big(subject):
  """Frames as HID publishes them: normalised, uint8 [6, 128, 128]."""
  return frames(subject).repeat(2, axis=1).repeat(2, axis=2)


def write_hid(root, change=lambda name: name):
  for name, subject in _HID.items():
    trees.write_raw(root / change(name), big(subject))


def hid_2022(name):
  return re.sub("^(gallery|probe)", r"HID2022_test_\1", name)


@pytest.mark.parametrize("change", [str, hid_2022])
def test_hid_from_its_frames_to_the_csv(tmp_path, run, change):
  write_hid(tmp_path / "tree", change)
  lines = run.evaluate("hid", tmp_path / "tree", "hid_submission")
  assert lines == _CSV


@pytest.mark.parametrize("rerank", [True, False])
def test_hid_from_opengaits_pickles_to_the_csv(tmp_path, run, rerank):
  """Of 128 x 128 pixels, as OpenGait's script for HID leaves them."""
  for name, subject in _HID.items():
    folder = tmp_path / "tree" / name.removeprefix("gallery/") / "default"
    folder.mkdir(parents=True)
    path = folder / f"{folder.parent.name}.pkl"
    path.write_bytes(pickle.dumps(big(subject)))
  lines = run.evaluate(
    "hid", tmp_path / "tree", "hid_submission", **{"eval.rerank": rerank}
  )
  assert lines == _CSV


@pytest.mark.parametrize("gallery", ["", "gallery/"])
def test_hid_without_a_training_set(tmp_path, run, gallery):
  """As it is published since 2023: five digits, views that name videos."""
  root = tmp_path / "tree"
  for name, subject in _HID.items():
    name = name.replace("gallery/", f"{gallery}0")
    name = name.replace(
      "probe/", "probe/00/" if not gallery else "probe_phase1/00/"
    )
    folder = root / name if "probe" in name else root / name / "000"
    folder.mkdir(parents=True)
    path = folder / "0.pkl"
    path.write_bytes(pickle.dumps(frames(subject)))
  lines = run.evaluate("hid", root, "hid_submission")
  assert lines == [_CSV[0], *([name, f"0{label}"] for name, label in _CSV[1:])]
  config = run.config("hid", root, "hid_submission")
  words = "no sequences: .*; HID has had no training set since 2023: train on"
  with pytest.raises(errors.UserError, match=words) as error:
    loop.train_and_evaluate(config, tmp_path / "trained")
  assert "\n" not in str(error.value)


@pytest.mark.slow
def test_hid_by_the_command_line(tmp_path, untrained_config):
  write_hid(tmp_path / "tree")
  arguments = [
    "--config=configs/walkers_baseline.py:smoke",
    f"--workdir={tmp_path / 'run'}",
    "--mode=eval",
    f"--config.eval.checkpoint={untrained_config.eval.checkpoint}",
    f"--config.data.root={tmp_path / 'tree'}",
    f"--config.data.prepared={tmp_path / 'prepared'}",
  ]
  named = ["--config.data.name=hid", "--config.eval.protocol=hid_submission"]
  command.output(*arguments, *named, "--config.data.partition=")
  text = (tmp_path / "run" / "eval" / "4.csv").read_text()
  assert text == "videoID,label\nvideo0,0501\nvideo1,0500\n"
  # As any tree it would be two people, "gallery" and "probe".
  error = command.mistake(
    *arguments, "--config.data.name=opengait", "--config.data.partition=halves"
  )
  assert "its folders gallery, probe are parts of a data set" in error
  assert "choose data.name=hid" in error


def test_casiae(tmp_path, run):
  walks = ("H-scene1-nm-1", "L-scene2-nm-2", "H-scene3_s-bg-1", "L-scene3-cl-1")
  for subject in ("201", "1014"):
    for walk in walks:
      for view in ("000", "090"):
        folder = tmp_path / "tree"
        folder /= trees.raw_folder("casiae", subject, walk, view)
        folder.mkdir(parents=True)
        for i, frame in enumerate(big(subject)):
          assert cv2.imwrite(str(folder / f"{i}.jpg"), frame)
  found = run.evaluate("casiae", tmp_path / "tree", "casiae")
  for condition in ("NM", "BG", "CL", "mean"):
    assert found[f"{condition}/rank1"] == 100


def test_ccgr_mini_lists_its_gallery(tmp_path, run):
  """All else is probe; names as in the publisher's tree."""
  root = tmp_path / "tree"
  names = [
    f"{subject}/{walk}/{view}"
    for subject in ("601", "1000")
    for walk, view in (("NM1", "0_1.avi"), ("BG1", "90_4.avi"))
  ]
  write(root, *names, file="002-{view}sil-000.pkl")
  for name in names:
    for other in ("003-{0}par-000.pkl", "004-{0}pose-000.pkl"):
      path = root / name / other.format(name.split("/")[-1])
      path.write_bytes(pickle.dumps(np.zeros((6, 3))))
  partition = partition_of(
    tmp_path,
    TEST_SET=["601", "1000"],
    GALLERY_SET=["601-NM1-0_1.avi", "1000-NM1-0_1.avi"],
  )
  found = run.evaluate("opengait", root, "gait3d", partition)
  assert found["all/rank1"] == found["all/mAP"] == 100
  # If the gallery were not read, there would be no probe.
  partition_of(tmp_path, TEST_SET=["601", "1000"])
  with pytest.raises(errors.UserError, match="gait3d needs probes by name"):
    run.evaluate("opengait", root, "gait3d", partition)


@pytest.mark.parametrize("published", [True, False])
def test_freegait_lists_probes_and_gallery(tmp_path, run, published):
  root = tmp_path / "tree"
  names = [
    f"{subject}/devid_{device}/seq_00_new"
    for subject in ("0001", "0007")
    for device in "123"
  ]
  files = ("image", "kp3d", "lidar", "range_pkl", "smpl")
  file = "image/image.pkl" if published else "image.pkl"
  write(root, *names, file=file)
  for name in names:
    for other in files[1:]:
      path = root / name / file.replace("image", other)
      path.parent.mkdir(exist_ok=True)
      path.write_bytes(pickle.dumps(np.zeros((6, 3))))
  partition = partition_of(
    tmp_path,
    TEST_SET=["0001", "0007"],
    GALLERY_SET=["0001-devid_3-seq_00_new", "0007-devid_3-seq_00_new"],
    PROBE_SET=["0001-devid_1-seq_00_new", "0007-devid_1-seq_00_new"],
  )
  # In neither list, and taken for 0001 where it is in the gallery.
  path = root / "0007/devid_2/seq_00_new" / file
  path.write_bytes(pickle.dumps(frames("0001")))
  given = "freegait", root, "gait3d", partition
  found = run.evaluate(*given)
  assert found["all/rank1"] == found["all/mINP"] == 100
  # A store of embeddings keeps both lists.
  assert run.score_stored(*given) == found
  (notes,) = (tmp_path / "prepared").rglob(build_notes.SOURCE_FILE)
  notes = build_notes.read_source(notes.parent)
  assert [len(notes[role]) for role in ("probes", "gallery")] == [2, 2]
  with pytest.raises(errors.UserError, match="FreeGait has no division of its"):
    run.evaluate("freegait", root, "gait3d")


def test_the_page_names_these_combinations():
  page = pathlib.Path(paths.ROOT, "docs", "data.md").read_text()
  for words in (
    "--config.data.name=hid --config.eval.protocol=hid_submission",
    "--config.data.name=casiae --config.eval.protocol=casiae",
    "--config.data.name=freegait --config.data.partition=",
    "--config.data.name=opengait --config.data.partition=",
  ):
    assert words in page
