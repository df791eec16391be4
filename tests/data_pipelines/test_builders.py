"""Every data set, from its publisher's tree and from OpenGait's pickles."""

import importlib.util
import json
import os
import pathlib
import pickle
import subprocess
import sys
import textwrap
import types

import numpy as np
import pytest
import tensorflow_datasets as tfds

from data_pipelines import datasets
from data_pipelines import partitions
from data_pipelines import prepare
from data_pipelines import tree_builder
from gaitkd_jax.errors import UserError
from tests.helpers import paths
from tests.helpers import trees


def data_of(name, root, **values):
  settings = dict(
    name=name,
    root=str(root),
    prepared=str(root) + "_prepared",
    variant="",
    modalities=("silhouettes",),
    partition="",
    train_subjects=(),
    test_subjects=(),
  )
  return types.SimpleNamespace(**settings | values)


def read(builder, feature="silhouettes"):
  """Returns {split: {name: frames}}; checks the names."""
  found = {}
  for split in builder.info.splits:
    found[split] = {}
    for row in builder.as_dataset(split=split).as_numpy_iterator():
      key = [row[k].decode() for k in ("subject", "condition", "view")]
      assert row["name"].decode() == "-".join(key)
      found[split]["-".join(key)] = row[feature]
  return found


def names(builder):
  return {split: sorted(part) for split, part in read(builder).items()}


def failure(data):
  with pytest.raises(UserError) as caught:
    datasets.prepare(data)
  message = str(caught.value)
  assert "\n" not in message
  return message


@pytest.mark.parametrize("layout", ["raw", "pickle"])
@pytest.mark.parametrize("dataset", trees.NAMES)
def test_arrays_splits_and_names(tmp_path, dataset, layout):
  expected = trees.write(tmp_path / "tree", dataset, layout)
  train = trees.first_subjects(dataset, 4)[:2]
  found = read(datasets.prepare(data_of(dataset, tmp_path / "tree")))
  assert set(found["train"]) == {n for n in expected if n.startswith(train)}
  assert {**found["train"], **found["test"]}.keys() == expected.keys()
  for part in found.values():
    for name, values in part.items():
      np.testing.assert_array_equal(values, expected[name])


@pytest.mark.parametrize("dataset", ["oumvlp", "sustech1k"])
def test_heat_maps_lie_beside_the_silhouettes(tmp_path, dataset):
  expected = trees.write(
    tmp_path / "tree", dataset, "pickle", 2, with_heatmaps=True
  )
  data = data_of(
    dataset, tmp_path / "tree", modalities=("silhouettes", "heatmaps")
  )
  builder = datasets.prepare(data)
  silhouettes, maps = read(builder), read(builder, "heatmaps")
  for split, part in maps.items():
    for name, values in part.items():
      assert values.shape == (6, 2, 64, 64)
      np.testing.assert_array_equal(
        values, trees.heatmaps(*_key(dataset, name), 6)
      )
      np.testing.assert_array_equal(silhouettes[split][name], expected[name])
  # Silhouettes alone are other prepared data, of the same files.
  plain = datasets.prepare(data_of(dataset, tmp_path / "tree"))
  assert "heatmaps" not in plain.info.features
  assert plain.data_dir != builder.data_dir
  assert names(plain) == names(builder)


def _key(dataset, name):
  subject = name.split("-")[0]
  keys = trees.sequences(dataset, subject)
  return next(key for key in keys if "-".join(key) == name)


def test_black_frames_are_dropped_from_both(tmp_path):
  root = tmp_path / "tree"
  key = ("001", "nm-01", "000")
  values = trees.normalised("casiab", *key, 5)
  maps = trees.heatmaps(*key, 5)
  values[[0, 3]] = 0
  trees.write_pickles("casiab", root.joinpath(*key), values, maps)
  # Raw frames, of which the pre-treatment drops one.
  other = ("001", "nm-02", "000")
  drawn = trees.images(*other, 5)
  drawn[1] = 0
  trees.write_raw(root.joinpath(*other), drawn)
  (root.joinpath(*other) / "heatmap.pkl").write_bytes(pickle.dumps(maps))
  builder = datasets.prepare(
    data_of("casiab", root, modalities=("silhouettes", "heatmaps"))
  )
  found = read(builder, "heatmaps")["train"]
  np.testing.assert_array_equal(found["001-nm-01-000"], maps[[1, 2, 4]])
  np.testing.assert_array_equal(found["001-nm-02-000"], maps[[0, 2, 3, 4]])
  kept = read(builder)["train"]["001-nm-01-000"]
  np.testing.assert_array_equal(kept, values[[1, 2, 4]])


def test_heat_maps_that_do_not_fit_are_reported(tmp_path):
  root = tmp_path / "tree"
  trees.write(root, "casiab", "pickle", 2, with_heatmaps=True)
  (root / "001/nm-01/000/0_heatmap.pkl").unlink()
  maps = trees.heatmaps("001", "nm-01", "090", 5)
  path = root / "001/nm-01/090/0_heatmap.pkl"
  path.write_bytes(pickle.dumps(maps))
  builder = datasets.prepare(
    data_of("casiab", root, modalities=("silhouettes", "heatmaps"))
  )
  report = pathlib.Path(builder.data_dir, tree_builder.SKIPPED_FILE)
  assert report.read_text() == (
    f"{root}/001/nm-01/000\tno pickle of heat maps\n"
    f"{root}/001/nm-01/090\t5 heat maps do not fit 6 silhouettes\n"
  )
  assert len(names(builder)["train"]) == 6


def test_what_is_prepared_is_a_plain_tensor(tmp_path):
  expected = trees.write(tmp_path / "tree", "oumvlp", "pickle", 2, 1)
  builder = datasets.prepare(data_of("oumvlp", tmp_path / "tree"))
  text = pathlib.Path(builder.data_dir, "features.json").read_text()
  assert "tensor_feature.Tensor" in text and "data_pipelines" not in text
  anonymous = tfds.builder_from_directory(builder.data_dir)
  found = read(anonymous)["test"]
  assert found
  for name, values in found.items():
    np.testing.assert_array_equal(values, expected[name])


def test_subjects_may_be_numbers(tmp_path):
  trees.write(tmp_path / "tree", "gait3d", "pickle", 4, 1)
  data = data_of("gait3d", tmp_path / "tree", train_subjects=(2,))
  found = names(datasets.prepare(data))
  assert {name[:4] for name in found["train"]} == {"0002"}


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
  data = data_of("gait3d", tmp_path / "tree")
  own = datasets.probes(data)
  assert own == datasets.source("gait3d").partition.probes[:3]
  # Its own division leaves nobody out, so halves change nothing.
  data.partition = "halves"
  assert datasets.probes(data) == own
  assert len(names(datasets.prepare(data))["train"]) == 6
  subjects = ("0000", "0001", "0003", "0004")
  trees.write(tmp_path / "few", "gait3d", "pickle", subjects, 1)
  data = data_of("gait3d", tmp_path / "few", partition="halves")
  assert datasets.probes(data) == tuple(
    f"{i}-camid1_videoid1-seq0" for i in ("0003", "0004")
  )
  data.partition = ""
  assert list(names(datasets.prepare(data))) == ["train"]
  assert datasets.probes(data) == ()
  trees.write(tmp_path / "casiab", "casiab", "pickle", 2, 1)
  assert datasets.probes(data_of("casiab", tmp_path / "casiab")) == ()


def test_a_partition_of_opengait(tmp_path, caplog):
  trees.write(tmp_path / "tree", "gait3d", "pickle", 4, 1)
  probe = "0000-camid1_videoid1-seq1"
  path = tmp_path / "partition.json"
  lists = {"TRAIN_SET": ["0002", "9999"], "TEST_SET": ["0000", "0001"]}
  path.write_text(json.dumps(lists | {"PROBE_SET": [probe, "0001-x-y"]}))
  data = data_of("gait3d", tmp_path / "tree", partition=str(path))
  found = names(datasets.prepare(data))
  assert {n[:4] for n in found["train"]} == {"0002"}
  assert {n[:4] for n in found["test"]} == {"0000", "0001"}
  assert datasets.probes(data) == (probe,)
  assert "though listed: subjects 9999" in caplog.text
  # Without the tree, the build of these lists is found again.
  datasets.prepare(data_of("gait3d", tmp_path / "tree"))
  data.root = ""
  assert names(datasets.prepare(data)) == found
  # Another file of the same contents is the same division; other contents not.
  path.write_text(json.dumps(lists))
  assert "0 prepared" in failure(data)


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


@pytest.mark.parametrize("dataset", trees.NAMES)
def test_the_expected_tree_is_told(tmp_path, dataset):
  root = tmp_path / "tree"
  (root / "other" / "names").mkdir(parents=True)
  message = failure(data_of(dataset, root))
  for layout in datasets.source(dataset).layouts:
    assert layout.text in message
  readme = paths.ROOT / "data_pipelines" / dataset / "README.md"
  for layout in datasets.source(dataset).layouts:
    text = layout.text.split(",")[0]
    assert f"`{text}/*.p" in readme.read_text(), text


def test_a_root_one_level_off(tmp_path):
  trees.write(tmp_path / "a" / "tree", "casiab", "pickle", 2, 1)
  message = failure(data_of("casiab", tmp_path / "a"))
  assert f"{tmp_path}/a/tree holds such folders" in message
  message = failure(data_of("casiab", tmp_path / "a" / "tree" / "001"))
  assert f"the folder above, {tmp_path}/a/tree," in message
  trees.write(tmp_path / "grew", "grew", "raw", 2, 1)
  message = failure(data_of("grew", tmp_path / "grew" / "test"))
  assert f"the folder above, {tmp_path}/grew," in message


def test_pickles_by_name_and_by_order(tmp_path):
  root = tmp_path / "tree"
  folder = root / "0002" / "camid1_videoid1" / "seq0"
  key = ("0002", "camid1_videoid1", "seq0")
  values = trees.normalised("gait3d", *key, 3)
  maps = trees.heatmaps(*key, 3)
  both = ("silhouettes", "heatmaps")
  cases = [
    (("a-Sil.pkl", values), ("b.pkl", maps), both[:1]),
    (("a-SILs.pkl", values), ("heat_map.pkl", maps), both),
    (("z.pkl", values), ("b.pkl", maps), both),
    (("seq0.pkl", values), ("0-sil.pkl", maps), both[:1]),
  ]
  folder.mkdir(parents=True)
  for *files, modalities in cases:
    for name, content in files:
      (folder / name).write_bytes(pickle.dumps(content))
    builder = datasets.prepare(data_of("gait3d", root, modalities=modalities))
    for feature, content in zip(modalities, (values, maps), strict=False):
      (found,) = read(builder, feature)["test"].values()
      np.testing.assert_array_equal(found, content)
    for name, _ in files:
      (folder / name).unlink()


def test_the_command_prepares_and_reports(tmp_path, capsys):
  root = tmp_path / "tree"
  trees.write(root, "ccpg", "raw", 2, 1)
  (root / "000" / "U0_D0" / "09_0").mkdir()
  arguments = ["--dataset=ccpg", f"--root={root}", f"--prepared={tmp_path}/p"]
  prepare.main(arguments)
  printed = capsys.readouterr().out
  assert "train: 14 sequences" in printed and "test: 14 sequences" in printed
  assert "skipped: 1 sequences" in printed
  report = printed.split()[-1]
  assert pathlib.Path(report).read_text().startswith(f"{root}/000/U0_D0/09_0\t")
  for bad in (["--dataset=cpg"], [], ["--dataset=ccpg", "--typo=1"]):
    with pytest.raises(UserError):
      prepare.main(bad)
  with pytest.raises(UserError, match="silhouettes"):
    prepare.main([*arguments, "--modalities=heatmap"])


def test_a_mistake_at_the_command_is_one_line():
  done = subprocess.run(
    [sys.executable, "-m", "data_pipelines.prepare", "--dataset=oumvl"],
    cwd=paths.ROOT,
    capture_output=True,
    text=True,
    check=False,
  )
  assert done.returncode == 2 and not done.stdout
  assert done.stderr.splitlines()[-1].startswith("error: data.name")
  assert "Traceback" not in done.stderr


def test_a_killed_build_starts_again(tmp_path):
  trees.write(tmp_path / "tree", "sustech1k", "raw", 4, 2)
  program = textwrap.dedent("""
    import os, signal, sys
    from tensorflow_datasets.core import writer
    from data_pipelines import prepare
    finalize, seen = writer.Writer.finalize, []
    def stop(self):
      seen.append(1)
      if len(seen) == 2:
        os.kill(os.getpid(), signal.SIGKILL)
      return finalize(self)
    writer.Writer.finalize = stop
    prepare.main(sys.argv[1:])
  """)
  data = data_of("sustech1k", tmp_path / "tree")
  done = subprocess.run(
    [
      sys.executable,
      "-c",
      program,
      "--dataset=sustech1k",
      f"--root={data.root}",
      f"--prepared={data.prepared}",
    ],
    cwd=paths.ROOT,
    capture_output=True,
    check=False,
  )
  assert done.returncode == -9
  # One split was written, the other was not.
  assert list(pathlib.Path(data.prepared).glob("**/*incomplete*/*-train.*"))
  builder = datasets.prepare(data)
  assert {k: len(v) for k, v in names(builder).items()} == {
    "train": 24,
    "test": 24,
  }


@pytest.mark.skipif(
  not importlib.util.find_spec("apache_beam"), reason="needs the extra beam"
)
# Beam holds protobuf back at a version that warns of what TFDS calls.
@pytest.mark.filterwarnings("ignore:label.. is deprecated:DeprecationWarning")
def test_beam_gives_the_same(tmp_path):
  root = tmp_path / "tree"
  trees.write(root, "grew", "raw", 4, 2)
  (root / "train" / "00001" / "empty").mkdir()
  plain = datasets.prepare(data_of("grew", root))
  # In a process of its own: Beam warns of what pytest makes errors.
  flags = [
    "--dataset=grew",
    f"--root={root}",
    f"--prepared={tmp_path}/beam",
    "--beam_pipeline_options=runner=DirectRunner",
  ]

  def run():
    return subprocess.run(
      [sys.executable, "-m", "data_pipelines.prepare", *flags],
      cwd=paths.ROOT,
      capture_output=True,
      text=True,
      env=dict(os.environ, PYTHONPATH=os.pathsep.join(sys.path)),
      check=False,
    )

  done = run()
  assert done.returncode == 0, done.stderr
  assert "skipped: 1 sequences" in done.stdout
  data = data_of("grew", "", prepared=f"{tmp_path}/beam")
  found, expected = read(datasets.prepare(data)), read(plain)
  assert found.keys() == expected.keys()
  for split, part in expected.items():
    assert found[split].keys() == part.keys()
    for name, values in part.items():
      np.testing.assert_array_equal(found[split][name], values)
  left = sorted(path.name for path in (tmp_path / "beam").glob("grew/*/*/*"))
  assert left == sorted(os.listdir(plain.data_dir))
  # What is damaged is one line, and nothing stays.
  path = next((root / "test" / "probe").glob("*/*2.png"))
  path.write_bytes(path.read_bytes()[:50])
  flags[2] = f"--prepared={tmp_path}/damaged"
  done = run()
  assert done.returncode == 1
  last = done.stderr.splitlines()[-1]
  assert last.startswith("error:") and f"{path}: is cut short" in last
  assert not list((tmp_path / "damaged").glob("grew/**/*"))
  flags[3] = "--beam_pipeline_options=runner=NoRunner"
  done = run()
  assert done.returncode == 1
  assert "the runner NoRunner cannot be used" in done.stderr.splitlines()[-1]


@pytest.mark.skipif(
  bool(importlib.util.find_spec("apache_beam")), reason="needs no extra beam"
)
def test_beam_that_is_not_there_is_one_line(tmp_path):
  arguments = ["--dataset=ccpg", f"--root={tmp_path}"]
  with pytest.raises(UserError, match="install the extra beam"):
    prepare.main([*arguments, "--beam_pipeline_options="])


def _sixteen_pickles(tmp_path):
  root = tmp_path / "tree"
  expected = trees.write(root, "sustech1k", "pickle", frames=3)
  for folder in {path.parent for path in root.rglob("*.pkl")}:
    condition, view = folder.parts[-2:]
    key = (folder.parts[-3], condition, view)
    maps = trees.heatmaps(*key, 3)
    (folder / "16-heatmap.pkl").write_bytes(pickle.dumps(maps))
  return root, expected


@pytest.mark.parametrize("pickles", ["", "silhouettes=6,heatmaps=16"])
def test_heat_maps_beside_sixteen_pickles(tmp_path, pickles):
  root, expected = _sixteen_pickles(tmp_path)
  data = data_of("sustech1k", root, modalities=("silhouettes", "heatmaps"))
  data.pickles = pickles
  found = datasets.prepare(data).as_dataset(split="test")
  for row in found.as_numpy_iterator():
    name = row["name"].decode()
    np.testing.assert_array_equal(row["silhouettes"], expected[name])
    key = row["subject"].decode(), row["condition"].decode()
    maps = trees.heatmaps(*key, row["view"].decode(), 3)
    np.testing.assert_array_equal(row["heatmaps"], maps)


@pytest.mark.parametrize(
  "pickles, words",
  [
    ("silhouettes", "data.pickles is 'silhouettes'"),
    ("depth=3", "data.pickles is 'depth=3'"),
    ("silhouettes=17", "fits 0 of 17 pickles"),
    ("silhouettes=modality", "fits 16 of 17 pickles"),
    ("silhouettes=05-", "05-modality.pkl"),  # another modality: wrong shape
  ],
)
def test_a_wrong_choice_of_pickles(tmp_path, pickles, words):
  root, _ = _sixteen_pickles(tmp_path)
  data = data_of("sustech1k", root)
  data.pickles = pickles
  assert words in failure(data)
