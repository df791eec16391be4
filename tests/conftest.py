"""Every test sees eight virtual CPU devices and strict ranks."""

import logging

import jax
import pytest

jax.config.update("jax_platforms", "cpu")
jax.config.update("jax_num_cpu_devices", 8)
jax.config.update("jax_numpy_rank_promotion", "raise")


@pytest.fixture(scope="session")
def prepared(tmp_path_factory):
  """Where prepared data are kept."""
  return tmp_path_factory.mktemp("prepared")


@pytest.fixture(scope="session")
def folder(tmp_path_factory):
  """Where runs are kept."""
  return tmp_path_factory.mktemp("runs")


@pytest.fixture(scope="session")
def uninterrupted(prepared, folder):
  """A run of four steps; also counts compilations."""
  from gaitkd_jax.training import loop
  from tests.helpers import configs

  compiled = []
  handler = logging.Handler()
  handler.emit = lambda record: compiled.append(record.getMessage())
  logger = logging.getLogger("jax._src.interpreters.pxla")
  logger.addHandler(handler)
  config = configs.smoke_config(prepared)
  with jax.log_compiles():
    results = loop.train_and_evaluate(config, folder / "whole")
  logger.removeHandler(handler)
  return config, folder / "whole", results, compiled
