"""Everything that a training needs, made before its first step."""

import dataclasses

import jax
import pytest

from gaitkd_jax.training import run as run_lib
from tests.helpers import configs


@pytest.fixture(scope="module")
def run(prepared, folder):
  config = configs.smoke_config(prepared)
  return run_lib.prepare(config, folder / "prepared_run")


def test_a_run_is_frozen_and_complete(run):
  with pytest.raises(dataclasses.FrozenInstanceError):
    run.workdir = None
  assert run.workdir.is_dir()
  assert run.primary_metric == "mean/rank1"
  assert run.distillation.variables.keys() == {"deepgaitv2"}
  assert run.metadata["model"]["name"] == "gaitbase"
  assert len(run.metadata["classes"]) == 8
  assert run.metadata["classes"][0].startswith("walkers/")


def test_batches_are_a_function_of_the_step(run):
  with run.batches(0) as batches:
    next(batches)
    second = next(batches)
  with run.batches(1) as batches:
    again = next(batches)
  assert second.keys() == again.keys()
  for key, value in second.items():
    assert (value == again[key]).all()


def test_the_state_is_of_the_student_alone(run):
  state = jax.eval_shape(run.init_state, jax.random.key(0))
  names = {
    jax.tree_util.keystr(path) for path, _ in jax.tree.leaves_with_path(state)
  }
  assert any(".params" in name for name in names)
  assert not any("deepgaitv2" in name for name in names)
