"""A split without sequences says whom it wants and who is there."""

import json

import pytest

from data_pipelines import datasets
from data_pipelines import store
from tests.helpers import builds
from tests.helpers import mistakes
from tests.helpers import trees


def told(data, split):
  builder = datasets.prepare(data)
  return mistakes.message(store.SequenceStore.from_builder, builder, split)


@pytest.fixture(scope="module")
def tree(tmp_path_factory):
  """CASIA-B with the subjects 001 and 002, who both train."""
  root = tmp_path_factory.mktemp("trees") / "tree"
  trees.write(root, "casiab", "pickle", 4)
  for folder in root.iterdir():
    if folder.name > "002":
      folder.rename(root.parent / folder.name)
  return root


def test_the_benchmarks_subjects_and_halves_are_named(tree):
  text = told(builds.data_of("casiab", tree), "test")
  assert "split 'test' of casiab in" in text
  assert "wants 50 subjects (075, 076, 077 and 47 others)" in text
  assert "none is there; 2 are there (001, 002)" in text
  assert "--config.data.partition=halves" in text
  assert "data.test_subjects" in text and "JSON" in text


def test_it_is_known_without_the_tree(tree):
  there = told(builds.data_of("casiab", tree), "test")
  data = builds.data_of("casiab", prepared=f"{tree}_prepared")
  assert told(data, "test") == there


def test_a_file_and_lists_are_named(tree, tmp_path):
  file = tmp_path / "few.json"
  file.write_text(json.dumps({"TRAIN_SET": ["001"], "TEST_SET": ["009"]}))
  text = told(builds.data_of("casiab", tree, partition=str(file)), "test")
  assert f"{file} wants 1 subjects (009), of whom none is there" in text
  data = builds.data_of("casiab", tree, test_subjects=("123",))
  assert "data.test_subjects wants 1 subjects (123)" in told(data, "test")
  assert "002" in told(data, "test")
