"""Who trains and who tests, by the data's config."""

import json
import pickle
import re

import numpy as np
import pytest

from data_pipelines import datasets
from data_pipelines import pipeline
from data_pipelines import store
from data_pipelines.walkers import walkers_dataset_builder
from gaitkd_jax import config as config_lib
from gaitkd_jax import errors
from tests.helpers import batches
from tests.helpers import builds
from tests.helpers import command
from tests.helpers import trees


@pytest.fixture
def root(tmp_path):
  """Three subjects of CASIA-B's test range, as pickles."""
  silhouettes = np.zeros((3, 64, 64), np.uint8)
  silhouettes[:, :, 28:36] = 255
  for subject in ("075", "076", "077"):
    folder = tmp_path / "tree" / subject / "nm-01" / "090"
    folder.mkdir(parents=True)
    (folder / "090.pkl").write_bytes(pickle.dumps(silhouettes))
  return tmp_path / "tree"


def subjects(data, split):
  loaded = store.SequenceStore.from_builder(datasets.prepare(data), split)
  return list(loaded.subjects)


def data_of(root, **values):
  return config_lib.data(
    "casiab", root=str(root), prepared=str(root.parent / "prepared"), **values
  )


def test_halves(root):
  data = data_of(root, partition="halves")
  assert subjects(data, "train") == ["075"]
  assert subjects(data, "test") == ["076", "077"]


def test_lists_go_before_halves(root):
  data = data_of(root, partition="halves", train_subjects=("077",))
  assert subjects(data, "train") == ["077"]
  assert subjects(data, "test") == ["075", "076"]


def test_own_partition_has_nobody_to_train(root):
  data = data_of(root)
  assert subjects(data, "test") == ["075", "076", "077"]
  with pytest.raises(errors.UserError, match="train"):
    subjects(data, "train")


@pytest.mark.parametrize(
  "values, words",
  [(dict(partition="half"), "halves"), (dict(name="casia"), "walkers")],
)
def test_unknown_values_are_one_line(root, values, words):
  data = data_of(root)
  data.update(values)
  with pytest.raises(errors.UserError, match=words) as e:
    datasets.prepare(data)
  assert "\n" not in str(e.value)


@pytest.mark.parametrize(
  "values, words",
  [
    (dict(modalities=("heatmaps",)), "data.modalities is heatmaps"),
    (dict(partition="lists.json"), "division of their own"),
    (dict(variant="huge"), "tiny, small, full, validation"),
    (dict(train_subjects=("001",)), "data.train_subjects: walkers have a"),
    (dict(test_subjects=("001",)), "data.test_subjects: walkers have a"),
  ],
)
def test_what_walkers_do_not_have_is_one_line(tmp_path, values, words):
  data = config_lib.data("walkers", prepared=str(tmp_path), variant="tiny")
  data.update(values)
  with pytest.raises(errors.UserError, match=words):
    datasets.prepare(data)


def test_any_tree_in_opengaits_layout(tmp_path):
  silhouettes = np.zeros((3, 64, 64), np.uint8)
  silhouettes[:, :, 28:36] = 255
  for name in ("0001/00/a", "0500/H-scene1-nm-1/090", "probe/00/x-1", ".b/0/0"):
    folder = tmp_path / "tree" / name
    folder.mkdir(parents=True)
    (folder / "0.pkl").write_bytes(pickle.dumps(silhouettes))
  division = tmp_path / "division.json"
  division.write_text('{"TRAIN_SET": ["0001"], "TEST_SET": ["0500", "probe"]}')
  data = config_lib.data(
    "opengait",
    root=str(tmp_path / "tree"),
    prepared=str(tmp_path / "prepared"),
    partition=str(division),
  )
  test = store.SequenceStore.from_builder(datasets.prepare(data), "test")
  assert list(test.subjects) == ["0500", "probe"]
  assert list(test.conditions) == ["H-scene1-nm-1", "00"]
  assert list(test.views) == ["090", "x-1"]
  data.partition = ""
  with pytest.raises(errors.UserError, match="data.partition"):
    datasets.prepare(data)


@pytest.mark.parametrize(
  "folders, words",
  [
    (
      ("gallery/0500/00", "probe/video1", "train/0000/00"),
      "folders gallery, probe, train are parts.*choose data.name=hid,",
    ),
    (("HID2022_test_gallery/0500/00", "x"), "choose data.name=hid,"),
    (("gallery/0500/00/000",), "folders gallery are parts.*data.name=hid,"),
    (
      ("train/00001/a", "test/gallery/00001/a", "test/probe/b"),
      "folders test, train are parts.*choose data.name=grew,",
    ),
    (("test/probe/b",), "choose data.name=grew,"),
    (("train/001/nm-01/090", "Test/075/nm-01/090"), "one folder, and say in"),
  ],
)
def test_parts_of_a_data_set_are_not_people(tmp_path, folders, words):
  for folder in folders:
    (tmp_path / "tree" / folder).mkdir(parents=True)
  data = builds.data_of("opengait", tmp_path / "tree", partition="halves")
  message = builds.refusal(data)
  assert re.search(words, message), message
  assert str(tmp_path / "tree") in message


def test_people_may_be_called_probe_and_test(tmp_path):
  root = tmp_path / "tree"
  for subject in ("0500", "probe", "test", ".gallery"):
    values = trees.normalised("casiab", "001", "nm-01", "000", 2)
    trees.write_pickles("opengait", root / subject / "00" / "a", values)
  data = builds.data_of("opengait", root, partition="halves")
  found = builds.names(datasets.prepare(data))
  assert found == {
    "train": ["0500-00-a"],
    "test": ["probe-00-a", "test-00-a"],
  }
  data.root = str(tmp_path / "nowhere")
  assert "is not a folder" in builds.refusal(data)


def test_unknown_data_is_refused(tmp_path):
  data = builds.data_of("casia", prepared=str(tmp_path))
  with pytest.raises(errors.UserError, match="no data set 'casia'"):
    datasets.prepare(data)
  data.name, data.variant = "walkers", "huge"
  with pytest.raises(errors.UserError, match="no walkers variant 'huge'"):
    datasets.prepare(data)
  (tmp_path / "file").touch()
  data.prepared, data.variant = str(tmp_path / "file"), "tiny"
  with pytest.raises(errors.UserError, match="cannot prepare walkers in"):
    datasets.prepare(data)


def test_walkers_are_prepared_once_and_feed_training(tmp_path, monkeypatch):
  data = builds.data_of("walkers", prepared=str(tmp_path))
  builder_class = walkers_dataset_builder.Builder
  split_generators = builder_class._split_generators

  def overtaken(self, *args):
    # Another process prepares the same data while this one does.
    monkeypatch.undo()
    builder_class(config="tiny", data_dir=tmp_path).download_and_prepare()
    return split_generators(self, *args)

  monkeypatch.setattr(builder_class, "_split_generators", overtaken)
  builder = datasets.prepare(data)
  written = sorted(
    (path, path.stat().st_mtime_ns)
    for path in tmp_path.rglob("*")
    if path.is_file()
  )
  assert written
  again = datasets.prepare(data)
  assert written == sorted(
    (path, path.stat().st_mtime_ns)
    for path in tmp_path.rglob("*")
    if path.is_file()
  )
  train = store.SequenceStore.from_builder(builder, "train")
  test = store.SequenceStore.from_builder(again, "test")
  assert not set(train.subjects) & set(test.subjects)
  batch = next(batches.train(train))
  assert batch["silhouettes"].shape == (8, 6, 64, 44)
  assert 0.02 < (batch["silhouettes"] > 127).mean() < 0.6
  counted = sum(
    batch["mask"].sum() for batch in pipeline.eval_batches(test, batch_size=4)
  )
  assert counted == len(test)


@pytest.mark.parametrize("name", datasets.NAMES)
def test_every_data_set_has_what_is_declared(name):
  made_by = datasets.builder_class(name)
  methods = {"from_config", "probes", "gallery"}
  declared = {*datasets.Builder.__annotations__, *methods}
  assert declared == {"SHOWS_BAR", *methods}
  assert all(hasattr(made_by, member) for member in declared)
  assert made_by.name == name


def test_walkers_have_no_list_of_probes(prepared):
  data = builds.data_of("walkers", prepared=str(prepared))
  assert datasets.probes(data) == ()
  assert datasets.roles(data) == {"probes": ()}


def test_listed_probes_that_are_not_there(tmp_path, prepared):
  root = tmp_path / "tree"
  trees.write(root, "gait3d", subjects=4, frames=2)
  own = datasets.source("gait3d").partition
  there = [own.probes[own.test.index(s)] for s in own.test[:2]]
  data = builds.data_of(
    "gait3d", root=str(root), prepared=str(tmp_path / "prepared")
  )
  assert datasets.probes(data) == tuple(there)
  absent = datasets.absent_probes(data)
  assert sorted((*absent, *there)) == sorted(own.probes)
  lists = tmp_path / "lists.json"
  lists.write_text(
    json.dumps(
      {
        "TRAIN_SET": list(trees.first_subjects("gait3d", 4)[:2]),
        "TEST_SET": list(own.test[:2]),
        "PROBE_SET": [there[0], f"{own.test[1]}-camid9_videoid9-seq9"],
      }
    )
  )
  data.partition = str(lists)
  assert datasets.probes(data) == (there[0],)
  assert datasets.absent_probes(data) == (
    f"{own.test[1]}-camid9_videoid9-seq9",
  )
  walkers = builds.data_of("walkers", prepared=str(prepared))
  assert datasets.absent_probes(walkers) == ()


def test_configs_know_how_many_subjects_train():
  for name, count in config_lib.TRAIN_SUBJECTS.items():
    train = datasets.source(name).partition.train
    # Gait3D trains on all that do not test, and does not list them.
    assert (train is None and name == "gait3d") or len(train) == count
  # One that is not here has no recipe yet, which must give its classes.
  assert set(config_lib.TRAIN_SUBJECTS) <= set(datasets.BENCHMARKS)
  assert len(config_lib.TRAIN_SUBJECTS) >= 6


def test_sources_are_known_without_tensorflow():
  code = (
    "import sys; from data_pipelines import datasets;"
    "[datasets.source(name) for name in datasets.TREES];"
    "sys.exit('tensorflow' in sys.modules)"
  )
  assert command.output(program=("-c", code)) == ""
