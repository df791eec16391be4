"""Damaged trees: refused in one line, or named in the report."""

import os
import pathlib
import pickle
import textwrap
import zipfile

import cv2
import numpy as np
import pytest

from data_pipelines import datasets
from tests.helpers import builds
from tests.helpers import command
from tests.helpers import trees

# Something that would be run leaves this file.
_RAN = "it_ran"


def frames(count=2):
  return trees.normalised("casiab", "001", "nm-01", "000", count)


def good_pickle(count=2):
  return pickle.dumps(frames(count))


def png(image=None):
  image = frames(1)[0] if image is None else image
  return cv2.imencode(".png", image)[1].tobytes()


class Attack:
  """Runs a command when it is unpickled."""

  def __init__(self, target):
    self._target = target

  def __reduce__(self):
    return os.system, (f"touch {self._target}",)


def attacks(target):
  """Pickles that would run something."""
  as_object = np.empty(2, object)
  as_object[:] = [Attack(target), Attack(target)]
  return {
    "reduce": pickle.dumps(Attack(target)),
    "protocol 0": f"cposix\nsystem\n(S'touch {target}'\ntR.".encode(),
    "in a list": pickle.dumps([frames(), Attack(target)]),
    "in a dict": pickle.dumps({"silhouettes": Attack(target)}),
    "in an array": pickle.dumps(as_object),
    "after the array": good_pickle()[:-1]
    + f"0cposix\nsystem\n(S'touch {target}'\ntR.".encode(),
    "eval": f'cbuiltins\neval\n(S\'open("{target}", "w")\'\ntR.'.encode(),
    "instance": f"(S'touch {target}'\nios\nsystem\n.".encode(),
    "numpy's own": f"cnumpy\nload\n(S'{target}'\ntR.".encode(),
  }


def refused_pickles():
  yield "truncated", good_pickle()[:-40]
  yield "one byte", b"\x80"
  yield "empty file", b""
  yield "text", b"not a pickle at all"
  yield "PNG as pickle", png()
  yield "zip as pickle", b"PK\x03\x04" + good_pickle()
  yield "object dtype", pickle.dumps(np.array([frames(), None], object))
  yield "text dtype", pickle.dumps(np.array(["a", "b"]))
  yield "list", pickle.dumps([1, 2, 3])
  yield "number", pickle.dumps(7)
  yield "2 axes", pickle.dumps(frames()[0])
  yield "4 axes", pickle.dumps(frames()[:, None])
  yield "0 axes", pickle.dumps(np.array(3, np.uint8))
  yield "120 x 88", pickle.dumps(np.zeros((2, 120, 88), np.uint8))
  yield "32 x 32", pickle.dumps(np.zeros((2, 32, 32), np.uint8))
  yield "negative", pickle.dumps(frames().astype(np.int16) - 300)
  yield "above 255", pickle.dumps(frames().astype(np.int16) + 300)
  yield "not a number", pickle.dumps(np.full((2, 64, 64), np.nan))
  yield "infinite", pickle.dumps(np.full((2, 64, 64), np.inf))
  yield "complex", pickle.dumps(frames().astype(complex))
  yield "wrong size", good_pickle().replace(b"K@K@", b"K@KA", 1)


def refused_pngs():
  good = png()
  yield "truncated", good[: len(good) // 2]
  yield "without its end", good[:-12]
  yield "empty file", b""
  yield "another format", cv2.imencode(".jpg", frames(1)[0])[1].tobytes()
  yield "a flipped bit", good[:60] + bytes([good[60] ^ 1]) + good[61:]
  yield "pickle as PNG", good_pickle()


def skipped_sequences():
  """(name, {file: contents}) without anything to use."""
  black = np.zeros((3, 64, 64), np.uint8)
  yield "no file", {}
  yield "zero frames", {"090.pkl": pickle.dumps(black[:0])}
  yield "black frames", {"090.pkl": pickle.dumps(black)}
  yield "black PNG", {"001.png": png(black[0])}
  yield "noise in PNG", {"001.png": png(np.eye(200, 160, dtype=np.uint8))}
  yield "other files", {"notes.txt": b"", "001-gei.png": png()}


def refusal(data):
  """The one line with which a build ends; nothing half written stays."""
  message = builds.refusal(data)
  prepared = pathlib.Path(data.prepared)
  assert not [path for path in prepared.glob("**/*") if path.is_file()]
  assert not list(prepared.glob("**/*incomplete*"))
  return message


def tree_of(tmp_path, dataset, layout):
  """Writes a tree; returns its data and the last folder of a sequence."""
  root = tmp_path / "tree"
  trees.write(root, dataset, layout, 2, 1)
  files = sorted(root.glob("**/*.p*"))
  return builds.data_of(dataset, root), files[-1].parent


def cases(found):
  """Spreads damages over the data sets."""
  return [
    pytest.param(
      datasets.BENCHMARKS[i % len(datasets.BENCHMARKS)],
      content,
      id=name.replace(" ", "_"),
    )
    for i, (name, content) in enumerate(found)
  ]


@pytest.mark.parametrize("dataset, content", cases(refused_pickles()))
def test_a_damaged_pickle_is_refused(tmp_path, dataset, content):
  data, folder = tree_of(tmp_path, dataset, "pickle")
  path = sorted(folder.glob("*.pkl"))[6 if dataset == "sustech1k" else 0]
  path.write_bytes(content)
  assert str(path) in refusal(data)


@pytest.mark.parametrize("name", attacks(""))
def test_a_malicious_pickle_runs_nothing(tmp_path, monkeypatch, name):
  target = tmp_path / _RAN
  monkeypatch.chdir(tmp_path)
  content = attacks(target)[name]
  dataset = datasets.BENCHMARKS[len(name) % len(datasets.BENCHMARKS)]
  data, folder = tree_of(tmp_path, dataset, "pickle")
  path = sorted(folder.glob("*.pkl"))[6 if dataset == "sustech1k" else 0]
  path.write_bytes(content)
  assert str(path) in refusal(data)
  assert not target.exists()


def test_malicious_heat_maps_run_nothing(tmp_path):
  root, target = tmp_path / "tree", tmp_path / _RAN
  trees.write(root, "ccpg", "pickle", 2, 1, with_heatmaps=True)
  path = root / "100" / "U0_D3" / "01_0" / "0_heatmap.pkl"
  data = builds.data_of("ccpg", root, modalities=("silhouettes", "heatmaps"))
  for content in (
    *attacks(target).values(),
    good_pickle(),  # Silhouettes under a wrong name.
    pickle.dumps(np.zeros((1, 3, 64, 64), np.uint8)),
    pickle.dumps(np.full((1, 2, 64, 64), 256.0)),
    path.read_bytes()[:-5],
  ):
    path.write_bytes(content)
    assert str(path) in refusal(data)
    assert not target.exists()


@pytest.mark.parametrize("dataset, content", cases(refused_pngs()))
def test_a_damaged_png_is_refused(tmp_path, dataset, content):
  data, folder = tree_of(tmp_path, dataset, "raw")
  path = folder / "001.png"
  path.write_bytes(content)
  assert str(path) in refusal(data)


@pytest.mark.parametrize("dataset, files", cases(skipped_sequences()))
def test_an_unusable_sequence_is_reported(tmp_path, dataset, files):
  data, folder = tree_of(tmp_path, dataset, "pickle")
  for path in folder.iterdir():
    path.unlink()
  for name, content in files.items():
    (folder / name).write_bytes(content)
  builder = datasets.prepare(data)
  (line,) = builds.skipped(builder).splitlines()
  assert line.startswith(f"{folder}\t")
  counts = [info.num_examples for info in builder.info.splits.values()]
  root = pathlib.Path(data.root)
  others = {path.parent for path in root.glob("**/*.pkl")} - {folder}
  assert sum(counts) == len(others)


def test_one_frame_and_four_thousand(tmp_path):
  root = tmp_path / "tree"
  values = np.tile(frames(4), (1000, 1, 1))
  sequences = {"camid1_videoid1": values[:1], "camid1_videoid2": values}
  for condition, sequence in sequences.items():
    folder = root / "0002" / condition / "seq0"
    trees.write_pickles("gait3d", folder, sequence)
  found = builds.read(datasets.prepare(builds.data_of("gait3d", root)))["test"]
  for condition, sequence in sequences.items():
    np.testing.assert_array_equal(found[f"0002-{condition}-seq0"], sequence)


def test_a_file_in_place_of_the_tree(tmp_path):
  path = tmp_path / "tree.zip"
  with zipfile.ZipFile(path, "w") as file:
    file.writestr("001/nm-01/000/000.pkl", good_pickle())
  path.write_bytes(path.read_bytes()[:-30])
  assert "is a file; unpack it" in refusal(builds.data_of("casiab", path))


def test_several_pickles_that_say_nothing(tmp_path):
  data, folder = tree_of(tmp_path, "casiab", "pickle")
  (path,) = folder.glob("*.pkl")
  path.rename(folder / "a.pkl")
  (folder / "b.pkl").write_bytes(good_pickle())
  assert str(folder) in refusal(data)


def test_the_same_sequence_in_two_layouts(tmp_path):
  for dataset, other in (
    ("oumvlp", "00001/00/000"),
    ("grew", "00001train/00/00001seq0"),
    ("grew", "probe/03/unknown0"),
  ):
    root = tmp_path / dataset / other.replace("/", "_")
    trees.write(root, dataset, "raw", 2, 1)
    trees.write_pickles(dataset, root / other, frames())
    message = refusal(builds.data_of(dataset, root))
    assert "are both sequence" in message and str(root / other) in message


def test_two_folders_of_silhouettes_in_one_sequence(tmp_path):
  data, folder = tree_of(tmp_path, "sustech1k", "raw")
  trees.write_raw(folder.parent / "sils", frames())
  assert f"{folder.parent}: 2 folders" in refusal(data)


def test_names_that_are_not_ascii(tmp_path):
  root = tmp_path / "Gänge und 歩容"
  trees.write(root, "ccpg", "pickle", 2, 1)
  trees.write_pickles("ccpg", root / "100" / "U0_D0" / "03_ä歩", frames())
  assert (
    "100-U0_D0-03_ä歩"
    in builds.names(datasets.prepare(builds.data_of("ccpg", root)))["test"]
  )


def test_digits_of_another_script_are_no_subject(tmp_path):
  root = tmp_path / "tree"
  trees.write_pickles("casiab", root / "００１" / "nm-01" / "000", frames())
  assert "1 other folders are ignored" in refusal(
    builds.data_of("casiab", root)
  )


def test_a_name_that_is_not_utf8_is_reported(tmp_path):
  data, _ = tree_of(tmp_path, "ccpg", "pickle")
  odd = os.fsencode(data.root) + b"/100/U0_D0/03_\xff"
  os.mkdir(odd)
  with open(odd + b"/a.pkl", "wb") as file:
    file.write(good_pickle())
  assert "its name is not UTF-8" in builds.skipped(datasets.prepare(data))


def test_links_are_followed(tmp_path):
  root = tmp_path / "tree"
  expected = trees.write(tmp_path / "files", "casiab", "pickle", 2, 1)
  (root / "075" / "nm-01").mkdir(parents=True)
  (root / "001").symlink_to(tmp_path / "files" / "001")
  (root / "075" / "nm-01" / "000").mkdir()
  for name in ("075/nm-05", "075/nm-01/000/000.pkl"):
    (root / name).symlink_to(tmp_path / "files" / name)
  found = builds.read(datasets.prepare(builds.data_of("casiab", root)))
  assert len(found["train"]) == 8
  assert sorted(found["test"]) == [
    "075-nm-01-000",
    "075-nm-05-000",
    "075-nm-05-090",
  ]
  for part in found.values():
    for name, values in part.items():
      np.testing.assert_array_equal(values, expected[name])


def test_loops_of_links_end(tmp_path):
  data, _ = tree_of(tmp_path, "casiab", "pickle")
  root = pathlib.Path(data.root)
  before = builds.names(datasets.prepare(data))
  (root / "loop").symlink_to(root)
  (root / "002").symlink_to(root)
  (root / "001" / "nm-06").symlink_to(root / "001")
  (root / "001" / "nm-01" / "000" / "up").symlink_to(root)
  (root / "003").symlink_to(root / "003")
  (root / "001" / "nm-01" / "018").symlink_to(tmp_path / "none")
  builder = datasets.prepare(data)
  assert builds.names(builder) == before
  assert [
    line.split("\t")[0] for line in builds.skipped(builder).splitlines()
  ] == [
    f"{root}/001/nm-01/018",
    f"{root}/003",
  ]
  assert builds.skipped(builder).count("the link leads nowhere") == 2


@pytest.mark.parametrize("layout", ["raw", "pickle"])
def test_a_file_that_links_nowhere_is_refused(tmp_path, layout):
  data, folder = tree_of(tmp_path, "oumvlp", layout)
  path = min(folder.iterdir())
  path.unlink()
  path.symlink_to(path)
  assert f"{path}: cannot be read" in refusal(data)


@pytest.mark.parametrize("layout", ["raw", "pickle"])
def test_an_unreadable_file_is_refused(tmp_path, layout):
  data, folder = tree_of(tmp_path, "gait3d", layout)
  path = min(folder.iterdir())
  path.chmod(0)
  if os.access(path, os.R_OK):
    pytest.skip("root reads every file")
  assert f"{path}: cannot be read" in refusal(data)
  path.chmod(0o600)
  folder.chmod(0)
  message = refusal(data)
  folder.chmod(0o700)
  assert f"{folder}: cannot be read" in message


def test_a_folder_in_place_of_a_file(tmp_path):
  data, folder = tree_of(tmp_path, "gait3d", "pickle")
  (path,) = folder.iterdir()
  path.unlink()
  path.mkdir()
  assert f"{folder}\tno PNG" in builds.skipped(datasets.prepare(data))


def test_a_file_that_cannot_be_opened_is_refused(tmp_path, monkeypatch):
  data, folder = tree_of(tmp_path, "gait3d", "pickle")
  (path,) = folder.iterdir()

  def size(name):
    if name == str(path):
      raise PermissionError(13, "Permission denied", name)
    return os.stat(name).st_size

  monkeypatch.setattr("os.path.getsize", size)
  assert f"{path}: cannot be read (Permission denied)" in refusal(data)


def test_a_full_disk_is_one_line(tmp_path):
  root = tmp_path / "tree"
  trees.write(root, "sustech1k", "pickle", 2, 10)
  data = builds.data_of("sustech1k", root)
  program = textwrap.dedent("""
    import resource, sys
    import tensorflow_datasets
    from data_pipelines import prepare
    from gaitkd_jax import errors
    resource.setrlimit(resource.RLIMIT_FSIZE, (8000, 8000))
    try:
      prepare.main(sys.argv[1:])
    except errors.UserError as e:
      print(e)
  """)
  done = command.run(
    "--dataset=sustech1k",
    f"--root={data.root}",
    f"--prepared={data.prepared}",
    program=("-c", program),
    # Half a compiled module would be kept for other programs.
    PYTHONDONTWRITEBYTECODE="1",
  )
  last = done.stdout.splitlines()[-1]
  assert "the prepared data cannot be written" in last, done.stderr
  assert not list(pathlib.Path(data.prepared).glob("sustech1k/**/*"))
  # With room, it goes on as if nothing had been.
  assert len(builds.names(datasets.prepare(data))["train"]) == 12
