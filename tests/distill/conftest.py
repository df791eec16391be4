"""Two small teachers, and stores of their outputs."""

import functools

import jax
import pytest

from gaitkd_jax import checkpoint
from gaitkd_jax import models
from gaitkd_jax.distill.cache import precompute
from tests.helpers import teacher_cache


@pytest.fixture(scope="session")
def trained(prepared, tmp_path_factory):
  """Checkpoints of two small teachers with random variables."""
  folder = tmp_path_factory.mktemp("trained")
  config = teacher_cache.make_config(prepared, folder)
  for name, teacher in config.teachers.items():
    module = models.create_model(teacher.model)
    variables = jax.jit(functools.partial(models.init_variables, module))(
      jax.random.key(len(name))
    )
    checkpoint.save_model(folder / name, variables, {})
  return folder


@pytest.fixture(scope="session")
def filled(prepared, trained, tmp_path_factory):
  """A dense store of float32 of each of two teachers.

  Returns:
    The config, the folder and the metrics of filling it.
  """
  folder = tmp_path_factory.mktemp("filled")
  config = teacher_cache.make_config(prepared, trained)
  return config, folder, precompute.fill(config, folder)
