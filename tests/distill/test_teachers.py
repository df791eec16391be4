"""Teachers, their variables and their outputs."""

import jax
import jax.numpy as jnp
from ml_collections import ConfigDict
import numpy as np
import pytest

from gaitkd_jax import checkpoint
from gaitkd_jax import config as config_lib
from gaitkd_jax import distill
from gaitkd_jax import errors
from gaitkd_jax import models
from gaitkd_jax import sharding
from gaitkd_jax.distill import teachers as teachers_lib
from tests.helpers import distillation as helpers
from tests.helpers import networks


def test_only_the_number_0_is_no_weight():
  assert teachers_lib.create_weight(0.0, "x") is None
  assert teachers_lib.create_weight(0, "x") is None
  assert teachers_lib.create_weight(-0.5, "x")(7) == -0.5
  assert np.isnan(teachers_lib.create_weight(float("nan"), "x")(0))
  never = dict(kind="constant", value=0.0)
  assert teachers_lib.create_weight(never, "x")(3) == 0.0
  ramp = dict(kind="linear", start=0.0, end=2.0, steps=2)
  assert teachers_lib.create_weight(ConfigDict(ramp), "x")(1) == 1.0
  for wrong in ("big", dict(kind="steep")):
    with pytest.raises(errors.UserError, match="config.x"):
      teachers_lib.create_weight(wrong, "x")


def test_outputs_are_those_of_the_evaluation_mode():
  teachers = helpers.make_teachers(a={}, b={})
  variables = {
    name: networks.initial_variables(t.module, i)
    for i, (name, t) in enumerate(teachers.items())
  }
  batch = helpers.batch(0)
  found = distill.teacher_outputs(teachers, variables, batch)
  x = jnp.asarray(batch["silhouettes"], jnp.float32) / 255
  for name, teacher in teachers.items():
    expected = teacher.module.apply(variables[name], x)
    assert found[name].keys() == expected.keys()
    for key in expected:
      np.testing.assert_array_equal(found[name][key], expected[key])


def test_no_gradient_reaches_a_teacher():
  teachers = helpers.make_teachers(a={})
  variables = networks.initial_variables(teachers["a"].module)

  def total(variables):
    out = distill.teacher_outputs(teachers, {"a": variables}, helpers.batch(0))[
      "a"
    ]
    return jnp.sum(out["embedding"])

  assert total(variables) != 0
  gradient = jax.grad(total)(variables)
  assert not any(x.any() for x in jax.tree.leaves(gradient))


def config_of(**changes):
  config = config_lib.default()
  config.teachers.a = config_lib.teacher(ConfigDict(helpers.model()), **changes)
  return config


def test_variables_come_from_a_checkpoint(tmp_path, capsys):
  mesh = sharding.create_mesh(2)
  config = config_of()
  teachers = distill.create_teachers(config.teachers)
  with pytest.raises(errors.UserError, match="a has no checkpoint") as e:
    distill.restore_teachers(config, teachers, mesh)
  assert "\n" not in str(e.value)
  config.teachers.a.cache = str(tmp_path)  # its outputs are all it needs
  assert distill.restore_teachers(config, teachers, mesh) == {}
  variables = networks.initial_variables(teachers["a"].module, 5)
  checkpoint.save_model(tmp_path / "a", variables, {})
  config.teachers.a.checkpoint = str(tmp_path / "a")
  found = distill.restore_teachers(config, teachers, mesh)
  jax.tree.map(np.testing.assert_array_equal, found, {"a": variables})
  assert "UNTRAINED" not in capsys.readouterr().out
  config.teachers.a.checkpoint = config_lib.RANDOM
  random = distill.restore_teachers(config, teachers, mesh)
  assert jax.tree.structure(random) == jax.tree.structure(found)
  assert "teacher a is UNTRAINED" in capsys.readouterr().out


def test_shapes_of_outputs():
  module = models.create_model(helpers.model())
  shapes = distill.output_shapes(module)
  assert shapes["embedding"] == (1, 4, 4) and shapes["logits"] == (1, 4, 4)
