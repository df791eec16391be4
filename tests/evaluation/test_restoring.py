"""A test takes a checkpoint with any number of classes, and no other one."""

import jax
import numpy as np
import pytest

from gaitkd_jax import checkpoint
from gaitkd_jax import models
from gaitkd_jax import sharding
from gaitkd_jax.evaluation import restoring
from tests.helpers import mistakes

MODEL = dict(
  name="gaitbase",
  channels=(2, 2, 4, 4),
  blocks=(0, 1, 1, 0),
  embedding_dim=4,
  num_classes=5,
  parts=2,
)
GAITGL = dict(name="gaitgl", channels=(2, 2, 4), num_classes=5)


def save(folder, model):
  """Writes a checkpoint of random numbers; returns them."""
  rng = np.random.default_rng(0)
  variables = jax.tree.map(
    lambda x: rng.normal(size=x.shape).astype(np.float32) ** 2,
    models.abstract_variables(models.create_model(model)),
  )
  checkpoint.save_model(folder, variables, {}, step=3)
  return variables


def restore(folder, model):
  whole = sharding.replicated(sharding.create_mesh(1))
  return restoring.restore_network(folder, model, "float32", whole)


@pytest.mark.parametrize("model", [MODEL, GAITGL], ids=lambda m: m["name"])
@pytest.mark.parametrize("stored, wanted", [(5, 9), (1, 2), (5, 0), (0, 5)])
def test_any_number_of_classes(tmp_path, capsys, model, stored, wanted):
  saved = save(tmp_path, {**model, "num_classes": stored})
  module, variables = restore(tmp_path, {**model, "num_classes": wanted})
  assert module.num_classes == stored
  said = capsys.readouterr().out.splitlines()
  assert said == [
    f"{tmp_path} has {stored} classes and config.model.num_classes is {wanted};"
    " a test needs none of them, so its own are read"
  ]
  for a, b in zip(
    jax.tree.leaves(variables), jax.tree.leaves(saved), strict=True
  ):
    np.testing.assert_array_equal(a, b)


def test_equal_classes_are_not_worth_a_word(tmp_path, capsys):
  save(tmp_path, MODEL)
  module, _ = restore(tmp_path, MODEL)
  assert module.num_classes == 5
  assert capsys.readouterr().out == ""


@pytest.mark.parametrize(
  "changes",
  [
    {"embedding_dim": 8},
    {"embedding_dim": 8, "num_classes": 7},
    {"parts": 4, "num_classes": 7},
    {"channels": (2, 2, 8, 4)},
  ],
)
def test_all_else_has_to_fit(tmp_path, capsys, changes):
  save(tmp_path, MODEL)
  text = mistakes.message(restore, tmp_path, {**MODEL, **changes})
  assert "is of another model" in text and str(tmp_path) in text
  assert capsys.readouterr().out == ""


def test_a_search_by_the_neck_needs_one(tmp_path):
  save(tmp_path, {**MODEL, "num_classes": 0})
  text = mistakes.message(restore, tmp_path, {**MODEL, "retrieval": "neck"})
  assert "num_classes is 0: there is no neck" in text
