"""Sections that recipes share."""

import pytest

from gaitkd_jax import config as config_lib
from gaitkd_jax.training import optim
from tests.helpers import configs


def test_onecycle_follows_the_steps():
  _, config = configs.load("walkers")
  config.train.steps = 50
  _, schedule = optim.create_optimizer(config.optim)
  assert schedule(5) == pytest.approx(config.optim.learning_rate)
  assert schedule(50) == pytest.approx(0, abs=1e-9)


def test_a_benchmark_counts_the_classes_of_every_network_that_has_them():
  config = config_lib.default()
  config.model = config_lib.gaitset()
  config.teachers.big = config_lib.teacher(config_lib.deepgaitv2())
  config_lib.benchmark(config, "ccpg")
  assert "num_classes" not in config.model
  assert config.teachers.big.model.num_classes == 100
  assert config.data.name == config.eval.protocol == "ccpg"
