"""Who trains, who tests and which sequences are probes."""

import json

import pytest

from data_pipelines import datasets
from data_pipelines import partitions
from gaitkd_jax.errors import UserError
from tests.helpers import builds
from tests.helpers import trees


def test_the_own_partitions():
  sizes = {
    "casiab": (74, 50, 0),
    "oumvlp": (5153, 5154, 0),
    "grew": (20000, 6001, 0),
    "gait3d": (None, 1000, 1000),
    "ccpg": (100, 100, 0),
    "sustech1k": (250, 800, 0),
  }
  for name, size in sizes.items():
    own = datasets.source(name).partition
    train = None if own.train is None else len(set(own.train))
    assert (train, len(set(own.test)), len(set(own.probes))) == size
    assert not set(own.train or ()) & set(own.test)


def test_halves_and_probes(tmp_path):
  trees.write(tmp_path / "tree", "gait3d", "pickle", 6, 1)
  data = builds.data_of("gait3d", tmp_path / "tree")
  own = datasets.probes(data)
  assert own == datasets.source("gait3d").partition.probes[:3]
  # Its own division leaves nobody out, so halves change nothing.
  data.partition = "halves"
  assert datasets.probes(data) == own
  assert len(builds.names(datasets.prepare(data))["train"]) == 6
  subjects = ("0000", "0001", "0003", "0004")
  trees.write(tmp_path / "few", "gait3d", "pickle", subjects, 1)
  data = builds.data_of("gait3d", tmp_path / "few", partition="halves")
  assert datasets.probes(data) == tuple(
    f"{i}-camid1_videoid1-seq0" for i in ("0003", "0004")
  )
  data.partition = ""
  assert list(builds.names(datasets.prepare(data))) == ["train"]
  assert datasets.probes(data) == ()
  trees.write(tmp_path / "casiab", "casiab", "pickle", 2, 1)
  assert datasets.probes(builds.data_of("casiab", tmp_path / "casiab")) == ()


def test_a_partition_of_opengait(tmp_path, caplog):
  trees.write(tmp_path / "tree", "gait3d", "pickle", 4, 1)
  probe = "0000-camid1_videoid1-seq1"
  path = tmp_path / "partition.json"
  lists = {"TRAIN_SET": ["0002", "9999"], "TEST_SET": ["0000", "0001"]}
  path.write_text(json.dumps(lists | {"PROBE_SET": [probe, "0001-x-y"]}))
  data = builds.data_of("gait3d", tmp_path / "tree", partition=str(path))
  found = builds.names(datasets.prepare(data))
  assert {n[:4] for n in found["train"]} == {"0002"}
  assert {n[:4] for n in found["test"]} == {"0000", "0001"}
  assert datasets.probes(data) == (probe,)
  assert "though listed: subjects 9999" in caplog.text
  # Without the tree, the build of these lists is found again.
  datasets.prepare(builds.data_of("gait3d", tmp_path / "tree"))
  data.root = ""
  assert builds.names(datasets.prepare(data)) == found
  # Another file of the same contents is the same division; other contents not.
  path.write_text(json.dumps(lists))
  assert "0 prepared" in builds.refusal(data)


@pytest.mark.parametrize(
  "text, words",
  [
    (None, "cannot be read"),
    ("{", "not JSON"),
    ("[" * 100_000, "not JSON"),
    ("[]", "holds a list"),
    ('{"TRAIN_SET": []}', "no TEST_SET"),
    ('{"TRAIN_SET": [], "TEST_SET": [1]}', "not a list of texts"),
    ('{"TRAIN_SET": ["1"], "TEST_SET": ["1"]}', "both name 1"),
    ('{"TRAIN_SET": [], "TEST_SET": [], "GALLERY": []}', "unknown key"),
    ("\udcff", "not JSON"),
  ],
)
def test_bad_partitions_are_one_line(tmp_path, text, words):
  path = tmp_path / "partition.json"
  if text is not None:
    path.write_bytes(text.encode("utf-8", "surrogateescape"))
  with pytest.raises(UserError, match=words) as caught:
    partitions.read(str(path))
  assert str(path) in str(caught.value) and "\n" not in str(caught.value)
