"""Who trains and who tests, by the data's config."""

import pickle

import numpy as np
import pytest

from data_pipelines import datasets
from data_pipelines import store
from gaitkd_jax import config as config_lib
from gaitkd_jax import errors


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
    (dict(variant="huge"), "tiny, small, full"),
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
