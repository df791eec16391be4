"""Stores of what teachers said, and training from them."""

import functools
import itertools
import json
import os
import shutil
import signal
import time

import jax
import numpy as np
import pytest

from data_pipelines import training
from gaitkd_jax import checkpoint
from gaitkd_jax import config as config_lib
from gaitkd_jax import distill
from gaitkd_jax import errors
from gaitkd_jax import models
from gaitkd_jax import sharding
from gaitkd_jax.distill import cache as cache_lib
from gaitkd_jax.distill.cache import precompute
from gaitkd_jax.training import optim
from gaitkd_jax.training import step as step_lib
from tests.helpers import configs
from tests.helpers import processes

VIEWS = 2
STEPS = 3


def make_config(prepared, trained, **changes):
  """The smoke config with two teachers of `trained`, and few views."""
  config = configs.smoke_config(prepared).copy_and_resolve_references()
  with config.unlocked():
    config.teachers.gaitbase = config_lib.teacher(
      config.model.copy_and_resolve_references()
    )
    for name, teacher in config.teachers.items():
      teacher.checkpoint = f"{trained}/{name}"
    config.batch.identities = 8
    config.cache.views = VIEWS
    config.cache.dtype = "float32"
    config.update_from_flattened_dict(changes)
  return config


def contents(folder):
  return {
    str(path.relative_to(folder)): path.read_bytes()
    for path in sorted(folder.rglob("*"))
    if path.is_file()
  }


def with_stores(config, folder):
  """The config of a training with the stores of `folder`."""
  config = config.copy_and_resolve_references()
  for name, teacher in config.teachers.items():
    teacher.cache = str(folder / name)
  return config


def open_stores(config, folder, frozen=None):
  """Opens stores of `folder` as training does."""
  config = with_stores(config, folder)
  split = training.training_split(config)
  data = cache_lib.describe_data(config.data, split)
  return cache_lib.open_stores(config, data, frozen or {}), split


def restored(config):
  teachers = distill.create_teachers(config.teachers)
  mesh = sharding.create_mesh()
  return teachers, distill.restore_teachers(config, teachers, mesh)


def batches_of(config, split):
  return training.train_batches(config, split, 0, cached=True)


@pytest.fixture(scope="module")
def trained(prepared, tmp_path_factory):
  """Checkpoints of two small teachers with random variables."""
  folder = tmp_path_factory.mktemp("trained")
  for name, teacher in make_config(prepared, folder).teachers.items():
    module = models.create_model(teacher.model)
    variables = jax.jit(functools.partial(models.init_variables, module))(
      jax.random.key(len(name))
    )
    checkpoint.save_model(folder / name, variables, {})
  return folder


@pytest.fixture(scope="module")
def filled(prepared, trained, tmp_path_factory):
  """A dense store of float32 of each of two teachers."""
  folder = tmp_path_factory.mktemp("filled")
  config = make_config(prepared, trained)
  return config, folder, precompute.fill(config, folder)


def test_the_store_is_what_is_promised(filled):
  config, folder, figures = filled
  stores, split = open_stores(config, folder, restored(config)[1])
  assert set(figures) == set(stores) == {"deepgaitv2", "gaitbase"}
  for name, store in stores.items():
    parts = {"deepgaitv2": 16, "gaitbase": 16}[name]
    width = store.header["arrays"]["embedding"]["shape"][-1]
    assert store.header["classes"] == 32 and store.header["largest"] == 0
    rows = store.rows(np.array([3, 0, 3]), np.array([1, 0, 1]))
    assert rows["embedding"].shape == (3, parts, width)
    np.testing.assert_array_equal(rows["logits"][0], rows["logits"][2])
    expected = VIEWS * 4 * parts * (width + 32)
    assert figures[name]["bytes_per_sequence"] == expected
    stored = sum(p.stat().st_size for p in (folder / name).glob("*.npy"))
    assert stored == expected * len(split) + 2 * 128
    assert figures[name]["absolute"] == figures[name]["divergence"] == 0


def test_rows_are_what_the_teacher_says_of_the_views(filled):
  config, folder, _ = filled
  teachers, frozen = restored(config)
  stores, split = open_stores(config, folder)
  batch = next(cache_lib.attach(batches_of(config, split), stores))
  said = jax.jit(functools.partial(distill.teacher_outputs, teachers))(
    frozen, {"silhouettes": batch["silhouettes"]}
  )
  for name in stores:
    found = cache_lib.outputs(batch, name, 32)
    assert found.keys() == {"embedding", "logits"}
    for key, value in found.items():
      np.testing.assert_allclose(value, said[name][key], atol=2e-5)
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
  stores, split = open_stores(config, folder, frozen)
  expected = losses_of(
    config, mesh, batches_of(config, split), teachers, frozen
  )
  cached = cache_lib.look_up(with_stores(config, folder), teachers)
  batches = cache_lib.attach(batches_of(config, split), stores)
  found = losses_of(config, mesh, batches, cached, {})
  for ours, theirs in zip(found, expected, strict=True):
    assert ours.keys() == theirs.keys()
    assert {"decision/gaitbase", "boundary/deepgaitv2"} < ours.keys()
    for key, value in theirs.items():
      np.testing.assert_allclose(ours[key], value, 1e-5, 1e-5, err_msg=key)
      assert key != "loss" or value > 1


def test_one_device_fills_what_eight_do(filled, tmp_path, monkeypatch):
  config, folder, _ = filled
  one = functools.partial(sharding.create_mesh, 1)
  monkeypatch.setattr(sharding, "create_mesh", one)
  precompute.fill(config, tmp_path)
  for path in folder.rglob("*.npy"):
    ours = np.load(tmp_path / path.relative_to(folder))
    np.testing.assert_allclose(ours, np.load(path), atol=2e-5)


FILL = """
import sys
import jax
jax.config.update("jax_platforms", "cpu")
jax.config.update("jax_num_cpu_devices", int(sys.argv[4]))
if len(sys.argv) > 5:
  port, process = sys.argv[5:]
  jax.distributed.initialize(f"localhost:{port}", 2, int(process))
from gaitkd_jax.distill.cache import precompute
from tests.distill.cache import test_store
config = test_store.make_config(sys.argv[1], sys.argv[2])
precompute.fill(config, sys.argv[3])
"""


def test_a_killed_run_goes_on_with_the_same_bytes(
  filled, prepared, trained, tmp_path
):
  _, folder, _ = filled
  killed, log = tmp_path / "killed", tmp_path / "log"
  process = processes.start(FILL, log, prepared, trained, killed, 8)
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
    open_stores(config, killed)
  assert "\n" not in str(e.value)
  # Rows behind the mark may be anything.
  rows = np.lib.format.open_memmap(killed / "gaitbase" / "logits.npy", "r+")
  rows[state["done"] :] = 7
  rows.flush()
  precompute.fill(config, killed)
  assert contents(killed) == contents(folder)
  open_stores(config, killed)


def test_a_run_may_be_stopped_at_any_moment(filled, tmp_path, monkeypatch):
  """Also between the header, the arrays and the mark of progress."""
  config, folder, _ = filled
  header = json.loads((folder / "gaitbase" / "header.json").read_text())

  class StoppedError(Exception):
    pass

  for moment in range(4):
    calls = itertools.count()

    def stop(*arguments, real, calls=calls, moment=moment, **options):
      if next(calls) == moment:
        raise StoppedError
      return real(*arguments, **options)

    with monkeypatch.context() as patch:
      for name in ("fsync", "posix_fallocate"):
        patch.setattr(os, name, functools.partial(stop, real=getattr(os, name)))
      with pytest.raises(StoppedError):
        cache_lib.Writer(tmp_path / str(moment), header)
    writer = cache_lib.Writer(tmp_path / str(moment), header)
    assert writer.done == 0 and writer.total == 640


@pytest.mark.slow
def test_two_processes_fill_what_one_does(filled, prepared, trained, tmp_path):
  _, folder, _ = filled
  processes.run_two(FILL, tmp_path, prepared, trained, tmp_path / "both", 4)
  for path in folder.rglob("*.npy"):
    ours = np.load(tmp_path / "both" / path.relative_to(folder))
    np.testing.assert_allclose(ours, np.load(path), atol=2e-5)
  open_stores(filled[0], tmp_path / "both")


def test_a_finished_store_is_left_alone(filled, capsys):
  config, folder, _ = filled
  before = contents(folder)
  precompute.fill(config, folder)
  assert contents(folder) == before
  assert "0 of 640 views" in capsys.readouterr().out


@pytest.mark.parametrize(
  "changes, words",
  [
    ({"seed": 1}, "seed 0, and now it is 1"),
    ({"clip.frames": 5}, "clip.frames 6, and now it is 5"),
    ({"clip.kind": "fixed_unordered"}, "clip.kind"),
    ({"augment.flip": 0.5}, "augment.flip 0.2, and now it is 0.5"),
    ({"cache.views": 3}, "views 2, and now it is 3"),
    ({"teachers.gaitbase.model.embedding_dim": 9}, "model.embedding_dim 16"),
    ({"dtype": "bfloat16"}, 'dtype "float32", and now it is "bfloat16"'),
  ],
  ids=str,
)
def test_another_config_is_refused(filled, changes, words):
  config, folder, _ = filled
  other = config.copy_and_resolve_references()
  other.update_from_flattened_dict(changes)
  with pytest.raises(errors.UserError, match=words) as e:
    open_stores(other, folder)
  assert "\n" not in str(e.value) and str(folder) in str(e.value)


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


def test_another_teacher_is_refused(filled):
  config, folder, _ = filled
  _, frozen = restored(config)
  other = jax.tree.map(np.array, frozen)
  first = jax.tree.leaves(other["gaitbase"]["params"])[0]
  first.flat[0] = np.nextafter(first.flat[0], 1)
  with pytest.raises(errors.UserError, match="another checkpoint") as e:
    open_stores(config, folder, other)
  assert "\n" not in str(e.value) and "gaitbase" in str(e.value)
  open_stores(config, folder, {"deepgaitv2": other["deepgaitv2"]})


def test_other_data_are_refused(filled, monkeypatch):
  config, folder, _ = filled
  real = training.training_split

  def changed(config):
    split = real(config)
    split.lengths[5] += 1
    return split

  monkeypatch.setattr(training, "training_split", changed)
  with pytest.raises(errors.UserError, match="other training sequences") as e:
    open_stores(config, folder)
  assert "\n" not in str(e.value)


@pytest.mark.parametrize(
  "file, damage, words",
  [
    ("logits.npy", "short", "cannot be read"),
    ("logits.npy", "gone", "cannot be read"),
    ("logits.npy", "other", "float32 .*cannot|cannot be read .it is float64"),
    ("header.json", "short", "cannot be read"),
    ("header.json", "gone", "no store"),
    ("progress.json", "short", "cannot be read"),
    ("progress.json", "gone", "0 of 640 rows"),
  ],
)
def test_a_damaged_store_is_refused(filled, tmp_path, file, damage, words):
  config, folder, _ = filled
  for name in config.teachers:
    shutil.copytree(folder / name, tmp_path / name)
  path = tmp_path / "gaitbase" / file
  if damage == "short":
    path.write_bytes(path.read_bytes()[:-5])
  elif damage == "gone":
    path.unlink()
  else:
    np.save(path, np.zeros(3))
  with pytest.raises(errors.UserError, match=words) as e:
    open_stores(config, tmp_path)
  assert "\n" not in str(e.value) and str(tmp_path) in str(e.value)


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
  figures = precompute.fill(small, tmp_path)
  stores, split = open_stores(small, tmp_path)
  exact, _ = open_stores(config, folder)
  batch = next(batches_of(config, split))
  ours, theirs = (next(cache_lib.attach([batch], s)) for s in (stores, exact))
  for name in stores:
    size = figures[name]["bytes_per_sequence"]
    assert size < 0.45 * dense[name]["bytes_per_sequence"]
    assert 0 < figures[name]["absolute"] < 0.05
    a, b = (cache_lib.outputs(x, name, 32) for x in (ours, theirs))
    np.testing.assert_allclose(a["embedding"], b["embedding"], 1e-3, 1e-6)
    top = np.argsort(-b["logits"], axis=-1)[..., :8]
    a, b = (np.take_along_axis(x["logits"], top, -1) for x in (a, b))
    np.testing.assert_allclose(a, b, rtol=1e-3, atol=1e-4)
  # How rows are stored is the store's matter; what they were made for not.
  open_stores(config, tmp_path)
  with pytest.raises(errors.UserError, match="temperature 4.0, and now .* 2.0"):
    other = config.copy_and_resolve_references()
    other.teachers.gaitbase.temperature = 2.0
    open_stores(other, tmp_path)
  open_stores(other, folder)
