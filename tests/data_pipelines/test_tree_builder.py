"""Preparing a tree: what is built, kept, found again, and left behind."""

import os
import pathlib
import pickle
import textwrap

import numpy as np
import pytest

from data_pipelines import frames
from data_pipelines import pretreatment
from data_pipelines.casiab import casiab_dataset_builder
from gaitkd_jax.errors import UserError
from tests.helpers import builds
from tests.helpers import casiab_tree
from tests.helpers import command
from tests.helpers import mistakes
from tests.helpers import paths


def prepare(root, prepared, **kwargs):
  builder = casiab_dataset_builder.Builder.from_tree(root, prepared, **kwargs)
  builder.download_and_prepare()
  return builder


def leftovers(prepared):
  return [path for path in pathlib.Path(prepared).glob("casiab/**/*")]


def test_png_and_pickles_give_the_same_arrays(tmp_path):
  for i, key in enumerate(casiab_tree.KEYS):
    width = 44 if i == 1 else 64
    casiab_tree.write_pickle(
      tmp_path / "pkl", key, casiab_tree.silhouettes(i, 3 + i, width)
    )
    casiab_tree.write_pngs(
      tmp_path / "png", key, casiab_tree.silhouettes(i, 3 + i, width)
    )
    # A tree may change its form from folder to folder.
    write = casiab_tree.write_pickle if i % 2 else casiab_tree.write_pngs
    write(tmp_path / "mixed", key, casiab_tree.silhouettes(i, 3 + i, width))
  found = {
    name: builds.read(prepare(tmp_path / name, tmp_path / "prepared"))
    for name in ("pkl", "png", "mixed")
  }
  for splits in found.values():
    assert set(splits["train"]) == set(casiab_tree.NAMES[:2])
    assert set(splits["test"]) == set(casiab_tree.NAMES[2:])
    examples = {**splits["train"], **splits["test"]}
    for i, key in enumerate(casiab_tree.KEYS):
      expected = casiab_tree.silhouettes(i, 3 + i, 44 if i == 1 else 64)
      if i == 1:
        expected = np.pad(expected, ((0, 0), (0, 0), (10, 10)))
      np.testing.assert_array_equal(examples["-".join(key)], expected)
      # What is told apart here: pre-treatment would have moved these frames.
      assert not np.array_equal(pretreatment.pretreat(expected), expected)


def test_raw_png_are_pretreated_as_the_reference_does(tmp_path):
  with np.load(paths.PARITY / "normalise.npz") as vectors:
    raw, expected = vectors["raw"], vectors["normalised"]
  casiab_tree.write_pngs(tmp_path / "raw", casiab_tree.KEYS[0], raw)
  examples = builds.read(prepare(tmp_path / "raw", tmp_path / "prepared"))
  np.testing.assert_array_equal(
    examples["train"][casiab_tree.NAMES[0]], expected
  )
  assert set(examples) == {"train"}


def test_subject_lists(tmp_path):
  for i, subject in enumerate(["001", "002", "075", "200"]):
    casiab_tree.write_pickle(
      tmp_path / "tree", (subject, "nm-01", "000"), casiab_tree.silhouettes(i)
    )

  def splits(train, test):
    builder = prepare(
      tmp_path / "tree",
      tmp_path / "prepared",
      train_subjects=train,
      test_subjects=test,
    )
    return {
      split: sorted(name[:3] for name in examples)
      for split, examples in builds.read(builder).items()
    }

  assert splits((), ()) == {"train": ["001", "002"], "test": ["075"]}
  assert splits(("002", "200", "999"), ["001"]) == {
    "train": ["002", "200"],
    "test": ["001"],
  }
  # A list leaves the other split to CASIA-B's own, without a common subject.
  assert splits(("075",), ()) == {"train": ["075"]}
  assert splits((), ("001",)) == {"train": ["002"], "test": ["001"]}
  with pytest.raises(UserError, match="both name 002"):
    splits(("001", "002"), ("002",))
  with pytest.raises(UserError, match="in neither split"):
    splits(("500",), ("501",))


def test_notices_of_what_is_not_used(tmp_path, caplog):
  casiab_tree.write_pickle(
    tmp_path, casiab_tree.KEYS[0], casiab_tree.silhouettes(0)
  )
  casiab_tree.write_pickle(
    tmp_path, ("200", "nm-01", "000"), casiab_tree.silhouettes(0)
  )
  for other in ("extra", "001/nm-1", "001/nm-01/90"):
    (tmp_path / other).mkdir()
  casiab_dataset_builder.Builder.from_tree(
    tmp_path, tmp_path / "p", ("001", "998", "999")
  )
  assert "subjects 998, 999" in caplog.text
  assert "In neither split: subjects 200" in caplog.text
  assert "Ignored 3 folders" in caplog.text


def test_skipped_sequences_are_listed(tmp_path, caplog):
  root = tmp_path / "tree"
  casiab_tree.write_pickle(
    root, casiab_tree.KEYS[0], casiab_tree.silhouettes(0)
  )
  casiab_tree.folder(root, casiab_tree.KEYS[1])
  casiab_tree.write_pickle(
    root, ("002", "nm-01", "000"), casiab_tree.silhouettes(0, 0)
  )
  casiab_tree.write_pngs(
    root, ("003", "nm-01", "000"), np.zeros((4, 240, 320), np.uint8)
  )
  casiab_tree.write_pickle(
    root, casiab_tree.KEYS[2], np.zeros((3, 64, 64), np.uint8)
  )
  builder = prepare(root, tmp_path / "prepared")
  assert {k: list(v) for k, v in builds.read(builder).items()} == {
    "train": [casiab_tree.NAMES[0]]
  }
  assert builds.skipped(builder) == "".join(
    f"{root}/{path}\t{reason}\n"
    for path, reason in [
      ("001/bg-02/090", "no PNG file and no pickle"),
      ("002/nm-01/000", "none of 0 frames is usable"),
      ("003/nm-01/000", "none of 4 frames is usable"),
      ("075/nm-05/018", "none of 3 frames is usable"),
    ]
  )
  assert "Skipped 4 sequences" in caplog.text


def test_a_tree_without_sequences(tmp_path):
  prepared = tmp_path / "prepared"
  message = mistakes.message(prepare, tmp_path / "none", prepared)
  assert "none is not a folder" in message
  (tmp_path / "silhouettes" / "001").mkdir(parents=True)
  message = mistakes.message(prepare, tmp_path, prepared)
  assert "<subject>/<condition>/<view>" in message and "1 other" in message
  casiab_tree.folder(tmp_path / "tree", casiab_tree.KEYS[0])
  message = mistakes.message(prepare, tmp_path / "tree", prepared)
  assert "none of 1 sequences is usable" in message
  assert "no PNG file" in message
  assert not leftovers(prepared)


@pytest.mark.parametrize("where", ["first", "later"])
def test_a_damaged_png_stops_the_build(tmp_path, where):
  root, prepared = tmp_path / "tree", tmp_path / "prepared"
  # More sequences than are read ahead, so that some are written already.
  for i in range(40):
    casiab_tree.write_pngs(
      root, (f"{i + 1:03d}", "nm-01", "000"), casiab_tree.silhouettes(i, 1)
    )
  subject = {"first": "001", "later": "040"}[where]
  path = root / subject / "nm-01" / "000" / f"{subject}-nm-01-000-001.png"
  good = path.read_bytes()
  path.write_bytes(good[:-20])
  message = mistakes.message(prepare, root, prepared)
  assert str(path) in message and "cut short" in message
  assert not leftovers(prepared)
  path.write_bytes(good)
  assert len(builds.read(prepare(root, prepared))["train"]) == 40


def test_bad_pickles_stop_the_build_and_run_nothing(tmp_path):
  root, prepared = tmp_path / "tree", tmp_path / "prepared"
  target = tmp_path / "it_ran"
  casiab_tree.write_pickle(
    root, casiab_tree.KEYS[0], casiab_tree.silhouettes(0)
  )
  path = casiab_tree.write_pickle(
    root, casiab_tree.KEYS[2], casiab_tree.silhouettes(0)
  )
  good = path.read_bytes()
  attack = f"cposix\nsystem\n(S'touch {target}'\ntR.".encode()
  for data, text in [
    (attack, "posix.system"),
    (good[:-9], "whole"),
    (b"", "empty"),
    (pickle.dumps(np.zeros((2, 120, 88), np.uint8)), "120 x 88"),
  ]:
    path.write_bytes(data)
    message = mistakes.message(prepare, root, prepared)
    assert str(path) in message and text in message
    assert not leftovers(prepared)
    assert not target.exists()


def test_unreadable_files_are_named(tmp_path):
  link = casiab_tree.folder(tmp_path / "tree", casiab_tree.KEYS[0]) / "000.pkl"
  link.symlink_to(tmp_path / "none")
  assert "000.pkl: cannot be read" in mistakes.message(
    prepare, tmp_path / "tree", tmp_path / "p"
  )


def test_where_prepared_data_cannot_be_written(tmp_path):
  casiab_tree.write_pickle(
    tmp_path / "tree", casiab_tree.KEYS[0], casiab_tree.silhouettes(0)
  )
  (tmp_path / "file").write_text("not a folder")
  message = mistakes.message(prepare, tmp_path / "tree", tmp_path / "file")
  assert "cannot be written" in message


def test_the_fingerprint_follows_the_source(tmp_path):
  root = tmp_path / "tree"
  path = casiab_tree.write_pickle(
    root, casiab_tree.KEYS[0], casiab_tree.silhouettes(0)
  )
  casiab_tree.write_pickle(
    root, casiab_tree.KEYS[2], casiab_tree.silhouettes(0)
  )

  def name(root=root, **kwargs):
    return casiab_dataset_builder.Builder.from_tree(
      root, tmp_path / "p", **kwargs
    ).data_dir

  first = name()
  assert name() == first
  assert name(train_subjects=("001",)) != first
  seen = {first, name(train_subjects=("075",)), name(test_subjects=("001",))}
  status = path.stat()
  os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns + 1))
  seen.add(name())
  path.write_bytes(path.read_bytes() + b" ")
  os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
  seen.add(name())
  path.rename(path.parent / "other.pkl")
  seen.add(name())
  casiab_tree.write_pickle(
    root, casiab_tree.KEYS[1], casiab_tree.silhouettes(0)
  )
  seen.add(name())
  root.rename(tmp_path / "other")
  seen.add(name(tmp_path / "other"))
  assert len(seen) == 8


def test_changed_files_are_read_anew(tmp_path):
  path = casiab_tree.write_pickle(
    tmp_path / "tree", casiab_tree.KEYS[0], casiab_tree.silhouettes(0)
  )
  status = path.stat()
  for seed in (0, 1):
    path.write_bytes(pickle.dumps(casiab_tree.silhouettes(seed)))
    os.utime(path, ns=(0, status.st_mtime_ns + seed))
    found = builds.read(prepare(tmp_path / "tree", tmp_path / "prepared"))
    np.testing.assert_array_equal(
      found["train"][casiab_tree.NAMES[0]], casiab_tree.silhouettes(seed)
    )


def test_prepared_data_are_reused(tmp_path, monkeypatch):
  path = casiab_tree.write_pickle(
    tmp_path / "tree", casiab_tree.KEYS[0], casiab_tree.silhouettes(0)
  )
  prepare(tmp_path / "tree", tmp_path / "prepared")

  def fail(*_):
    raise AssertionError("read again")

  monkeypatch.setattr(frames, "read_sequence", fail)
  found = builds.read(prepare(tmp_path / "tree", tmp_path / "prepared"))
  np.testing.assert_array_equal(
    found["train"][casiab_tree.NAMES[0]], casiab_tree.silhouettes(0)
  )
  # Without the source, the only build there is taken.
  path.unlink()
  found = builds.read(prepare("", tmp_path / "prepared"))
  np.testing.assert_array_equal(
    found["train"][casiab_tree.NAMES[0]], casiab_tree.silhouettes(0)
  )
  assert "0 prepared" in mistakes.message(
    prepare, "", tmp_path / "prepared", train_subjects=("001",)
  )


def test_without_a_root_one_build_is_needed(tmp_path):
  prepared = tmp_path / "prepared"
  assert "0 prepared" in mistakes.message(prepare, "", prepared)
  casiab_tree.write_pickle(
    tmp_path / "tree", casiab_tree.KEYS[0], casiab_tree.silhouettes(0)
  )
  find = casiab_dataset_builder.Builder.from_tree
  builder = prepare(
    tmp_path / "tree", prepared, train_subjects=("001",), test_subjects=("002",)
  )
  assert find("", prepared).data_dir == builder.data_dir
  prepare(tmp_path / "tree", prepared, partition="halves")
  assert "2 prepared" in mistakes.message(prepare, "", prepared)
  assert find("", prepared, ("001",), ("002",)).data_dir == builder.data_dir
  # Nothing else was asked for than the division of the data set.
  own = prepare(tmp_path / "tree", prepared)
  assert find("", prepared).data_dir == own.data_dir
  assert find("", prepared, ("001",), ("002",)).data_dir == builder.data_dir
  casiab_tree.write_pickle(
    tmp_path / "tree", casiab_tree.KEYS[1], casiab_tree.silhouettes(1)
  )
  prepare(tmp_path / "tree", prepared)
  assert "4 prepared" in mistakes.message(prepare, "", prepared)


def test_an_interrupted_build_is_not_reused(tmp_path):
  root, prepared = tmp_path / "tree", tmp_path / "prepared"
  for i in range(4):
    casiab_tree.write_pickle(
      root, (f"{i + 1:03d}", "nm-01", "000"), casiab_tree.silhouettes(i)
    )
  program = textwrap.dedent("""
    import os, signal, sys
    from data_pipelines import frames
    from data_pipelines.casiab import casiab_dataset_builder
    read = frames.read_sequence
    def stop(folder, *arguments):
      if folder.subject == "003":
        os.kill(os.getpid(), signal.SIGKILL)
      return read(folder, *arguments)
    frames.read_sequence = stop
    builder = casiab_dataset_builder.Builder.from_tree(*sys.argv[1:])
    builder.download_and_prepare()
  """)
  done = command.run(str(root), str(prepared), program=("-c", program))
  assert done.returncode == -9
  assert leftovers(prepared)  # It was killed while it wrote.
  with pytest.raises(UserError, match="0 prepared"):
    casiab_dataset_builder.Builder.from_tree("", prepared)
  found = builds.read(prepare(root, prepared))
  assert len(found["train"]) == 4


def test_an_incomplete_folder_is_not_taken_for_prepared(tmp_path):
  casiab_tree.write_pickle(
    tmp_path / "tree", casiab_tree.KEYS[0], casiab_tree.silhouettes(0)
  )
  builder = casiab_dataset_builder.Builder.from_tree(
    tmp_path / "tree", tmp_path / "prepared"
  )
  pathlib.Path(builder.data_dir).mkdir(parents=True)
  assert "incomplete; delete" in mistakes.message(
    prepare, tmp_path / "tree", tmp_path / "prepared"
  )
