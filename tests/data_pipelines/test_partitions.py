"""Who trains, who tests and which sequences are probes."""

import json
import pathlib

import pytest

from data_pipelines import build_notes
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
    "casiae": (200, 814, 0),
    "hid": (500, 506 + 859, 0),
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
  "listed, probes, gallery",
  [
    # As in CCGR-MINI's file: whoever is not gallery is probe.
    (
      dict(GALLERY_SET=["1-a-0", "2-a-0", "9-a-0"]),
      ("1-b-0", "1-c-0", "2-b-0", "2-c-0"),
      ("1-a-0", "2-a-0"),
    ),
    # As in FreeGait's: whoever is in neither list takes no part.
    (
      dict(GALLERY_SET=["2-a-0", "1-a-0"], PROBE_SET=["2-b-0", "9-b-0"]),
      ("2-b-0",),
      ("2-a-0", "1-a-0"),
    ),
    (dict(GALLERY_SET=["9-a-0"], PROBE_SET=["2-b-0"]), ("2-b-0",), ()),
    (dict(PROBE_SET=["2-b-0"], GALLERY_SET=[]), ("2-b-0",), None),
  ],
)
def test_a_listed_gallery(tmp_path, listed, probes, gallery):
  root = tmp_path / "tree"
  for subject in "123":
    for condition in "abc":
      trees.write_pickles(
        "opengait",
        root / subject / condition / "0",
        trees.heatmaps(subject, condition, "0", 2)[:, 0],
      )
  path = tmp_path / "partition.json"
  division = {"TRAIN_SET": ["3"], "TEST_SET": ["1", "2"]}
  path.write_text(json.dumps(division | listed))
  data = builds.data_of("opengait", root, partition=str(path))
  expected = {"probes": probes}
  if gallery is not None:
    expected["gallery"] = gallery
  assert datasets.roles(data) == expected
  assert datasets.probes(data) == probes
  # Another gallery is another build, and the tree is not needed to find it.
  data.root = ""
  assert datasets.roles(data) == expected


def test_a_gallery_replaces_the_probes_of_the_benchmark(tmp_path):
  trees.write(tmp_path / "tree", "gait3d", "pickle", 4, 1)
  data = builds.data_of("gait3d", tmp_path / "tree")
  (test,) = {name[:4] for name in datasets.probes(data)[:1]}
  gallery = [f"{test}-camid1_videoid1-seq0"]
  path = tmp_path / "partition.json"
  lists = {"TRAIN_SET": [], "TEST_SET": [test], "GALLERY_SET": gallery}
  path.write_text(json.dumps(lists))
  data.partition = str(path)
  found = datasets.roles(data)
  assert found["gallery"] == tuple(gallery)
  names = set(builds.names(datasets.prepare(data))["test"])
  assert {*found["probes"], *gallery} == names and len(names) == 3


def test_data_that_were_prepared_before_galleries_were_listed(tmp_path):
  trees.write(tmp_path / "tree", "gait3d", "pickle", 4, 1)
  data = builds.data_of("gait3d", tmp_path / "tree")
  builder = datasets.prepare(data)
  path = pathlib.Path(builder.data_dir, build_notes.SOURCE_FILE)
  notes = json.loads(path.read_text())
  assert notes.pop("gallery") is None
  path.write_text(json.dumps(notes))
  assert datasets.roles(data) == {"probes": builder.probes()}
  assert builder.probes()


def test_what_a_file_lists_in_vain_is_logged_once(tmp_path, caplog):
  path = tmp_path / "partition.json"
  lists = {"TRAIN_SET": ["1"], "TEST_SET": ["2"], "TMP_SET": [1]}
  path.write_text(json.dumps(lists | {"COMPARE\u001b_SET": {}}))
  for _ in range(2):
    assert partitions.read(str(path)) == partitions.Partition(("1",), ("2",))
  (line,) = caplog.messages
  assert f"{path}: not used: COMPARE\\u001b_SET, TMP_SET; used" in line
  path.write_text(
    json.dumps(lists | {str(i): 0 for i in range(9)} | {"PROBE_SET": ["2-a-0"]})
  )
  partitions.read(str(path))
  assert "not used: 0, 1, 2, 3, 4, ...; used are" in caplog.messages[1]
  both = {"PROBE_SET": ["2-a-0"], "GALLERY_SET": ["2-b-0"], "TMP_SET": []}
  path.write_text(json.dumps(lists | both))
  partitions.read(str(path))
  assert len(caplog.messages) == 4
  assert "neither PROBE_SET nor GALLERY_SET take no part" in caplog.messages[3]


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
    (
      '{"TRAIN_SET": [], "TEST_SET": [], "GALLERY_SET": {}}',
      "GALLERY_SET is not a list",
    ),
    (
      '{"TRAIN_SET": [], "TEST_SET": [], "PROBE_SET": ["1-a-0"],'
      ' "GALLERY_SET": ["1-a-0"]}',
      "PROBE_SET and GALLERY_SET both name 1-a-0",
    ),
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
