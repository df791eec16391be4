"""Clips that are written for networks of other programs."""

import json
import os
import signal

import jax
import numpy as np
import pytest

from data_pipelines import training
from gaitkd_jax import errors
from gaitkd_jax import storage
from gaitkd_jax.distill.cache import clips as clips_lib
from gaitkd_jax.distill.cache import precompute
from gaitkd_jax.distill.cache import shards
from gaitkd_jax.hosts import stopping
from tests.helpers import imported
from tests.helpers import mistakes
from tests.helpers import teacher_cache


@pytest.fixture(scope="module")
def written(prepared, tmp_path_factory):
  """The config, and the folder of its clips."""
  config = teacher_cache.make_config(prepared, "")
  with pytest.MonkeyPatch.context() as patch:
    folder = tmp_path_factory.mktemp("written")
    return config, imported.write_clips(config, folder, patch)


def test_they_are_those_of_training(written):
  config, folder = written
  files = imported.read_clips(folder)
  assert list(files) == ["clips-00000", "clips-00001", "clips-00002"]
  of_all = {
    key: np.concatenate([arrays[key] for arrays in files.values()])
    for key in files["clips-00000"]
    if key not in ("seed", "digest")
  }
  split = training.training_split(config)
  np.testing.assert_array_equal(of_all["row"], np.arange(len(split) * 2))
  np.testing.assert_array_equal(of_all["names"], split.names.repeat(2))
  np.testing.assert_array_equal(of_all["labels"], split.labels.repeat(2))
  batches = teacher_cache.batches_of(config, split)
  for _ in range(2):
    batch = next(batches)
    row = batch["sequence"] * teacher_cache.CLIPS + batch["clip"]
    for key, values in batch.items():
      np.testing.assert_array_equal(of_all[key][row], values, err_msg=key)
  assert of_all["silhouettes"].dtype == np.uint8
  header, progress = (
    json.loads((folder / f"{name}.json").read_text())
    for name in ("header", "progress")
  )
  assert (progress["done"], progress["total"]) == (640, 640)
  for arrays, digest in zip(files.values(), progress["digests"], strict=True):
    assert arrays.pop("digest").tobytes().hex() == digest
    assert shards.digest(arrays) == digest
    assert arrays["seed"] == config.seed == header["seed"]


def test_frames_say_where_they_are_in_the_sequence(
  prepared, tmp_path, monkeypatch
):
  """Without augmentation a clip is its frames, of a few or of many."""
  changes = {
    "clip.kind": "unfixed_unordered",
    "clip.skip": 4,
    "clip.frames": 30,
    "clip.min_frames": 3,
    "clip.max_frames": 7,
    "augment": {k: 0.0 for k in ("flip", "rotate", "erase", "affine")},
  }
  config = teacher_cache.make_config(prepared, "")
  with config.unlocked():
    config.augment.update(changes.pop("augment"))
    config.augment.perspective = 0.0
    config.update_from_flattened_dict(changes)
  folder = imported.write_clips(config, tmp_path, monkeypatch)
  arrays = imported.read_clips(folder)["clips-00001"]
  split = training.training_split(config)
  assert set(arrays["lengths"]) == {3, 4, 5, 6, 7}
  for i in range(0, len(arrays["row"]), 29):
    frames, length = arrays["frames"][i], arrays["lengths"][i]
    assert (frames[length:] == -1).all() and (frames[:length] >= 0).all()
    assert not arrays["silhouettes"][i, length:].any()
    record = split.read(int(arrays["sequence"][i]))
    pixels = split.decode(record, frames[:length].astype(np.int64))
    expected = pixels["silhouettes"].numpy()[..., 10:54]
    np.testing.assert_array_equal(arrays["silhouettes"][i, :length], expected)
    assert expected.any()


def test_a_stopped_run_goes_on_with_the_same_bytes(
  written, tmp_path, monkeypatch
):
  config, folder = written
  asked = iter([True])
  real = stopping.reached

  def reached():
    if next(asked, False):
      os.kill(os.getpid(), signal.SIGTERM)
    return real()

  with monkeypatch.context() as patch:
    patch.setattr(stopping, "reached", reached)
    with pytest.raises(errors.Stopped, match="after 224 of 640 clips"):
      imported.write_clips(config, tmp_path, patch)
  # Between a file and the record of it.
  real_write = storage.write_bytes

  def killed(place, content):
    real_write(place, content)
    raise KeyboardInterrupt

  with monkeypatch.context() as patch:
    patch.setattr(storage, "write_bytes", killed)
    with pytest.raises(KeyboardInterrupt):
      imported.write_clips(config, tmp_path, patch)
  assert "224 of 640 clips; start" in mistakes.message(
    shards.Index.open, tmp_path / "clips"
  )
  (tmp_path / "clips" / "clips-00001.npz").write_bytes(b"half")
  imported.write_clips(config, tmp_path, monkeypatch)
  contents = teacher_cache.contents
  assert contents(tmp_path / "clips") == contents(folder)


def test_what_does_not_fit_is_one_line(written, tmp_path, monkeypatch):
  config, folder = written
  other = config.copy_and_resolve_references()
  with other.unlocked():
    other.seed, other.cache.clips_only = 1, True
  text = mistakes.message(
    imported.write_clips, other, folder.parent, monkeypatch
  )
  assert "seed 0, and now it is 1" in text
  # The mode of the command line writes clips, too, and needs no teachers.
  with other.unlocked():
    other.seed, other.teachers = 0, {}
  assert precompute.fill(other, folder.parent)["clips"]["bytes_per_clip"] == 0
  monkeypatch.setattr(jax, "process_count", lambda: 2)
  assert "one process" in mistakes.message(clips_lib.fill, config, tmp_path)
  monkeypatch.undo()
  assert "no clips in" in mistakes.message(shards.Index.open, tmp_path)
  index = shards.Index.open(folder)
  assert index.total == 640 and index.rows(2) == (448, 640)
  copy = tmp_path / "copy"
  copy.mkdir()
  for path in folder.glob("*.json"):
    (copy / path.name).write_bytes(path.read_bytes())
  assert "lacks clips-00000.npz" in mistakes.message(
    shards.Writer, copy, index.header
  )


def test_clips_may_be_in_a_store(written, bucket, monkeypatch):
  config, folder = written
  monkeypatch.setattr(clips_lib, "_SHARD_BYTES", 2**22)
  clips_lib.fill(config, f"{bucket.url}/run")
  for path in folder.iterdir():
    assert bucket.read(f"run/clips/{path.name}") == path.read_bytes()
