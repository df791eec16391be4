"""Recipes that several files share."""

import pytest

from gaitkd_jax import config as config_lib
from gaitkd_jax import distill
from gaitkd_jax import models
from gaitkd_jax.training import optim
from tests.helpers import configs


@pytest.mark.parametrize("name", ["gait3d", "ccpg", "sustech1k"])
def test_the_baseline_is_the_student_alone(name):
  _, config = configs.load(name)
  _, baseline = configs.load(name, "baseline")
  assert list(config.teachers) == ["deepgaitv2"]
  assert config.to_dict() | {"teachers": {}} == baseline.to_dict()
  _, teacher = configs.load("deepgaitv2", name)
  assert config.teachers.deepgaitv2.model.to_dict() == teacher.model.to_dict()


def test_the_second_teacher_brings_heat_maps():
  _, config = configs.load("gait3d", "skeletongaitpp")
  config_lib.check(config)
  assert config.data.modalities == ("silhouettes", "heatmaps")
  teachers = distill.create_teachers(config.teachers)
  assert {t.module.num_classes for t in teachers.values()} == {3000}
  student = models.create_model(config.model)
  distill.check_compatible(student, config.model.name, teachers)


@pytest.mark.parametrize("name", ["gait3d", "ccpg", "sustech1k"])
def test_gaitkd_is_the_recipe_of_the_benchmark(name):
  _, method = configs.load("distill", f"gaitkd_{name}")
  _, benchmark = configs.load(name)
  assert method.to_dict() == benchmark.to_dict()


def test_walkers_are_one_student():
  _, alone = configs.load("walkers_baseline")
  _, taught = configs.load("walkers")
  assert list(taught.teachers) == ["deepgaitv2"]
  without = config_lib.without_teachers(taught)
  assert without.to_dict() == alone.to_dict()


@pytest.mark.parametrize(
  "name, teacher, file",
  [
    ("walkers", "deepgaitv2", "walkers_teacher"),
    ("distill", "skeletongaitpp", "walkers_teacher_maps"),
  ],
)
def test_the_embedded_teachers_are_what_their_configs_train(
  name, teacher, file
):
  variant = "gaitkd_two_teachers" if name == "distill" else ""
  _, config = configs.load(name, variant)
  _, source = configs.load(file)
  model = config.teachers[teacher].model
  assert model.to_dict() == source.model.to_dict()


@pytest.mark.parametrize(
  "name, variant, rates",
  [
    ("gaitset", "casiab", {0: 0.1, 15_000: 1e-2, 25_000: 1e-3, 35_000: 1e-4}),
    ("gaitset", "grew", {0: 1e-4, 149_999: 1e-4, 150_001: 1e-5}),
    ("gaitpart", "casiab", {99_999: 1e-4, 100_001: 1e-5}),
    ("gaitgl", "casiab", {69_999: 1e-4, 70_001: 1e-5}),
    ("gaitbase", "hid", {19_999: 0.1, 20_001: 1e-2, 40_001: 1e-3}),
    ("gaitgl", "hid", {119_999: 1e-4, 120_001: 1e-5, 160_001: 1e-6}),
    ("gaitgl", "oumvlp", {149_999: 1e-4, 150_001: 1e-5, 200_001: 1e-6}),
  ],
)
def test_rates_of_the_set_and_the_strip_networks(name, variant, rates):
  _, config = configs.load(name, variant)
  _, schedule = optim.create_optimizer(config.optim)
  found = {step: float(schedule(step)) for step in rates}
  assert found == pytest.approx(rates)
