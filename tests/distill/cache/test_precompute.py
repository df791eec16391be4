"""Stores of teachers' outputs, and training from them."""

import functools
import itertools
import json
import os
import signal
import socket
import time

import jax
import numpy as np
import pytest

from gaitkd_jax import distill
from gaitkd_jax import errors
from gaitkd_jax import models
from gaitkd_jax import sharding
from gaitkd_jax.distill import cache as cache_lib
from gaitkd_jax.distill.cache import precompute
from gaitkd_jax.hosts import stopping
from gaitkd_jax.training import optim
from gaitkd_jax.training import step as step_lib
from tests.helpers import teacher_cache
from tests.helpers import untrained

STEPS = 3


def test_the_store_is_what_is_promised(filled):
  config, folder, metrics = filled
  stores, split = teacher_cache.open_stores(
    config, folder, teacher_cache.restored(config)[1]
  )
  assert set(metrics) == set(stores) == {"deepgaitv2", "gaitbase"}
  for name, store in stores.items():
    parts = {"deepgaitv2": 16, "gaitbase": 16}[name]
    width = store.header["arrays"]["embedding"]["shape"][-1]
    assert store.header["classes"] == 32 and store.header["largest"] == 0
    rows = store.rows(np.array([3, 0, 3]), np.array([1, 0, 1]))
    assert rows["embedding"].shape == (3, parts, width)
    np.testing.assert_array_equal(rows["logits"][0], rows["logits"][2])
    sides = width // 8
    expected = teacher_cache.CLIPS * parts * (4 * (width + 32) + sides)
    assert metrics[name]["bytes_per_sequence"] == expected
    stored = sum(p.stat().st_size for p in (folder / name).glob("*.npy"))
    assert stored == expected * len(split) + 3 * 128
    assert metrics[name]["absolute"] == metrics[name]["divergence"] == 0


def test_rows_are_what_the_teacher_says_of_the_clips(filled):
  config, folder, _ = filled
  teachers, frozen = teacher_cache.restored(config)
  stores, split = teacher_cache.open_stores(config, folder)
  batch = next(
    cache_lib.attach(teacher_cache.batches_of(config, split), stores)
  )
  expected = jax.jit(functools.partial(distill.teacher_outputs, teachers))(
    frozen, {"silhouettes": batch["silhouettes"]}
  )
  for name in stores:
    found = cache_lib.outputs(batch, name, 32)
    assert found.keys() == {"embedding", "logits", "neck"}
    np.testing.assert_array_equal(found["neck"] > 0, expected[name]["neck"] > 0)
    assert 0.1 < np.mean(found["neck"] > 0) < 0.9
    for key in ("embedding", "logits"):
      value = found[key]
      np.testing.assert_allclose(value, expected[name][key], atol=2e-5)
      assert np.std(value) > 1e-3


def losses_of(config, mesh, batches, teachers, frozen):
  module = models.create_model(config.model)
  objective = distill.create_objective(module, teachers)
  optimizer, schedule = optim.create_optimizer(config.optim)
  state = step_lib.make_init(module, optimizer, mesh, objective)(
    jax.random.key(0)
  )
  step = step_lib.make_train_step(
    module, optimizer, schedule, config.losses, objective, mesh
  )
  found = []
  for batch in itertools.islice(batches, STEPS):
    state, metrics = step(state, frozen, sharding.put_batch(batch, mesh))
    found.append(jax.device_get(metrics))
  return found


@pytest.mark.slow
def test_losses_equal_those_with_teachers_on_the_device(filled):
  config, folder, _ = filled
  mesh = sharding.create_mesh()
  teachers = distill.create_teachers(config.teachers)
  frozen = distill.restore_teachers(config, teachers, mesh)
  stores, split = teacher_cache.open_stores(config, folder, frozen)
  expected = losses_of(
    config, mesh, teacher_cache.batches_of(config, split), teachers, frozen
  )
  cached = cache_lib.look_up(
    teacher_cache.with_stores(config, folder), teachers
  )
  batches = cache_lib.attach(teacher_cache.batches_of(config, split), stores)
  found = losses_of(config, mesh, batches, cached, {})
  for cached_metrics, metrics in zip(found, expected, strict=True):
    assert cached_metrics.keys() == metrics.keys()
    assert {"decision/gaitbase", "boundary/deepgaitv2"} < metrics.keys()
    for key, value in metrics.items():
      np.testing.assert_allclose(
        cached_metrics[key], value, 1e-5, 1e-5, err_msg=key
      )
      assert key != "loss" or value > 1


@pytest.mark.slow
def test_one_device_fills_what_eight_do(filled, tmp_path, monkeypatch):
  config, folder, _ = filled
  one = functools.partial(sharding.create_mesh, 1)
  monkeypatch.setattr(sharding, "create_mesh", one)
  precompute.fill(config, tmp_path)
  for path in folder.rglob("*.npy"):
    stored = np.load(tmp_path / path.relative_to(folder))
    np.testing.assert_allclose(stored, np.load(path), atol=2e-5)


@pytest.mark.slow
def test_split_classes_fill_what_whole_ones_do(filled, tmp_path):
  config, folder, _ = filled
  changes = {"sharding.classifier": "split"}
  precompute.fill(untrained.changed(config, **changes), tmp_path)
  for path in folder.rglob("*.npy"):
    stored = np.load(tmp_path / path.relative_to(folder))
    np.testing.assert_allclose(stored, np.load(path), atol=2e-5)
  for name in config.teachers:
    of_whole, of_split = (
      json.loads((place / name / "header.json").read_text())["digest"]
      for place in (folder, tmp_path)
    )
    assert of_whole == of_split


@pytest.mark.slow
def test_a_killed_run_goes_on_with_the_same_bytes(
  filled, prepared, trained, tmp_path
):
  _, folder, _ = filled
  killed, log = tmp_path / "killed", tmp_path / "log"
  process = teacher_cache.start_filling(log, prepared, trained, killed, 8)
  progress = killed / "gaitbase" / "progress.json"
  try:
    deadline = time.monotonic() + 300
    while not (progress.exists() and json.loads(progress.read_text())["done"]):
      assert process.poll() is None and time.monotonic() < deadline, (
        log.read_text()
      )
      time.sleep(0.002)
    process.send_signal(signal.SIGKILL)
  finally:
    process.kill()
    process.wait()
  state = json.loads(progress.read_text())
  assert 0 < state["done"] < state["total"]
  complete = json.loads((killed / "deepgaitv2" / "progress.json").read_text())
  assert complete["done"] == complete["total"]
  config = filled[0]
  with pytest.raises(errors.UserError, match="of 640 rows; start") as e:
    teacher_cache.open_stores(config, killed)
  assert "\n" not in str(e.value)
  # Rows behind the mark may be anything.
  rows = np.lib.format.open_memmap(killed / "gaitbase" / "logits.npy", "r+")
  rows[state["done"] :] = 7
  rows.flush()
  precompute.fill(config, killed)
  assert teacher_cache.contents(killed) == teacher_cache.contents(folder)
  teacher_cache.open_stores(config, killed)


def test_a_stopped_run_goes_on_with_the_same_bytes(
  filled, tmp_path, monkeypatch
):
  config, folder, _ = filled
  asked = iter([False, True])
  real = stopping.reached

  def reached():
    if next(asked, False):
      os.kill(os.getpid(), signal.SIGTERM)
    return real()

  monkeypatch.setattr(stopping, "reached", reached)
  with pytest.raises(errors.Stopped, match="stopped by SIGTERM after ") as e:
    precompute.fill(config, tmp_path)
  assert e.value.saved
  (progress,) = tmp_path.glob("*/progress.json")
  clips = config.batch.identities * config.batch.sequences
  assert json.loads(progress.read_text())["done"] == 2 * clips
  precompute.fill(config, tmp_path)
  assert teacher_cache.contents(tmp_path) == teacher_cache.contents(folder)


@pytest.mark.slow
def test_two_processes_fill_what_one_does(filled, prepared, trained, tmp_path):
  _, folder, _ = filled
  with socket.socket() as s:
    s.bind(("localhost", 0))
    port = s.getsockname()[1]
  logs = [tmp_path / f"{i}.log" for i in range(2)]
  processes = [
    teacher_cache.start_filling(
      log, prepared, trained, tmp_path / "both", 4, port, i
    )
    for i, log in enumerate(logs)
  ]
  try:
    for process, log in zip(processes, logs, strict=True):
      assert process.wait(timeout=600) == 0, log.read_text()
  finally:
    for process in processes:  # if one died, the other waits for it
      process.kill()
  for path in folder.rglob("*.npy"):
    stored = np.load(tmp_path / "both" / path.relative_to(folder))
    np.testing.assert_allclose(stored, np.load(path), atol=2e-5)
  teacher_cache.open_stores(filled[0], tmp_path / "both")


def test_a_finished_store_is_left_alone(filled, capsys):
  config, folder, _ = filled
  before = teacher_cache.contents(folder)
  precompute.fill(config, folder)
  assert teacher_cache.contents(folder) == before
  assert "0 of 640 clips" in capsys.readouterr().out


def test_two_stores_are_not_mixed(filled):
  config, folder, _ = filled
  for changes, words in (
    ({"seed": 1}, "seed 0, and now it is 1"),
    ({"cache.dtype": "float16"}, 'arrays.embedding.dtype "float32"'),
    ({"cache.logits": 3}, "largest 0, and now it is 3"),
  ):
    other = config.copy_and_resolve_references()
    other.update_from_flattened_dict(changes)
    with pytest.raises(errors.UserError, match=words):
      precompute.fill(other, folder)


def test_bad_settings_are_refused(filled, tmp_path):
  config, folder, _ = filled
  for changes, words in (
    ({"cache.logits": 32}, "32, but teacher deepgaitv2 has 32 logits"),
    ({"cache.dtype": "int8"}, "cache.dtype"),
    ({"cache.views": 0}, "cache.views"),
    ({"teachers.gaitbase.checkpoint": ""}, "no checkpoint"),
    ({f"teachers.{n}.cache": "x" for n in config.teachers}, "has none"),
  ):
    other = config.copy_and_resolve_references()
    other.update_from_flattened_dict(changes)
    with pytest.raises(errors.UserError, match=words):
      precompute.fill(other, tmp_path)
  header = json.loads((folder / "gaitbase" / "header.json").read_text())
  (tmp_path / "file").write_text("")
  with pytest.raises(errors.UserError, match="cannot be written"):
    cache_lib.Writer(tmp_path / "file" / "x", header)
  writer = cache_lib.Writer(tmp_path / "store", header)
  with pytest.raises(errors.UserError, match="not finite as float16"):
    writer.write(0, {"logits": np.full((1, 16, 32), np.inf, np.float16)})


def test_float16_and_largest_logits_make_small_stores(filled, tmp_path):
  config, folder, dense = filled
  changes = {"cache.dtype": "float16", "cache.logits": 8}
  small = config.copy_and_resolve_references()
  small.update_from_flattened_dict(changes)
  metrics = precompute.fill(small, tmp_path)
  stores, split = teacher_cache.open_stores(small, tmp_path)
  exact, _ = teacher_cache.open_stores(config, folder)
  batch = next(teacher_cache.batches_of(config, split))
  rounded, unrounded = (
    next(cache_lib.attach([batch], s)) for s in (stores, exact)
  )
  for name in stores:
    size = metrics[name]["bytes_per_sequence"]
    assert size < 0.45 * dense[name]["bytes_per_sequence"]
    assert 0 < metrics[name]["absolute"] < 0.05
    a, b = (cache_lib.outputs(x, name, 32) for x in (rounded, unrounded))
    np.testing.assert_allclose(a["embedding"], b["embedding"], 1e-3, 1e-6)
    top = np.argsort(-b["logits"], axis=-1)[..., :8]
    a, b = (np.take_along_axis(x["logits"], top, -1) for x in (a, b))
    np.testing.assert_allclose(a, b, rtol=1e-3, atol=1e-4)
  # How rows are stored is the store's matter; what they were made for not.
  teacher_cache.open_stores(config, tmp_path)
  with pytest.raises(errors.UserError, match="temperature 4.0, and now .* 2.0"):
    other = config.copy_and_resolve_references()
    other.teachers.gaitbase.temperature = 2.0
    teacher_cache.open_stores(other, tmp_path)
  teacher_cache.open_stores(other, folder)
