"""Every method of configs/distill.py, on every data set."""

import re

import pytest

from gaitkd_jax import config as config_lib
from gaitkd_jax import distill
from gaitkd_jax import models
from gaitkd_jax.distill import terms
from tests.helpers import configs
from tests.helpers import paths

MODULE = configs.module("distill")
NAMES = list(MODULE.METHODS)
SUFFIXES = ("", "_smoke", "_gait3d", "_ccpg", "_sustech1k", "_gait3d_smoke")
# Of docs/study.md: what its rows without any change are called here.
STUDIED = {
  "GaitKD": "gaitkd",
  "two teachers, mean": "gaitkd_two_teachers",
  "feature MSE": "feature_mse",
  "plain KD": "kd",
  "DKD": "dkd",
  "GDKD": "gdkd",
  "OFA": "ofa",
  "DIST": "dist",
  "RKD": "rkd",
  "instance + relation bank": "instance_relation",
  "patch swap (no teacher)": "patch_swap",
}
# Terms that the teachers' weights ask for.
LEVELS = ("decision", "boundary")


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize("name", NAMES)
def test_the_objective_can_be_built(name, suffix):
  config = MODULE.get_config(name + suffix)
  config_lib.check(config)
  config_lib.check_batch(config, num_devices=8)
  # As wide as the recipe, but quick to build.
  student = models.create_model(config.model)
  teachers = distill.create_teachers(config.teachers)
  distill.check_compatible(
    student, config.model.name, teachers, config.distillation
  )
  if suffix in ("", "_gait3d_smoke"):
    objective = distill.create_objective(
      student, teachers, config.distillation, config.terms
    )
    names = [term.name for term in objective.terms]
    levels = [name for name in names if name not in config.terms]
    assert names == [*levels, *config.terms]
    assert set(levels) <= set(LEVELS)
  assert config.teachers or config.terms


def test_every_method_is_on_every_data_set():
  data = ("", "_gait3d", "_ccpg", "_sustech1k")
  assert set(MODULE.VARIANTS) == {f"{n}{d}" for n in NAMES for d in data}


def test_every_kind_of_term_has_a_recipe():
  kinds = {t.kind for n in NAMES for t in MODULE.get_config(n).terms.values()}
  # The same objective without its memory has none of its own, and the teacher
  # of IDC is the student itself before it is quantised.
  assert kinds == set(terms.KINDS) - {"relation", "idc", *LEVELS}


def test_a_rival_takes_the_place_of_gaitkd():
  config = MODULE.get_config("rkd")
  teacher = config.teachers.deepgaitv2
  assert teacher.decision_weight == teacher.boundary_weight == 0
  assert config.terms.to_dict() == {
    "rkd": {"kind": "rkd", "weight": 1.0, "teacher": ""}
  }


def test_figures_are_those_of_the_study():
  text = (paths.ROOT / "docs" / "study.md").read_text()
  text = text[: text.index("## Recorded walks")]
  found = dict(re.findall(r"^\| ([^|]+) \| \d+ \| ([\d.]+) \|", text, re.M))
  assert set(STUDIED) < set(found)
  expected = {
    name: f"{method.rank1:.2f}"
    for name, method in MODULE.METHODS.items()
    if method.rank1
  }
  assert expected == {STUDIED[row]: found[row] for row in STUDIED}
  assert f"student alone has {found['student alone']}" in MODULE.__doc__
