"""Every test sees eight virtual CPU devices and strict ranks."""

import logging
import os
import tempfile

import jax
import pytest

from tests.helpers import command
from tests.helpers import compiled

# As the programs that tests start: most of a test would be optimisation by
# LLVM of what runs once. Read when the first program is compiled.
os.environ["XLA_FLAGS"] = " ".join(
  [command.QUICK, os.environ.get("XLA_FLAGS", "")]
)
jax.config.update("jax_platforms", "cpu")
jax.config.update("jax_num_cpu_devices", 8)
jax.config.update("jax_numpy_rank_promotion", "raise")
compiled.keep()


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


@pytest.fixture(scope="session")
def _object_store():
  """Google's object store, which this process finds in its environment."""
  import fsspec

  from tests.helpers import object_store

  def forget_connections():
    fsspec.get_filesystem_class("gcs").clear_instance_cache()
    fsspec.config.set_conf_env(fsspec.config.conf)

  with object_store.gcs() as store, pytest.MonkeyPatch.context() as patch:
    for name, value in store.environment.items():
      patch.setenv(name, value)
    forget_connections()
    yield store
  forget_connections()


def _emptied(store, folder, monkeypatch):
  monkeypatch.setattr(tempfile, "tempdir", str(folder / "staging"))
  (folder / "staging").mkdir(exist_ok=True)
  store.proxy.clear()
  for name in store.names():
    store.remove(name)
  store.proxy.requests.clear()
  yield store
  store.proxy.clear()


@pytest.fixture
def bucket(_object_store, tmp_path, monkeypatch):
  """The same, empty and without faults; data are staged in a fresh folder."""
  yield from _emptied(_object_store, tmp_path, monkeypatch)


@pytest.fixture(scope="session")
def _s3():
  """Amazon's object store, which this process finds in its environment."""
  import fsspec

  from tests.helpers import object_store

  with object_store.s3() as store, pytest.MonkeyPatch.context() as patch:
    for name, value in store.environment.items():
      patch.setenv(name, value)
    fsspec.get_filesystem_class("s3").clear_instance_cache()
    yield store
  fsspec.get_filesystem_class("s3").clear_instance_cache()


@pytest.fixture
def s3_bucket(_s3, tmp_path, monkeypatch):
  """The same, empty and without faults; copies are in a fresh folder."""
  yield from _emptied(_s3, tmp_path, monkeypatch)


@pytest.fixture(
  params=["gs", pytest.param("s3", marks=pytest.mark.slow)],
)
def any_bucket(request):
  """Each of the two."""
  names = {"gs": "bucket", "s3": "s3_bucket"}
  return request.getfixturevalue(names[request.param])
