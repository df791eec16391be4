"""Checkpoints in object stores: Google's by Orbax, Amazon's by copies."""

import time

import jax
import numpy as np
import pytest

from gaitkd_jax import checkpoint
from gaitkd_jax import checkpointer as checkpointer_lib
from gaitkd_jax import errors
from gaitkd_jax import failures
from gaitkd_jax import sharding
from tests.test_checkpoint import state_of

META = {"model": {"name": "small"}}


def save(folder, *steps, best=None):
  mesh = sharding.create_mesh(1)
  with checkpointer_lib.Checkpointer(folder, "rank1") as c:
    for i in steps:
      metrics = {"rank1": 50.0 - abs(i - best)} if best else None
      c.save(i, state_of(i, mesh), META, metrics)
    return c.best_step


def restore(folder):
  mesh = sharding.create_mesh(1)
  abstract = jax.eval_shape(lambda: state_of(0, mesh))
  with checkpointer_lib.Checkpointer(folder, "rank1") as c:
    return c.restore(abstract, sharding.replicated(mesh))


def finished(store, workdir):
  end = "/commit_success.txt"
  names = (n for n in store.names(f"{workdir}/checkpoints/") if n.endswith(end))
  return {int(n.split("/")[2]) for n in names if n.count("/") == 3}


def test_newest_and_best_are_kept_and_restored(any_bucket):
  workdir = f"{any_bucket.url}/run"
  assert checkpoint.newest_step(workdir) is None
  assert save(f"{workdir}/checkpoints", 1, 2, 3, 4, best=1) == 1
  assert finished(any_bucket, "run") == {1, 3, 4}
  # Of what is deleted nothing is left.
  assert {n.split("/")[2] for n in any_bucket.names()} == {"1", "3", "4"}
  assert checkpoint.newest_step(workdir) == 4
  assert checkpoint.restored_meta(workdir) == META
  state = restore(f"{workdir}/checkpoints")
  np.testing.assert_array_equal(state.params["fc"]["kernel"], 4.0)
  np.testing.assert_array_equal(state.opt_state[0], -4.0)
  before = len(any_bucket.proxy.requests)
  assert checkpoint.newest_step(workdir) == 4
  assert len(any_bucket.proxy.requests) - before <= 4
  # It goes on with what is there.
  assert save(f"{workdir}/checkpoints", 5, best=1) == 1
  assert finished(any_bucket, "run") == {1, 4, 5}


@pytest.mark.parametrize("place", ["run", "run/checkpoints/2"])
def test_a_model_is_read_from_workdir_folder_or_step(any_bucket, place):
  folder = f"{any_bucket.url}/run/checkpoints"
  mesh = sharding.create_mesh(1)
  checkpoint.save_model(folder, state_of(2, mesh).variables, META, 2)
  place = f"{any_bucket.url}/{place}"
  variables = state_of(0, mesh).variables
  found = checkpoint.restore_model(
    place,
    jax.eval_shape(lambda: variables),
    sharding.replicated(mesh),
  )
  np.testing.assert_array_equal(found["params"]["fc"]["kernel"], 2.0)
  assert checkpoint.restored_step(place) == 2
  assert checkpoint.restored_meta(place) == META
  taken = checkpoint.restore_matching(
    place, variables, sharding.replicated(mesh)
  )
  assert len(taken[1]) == 2 and not taken[2]


def test_what_a_killed_run_left_is_never_taken(any_bucket):
  folder = f"{any_bucket.url}/run/checkpoints"
  save(folder, 2)
  for name in any_bucket.names("run/checkpoints/2/"):
    if not name.endswith("checkpoints/2/commit_success.txt"):
      any_bucket.write(name.replace("/2/", "/3/", 1), any_bucket.read(name))
  assert checkpoint.newest_step(f"{any_bucket.url}/run") == 2
  with pytest.raises(errors.UserError, match="no checkpoint in"):
    checkpoint.restored_step(f"{folder}/3")
  np.testing.assert_array_equal(restore(folder).params["fc"]["kernel"], 2.0)
  save(folder, 3)
  assert finished(any_bucket, "run") == {2, 3}
  np.testing.assert_array_equal(restore(folder).params["fc"]["kernel"], 3.0)


def test_a_copy_from_a_disk_is_read(bucket, tmp_path):
  variables = state_of(7, sharding.create_mesh(1)).variables
  checkpoint.save_model(tmp_path, variables, META, 7)
  for file in tmp_path.rglob("*"):
    if file.is_file():
      name = file.relative_to(tmp_path).as_posix()
      bucket.write(f"teacher/{name}", file.read_bytes())
  found = checkpoint.restore_model(
    f"{bucket.url}/teacher",
    jax.eval_shape(lambda: variables),
    sharding.replicated(sharding.create_mesh(1)),
  )
  assert checkpoint.digest(found) == checkpoint.digest(variables)


# TensorStore's threads say so of a write that has failed; see cli.
@pytest.mark.filterwarnings(
  "ignore:Exception ignored in:pytest.PytestUnraisableExceptionWarning"
)
def test_a_store_that_refuses_is_one_line(any_bucket, capsys):
  folder = f"{any_bucket.url}/run/checkpoints"
  save(folder, 1)
  any_bucket.proxy.fail(403, "POST|PUT", "checkpoints/2")
  with pytest.raises(Exception) as e:
    save(folder, 2)
  reason = failures.reason(e.value) or str(e.value)
  assert "\n" not in reason
  # Why is said when it happens; training goes on.
  told = f"{reason} {capsys.readouterr().err}"
  assert any(w in told for w in ("does not have access", "denied")), told
  any_bucket.proxy.clear()
  assert checkpoint.newest_step(f"{any_bucket.url}/run") == 1
  any_bucket.proxy.fail(403, target="model")
  with pytest.raises(errors.UserError, match="cannot be read .*; correct that"):
    checkpoint.stored_shapes(folder)


def test_copies_are_tried_again(s3_bucket):
  """A step is whole in the store soon, though one try fails."""
  mesh = sharding.create_mesh(1)
  fault = s3_bucket.proxy.fail(403, "PUT", "checkpoints/1", times=1)
  with checkpointer_lib.Checkpointer(
    f"{s3_bucket.url}/run/checkpoints", "rank1"
  ) as c:
    c.save(1, state_of(1, mesh), META, None)
    end = time.monotonic() + 30
    while not finished(s3_bucket, "run") and time.monotonic() < end:
      time.sleep(0.1)
    assert fault.met.is_set() and finished(s3_bucket, "run") == {1}


def test_scores_that_are_added_later(any_bucket):
  mesh = sharding.create_mesh(1)
  folder = f"{any_bucket.url}/run/checkpoints"
  with checkpointer_lib.Checkpointer(folder, "rank1") as c:
    c.save(1, state_of(1, mesh), META, None, owes_scores=True)
  with checkpointer_lib.Checkpointer(folder, "rank1") as c:
    assert c.owes_scores and c.best_step is None
    c.add_scores(1, {"rank1": 50.0})
  assert finished(any_bucket, "run") == {1}
  with checkpointer_lib.Checkpointer(folder, "rank1") as c:
    assert not c.owes_scores and c.best_step == 1


def test_several_processes_need_another_place(monkeypatch):
  monkeypatch.setattr(jax, "process_count", lambda: 2)
  with pytest.raises(errors.UserError, match="gs:// or to a folder"):
    checkpoint.check_place("s3://gait/run")
  checkpoint.check_place("gs://gait/run")
  checkpoint.check_place("runs/x")
