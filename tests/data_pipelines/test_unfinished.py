"""A build that was interrupted goes on with what it has read."""

import itertools
import pathlib
import textwrap

import pytest

from data_pipelines import datasets
from data_pipelines import examples
from data_pipelines import frames
from data_pipelines import store as store_lib
from data_pipelines import tree as tree_lib
from data_pipelines import unfinished
from tests.helpers import builds
from tests.helpers import command
from tests.helpers import trees

SOURCE = datasets.source("casiab")
MODALITIES = ("silhouettes", "heatmaps")


@pytest.fixture
def folders(tmp_path):
  """Sixteen sequences, of which one holds nothing and one has to be mended."""
  root = tmp_path / "tree"
  trees.write(root, "casiab", "pickle", 2, 3, with_heatmaps=True)
  found = tree_lib.scan(root, SOURCE.layouts).folders
  for file in pathlib.Path(found[1].path).iterdir():
    file.unlink()
  return found


@pytest.fixture
def seen(monkeypatch):
  """The keys of the sequences whose files are read."""
  read, keys = frames.read_sequence, []

  def noted(folder, *arguments):
    keys.append(folder.key)
    return read(folder, *arguments)

  monkeypatch.setattr(frames, "read_sequence", noted)
  return keys


def read(folders, saved, count=None):
  found = unfinished.outcomes(folders, SOURCE, MODALITIES, saved)
  part = list(itertools.islice(found, count))
  found.close()
  return part


def first(seen, folders):
  """The place of the first sequence whose files were read."""
  return min(i for i, folder in enumerate(folders) if folder.key in seen)


def test_what_was_read_is_not_read_again(folders, seen, tmp_path):
  whole = list(examples.read_ahead(folders, SOURCE, MODALITIES))
  assert any(o.skipped for o in whole) and whole[0].example["heatmaps"]
  saved = tmp_path / "saved"
  assert read(folders, saved, 3) == whole[:3]
  seen.clear()
  assert read(folders, saved, 7) == whole[:7]
  assert first(seen, folders) == 3  # some are read ahead
  seen.clear()
  assert read(folders, saved) == whole
  assert set(seen) == {f.key for f in folders[7:]}
  seen.clear()
  assert read(folders, saved) == whole and not seen
  unfinished.remove(saved)
  assert not saved.exists()


@pytest.mark.parametrize("damage", ["cut", "changed"])
def test_what_was_half_written_is_read_again(folders, seen, tmp_path, damage):
  whole = read(folders, tmp_path / "saved", 4)
  (file,) = (tmp_path / "saved").iterdir()
  content = file.read_bytes()
  if damage == "changed":
    content = content[:-5] + bytes([content[-5] ^ 1]) + content[-4:]
  file.write_bytes(content[:-2] if damage == "cut" else content)
  seen.clear()
  assert read(folders, tmp_path / "saved", 4) == whole
  assert first(seen, folders) == 3


def test_other_sequences_are_read(folders, seen, tmp_path):
  read(folders[2:], tmp_path / "saved", 4)
  seen.clear()
  found = read(folders[:2], tmp_path / "saved")
  assert [o.folder for o in found] == list(folders[:2])
  assert set(seen) == {f.key for f in folders[:2]}


def test_a_killed_build_goes_on(tmp_path, seen):
  root = tmp_path / "tree"
  trees.write(root, "casiab", "raw", 6, 2)
  program = textwrap.dedent("""
    import os, signal, sys
    from data_pipelines import frames
    from data_pipelines import prepare
    from data_pipelines import unfinished
    add, count = unfinished._add, []
    def stop(*arguments):
      count.append(1)
      if len(count) == 30:
        os.kill(os.getpid(), signal.SIGKILL)
      return add(*arguments)
    unfinished._add = stop
    prepare.main(sys.argv[1:])
  """)
  data = builds.data_of("casiab", root)
  done = command.run(
    "--dataset=casiab",
    f"--root={root}",
    f"--prepared={data.prepared}",
    program=("-c", program),
  )
  assert done.returncode == -9
  assert not list(pathlib.Path(data.prepared).rglob("dataset_info.json"))
  seen.clear()
  builder = datasets.prepare(data)
  assert len(seen) == len(set(seen)) == 48 - 29
  # It is what a build without a break makes, and leaves nothing behind.
  other = datasets.prepare(
    builds.data_of("casiab", root, prepared=tmp_path / "other")
  )
  for split in ("train", "test"):
    one, two = (
      store_lib.SequenceStore.from_builder(b, split) for b in (builder, other)
    )
    assert one.read_all(range(len(one))) == two.read_all(range(len(two)))
  assert not list(pathlib.Path(data.prepared).rglob("unfinished"))


def test_a_damaged_file_leaves_nothing(tmp_path):
  root = tmp_path / "tree"
  trees.write(root, "casiab", "raw", 2, 2)
  sorted(root.rglob("*.png"))[-1].write_bytes(b"")
  data = builds.data_of("casiab", root)
  assert "is empty" in builds.refusal(data)
  assert not list(pathlib.Path(data.prepared, "casiab").iterdir())
