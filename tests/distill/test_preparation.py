"""What a training needs of its teachers, made from a config."""

import numpy as np
import pytest

from data_pipelines import training
from gaitkd_jax import config as config_lib
from gaitkd_jax import distill
from gaitkd_jax import errors
from gaitkd_jax import models
from gaitkd_jax import sharding
from tests.helpers import configs
from tests.helpers import teacher_cache

SUBJECTS = [f"walkers/{i:03}" for i in range(32)]


def config_of(prepared, **changes):
  changes = {"teachers.deepgaitv2.checkpoint": "random"} | changes
  config = configs.smoke_config(prepared).copy_and_resolve_references()
  config.unlock()
  config.update_from_flattened_dict(changes)
  return config


def prepare(config):
  student = models.create_model(config.model)
  return distill.prepare(config, student, sharding.create_mesh())


def names(objective):
  return [term.name for term in objective.terms]


def test_a_config_without_teachers(prepared):
  config = configs.smoke_config(prepared, "walkers_baseline")
  ready = prepare(config)
  assert ready.teachers == {} and ready.variables == {}
  distillation = ready.with_data(None, SUBJECTS)
  assert distillation.objective is ready.objective
  assert names(distillation.objective) == []
  assert distillation.variables == distillation.stores == {}


def test_teachers_of_the_students_classes_are_ready_at_once(prepared):
  config = config_of(prepared)
  with config.unlocked():
    config.terms.kd = config_lib.term("kd")
  ready = prepare(config)
  assert names(ready.objective) == ["decision", "boundary", "kd"]
  distillation = ready.with_data(None, SUBJECTS)
  assert distillation.objective is ready.objective
  assert distillation.variables == ready.variables
  assert ready.variables.keys() == {"deepgaitv2"}


def test_mistakes_are_found_before_the_data(prepared):
  for changes, words in (
    ({"teachers.deepgaitv2.checkpoint": ""}, "deepgaitv2 has no checkpoint"),
    ({"teachers.deepgaitv2.model.name": "gait"}, "gait"),
    ({"model.embedding_dim": 7}, "7 channels"),
    ({"clip.kind": "fixed_unordered"}, "frames in their order"),
  ):
    with pytest.raises(errors.UserError, match=words) as e:
      prepare(config_of(prepared, **changes))
    assert "\n" not in str(e.value)
  config = config_of(prepared)
  with config.unlocked():
    config.terms.rival = config_lib.term("kd", teacher="nobody")
  with pytest.raises(errors.UserError, match="nobody is none"):
    prepare(config)


def test_other_classes_wait_for_the_data(prepared, tmp_path, capsys):
  (tmp_path / "names").write_text("003\n001\nx/1\n")
  config = config_of(
    prepared,
    **{
      "teachers.deepgaitv2.model.num_classes": 3,
      "teachers.deepgaitv2.classes": str(tmp_path / "names"),
    },
  )
  ready = prepare(config)
  assert ready.objective is None
  objective = ready.with_data(None, SUBJECTS).objective
  classes = objective.pairings["deepgaitv2"].classes
  np.testing.assert_array_equal(classes, ([1, 3], [1, 0]))
  assert "knows 2 of the student's 32" in capsys.readouterr().out


def test_a_cached_teacher_is_read_and_not_run(filled):
  config, folder, _ = filled
  config = teacher_cache.with_stores(config, folder)
  config.teachers.gaitbase.cache = ""
  split = training.training_split(config)
  subjects = training.class_names(config, split)
  ready = prepare(config)
  # Its checkpoint was read to check where the cache comes from.
  assert ready.variables.keys() == {"deepgaitv2", "gaitbase"}
  distillation = ready.with_data(split, subjects)
  assert distillation.stores.keys() == {"deepgaitv2"}
  assert distillation.variables.keys() == {"gaitbase"}
  batches = teacher_cache.batches_of(config, split)
  batch = next(iter(distillation.attach(batches)))
  teacher = distillation.objective.teachers["deepgaitv2"]
  found = teacher.lookup(batch)
  rows = distillation.stores["deepgaitv2"].rows(
    batch["sequence"], batch["clip"]
  )
  for key in ("embedding", "logits"):
    np.testing.assert_array_equal(found[key], rows[key])
  assert distillation.objective.teachers["gaitbase"].lookup is None
  other = config.copy_and_resolve_references()
  other.seed = 5
  with pytest.raises(errors.UserError, match="seed 0, and now it is 5"):
    prepare(other).with_data(split, subjects)
