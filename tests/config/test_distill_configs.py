"""Every recipe of configs/distill, on every data set."""

import importlib.util

import pytest

from gaitkd_jax import config as config_lib
from gaitkd_jax import distill
from gaitkd_jax import errors
from gaitkd_jax import models
from gaitkd_jax.distill import terms
from tests.helpers import paths

FOLDER = paths.ROOT / "configs" / "distill"
NAMES = sorted(p.stem for p in FOLDER.glob("*.py"))
# Terms that teachers' weights ask for.
LEVELS = ("decision", "boundary")
VARIANTS = ("", "smoke", "gait3d", "ccpg", "sustech1k", "gait3d_smoke")


def load(name, variant=""):
  spec = importlib.util.spec_from_file_location(name, FOLDER / f"{name}.py")
  module = importlib.util.module_from_spec(spec)
  spec.loader.exec_module(module)
  return module, module.get_config(variant)


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("name", NAMES)
def test_the_objective_can_be_built(name, variant):
  module, config = load(name, variant)
  assert f"configs/distill/{name}.py" in module.__doc__
  assert "To expect" in module.__doc__
  config_lib.check(config)
  config_lib.check_batch(config, num_devices=8)
  # As wide as the recipe, but quick to build.
  student = models.create_model(config.model)
  teachers = distill.create_teachers(config.teachers)
  distill.check_compatible(
    student, config.model.name, teachers, config.distillation
  )
  if variant in ("", "gait3d_smoke"):
    objective = distill.create_objective(
      student, teachers, config.distillation, config.terms
    )
    names = [t.name for t in objective.terms]
    levels = [name for name in names if name not in config.terms]
    assert names == [*levels, *config.terms]
    assert set(levels) <= set(LEVELS)
  assert config.teachers or config.terms


def test_every_kind_of_term_has_a_recipe():
  kinds = {t.kind for name in NAMES for t in load(name)[1].terms.values()}
  # The same objective without its memory has none of its own.
  assert kinds == set(terms.KINDS) - {"relation", *LEVELS}
  gaitkd = load("gaitkd")[1].teachers.deepgaitv2
  assert gaitkd.decision_weight and gaitkd.boundary_weight


def test_gaitkd_is_the_recipe_of_the_benchmark():
  for name in ("gait3d", "ccpg", "sustech1k"):
    spec = importlib.util.spec_from_file_location(
      name, FOLDER.parent / f"{name}.py"
    )
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    assert load("gaitkd", name)[1].to_dict() == module.get_config().to_dict()


def test_an_unknown_variant_names_the_others():
  with pytest.raises(errors.UserError, match="gait3d, ccpg, sustech1k"):
    load("rkd", "casia")
