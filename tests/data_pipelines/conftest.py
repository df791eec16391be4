"""What several tests of the pipelines read."""

import tempfile

import pytest

from data_pipelines import store as store_lib
from tests.helpers import object_store
from tests.helpers import small_store


@pytest.fixture(scope="session")
def store():
  """Twelve small sequences in memory."""
  return store_lib.SequenceStore.from_arrays(*small_store.columns())


@pytest.fixture(scope="session")
def _object_store():
  """Google's object store, which this process finds in its environment."""
  import fsspec

  def forget_connections():
    fsspec.get_filesystem_class("gcs").clear_instance_cache()
    fsspec.config.set_conf_env(fsspec.config.conf)

  with object_store.gcs() as store, pytest.MonkeyPatch.context() as patch:
    for name, value in store.environment.items():
      patch.setenv(name, value)
    forget_connections()
    yield store
  forget_connections()


@pytest.fixture
def bucket(_object_store, tmp_path, monkeypatch):
  """The same, empty and without faults; data are staged in a fresh folder."""
  monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "staging"))
  (tmp_path / "staging").mkdir()
  _object_store.proxy.clear()
  for name in _object_store.names():
    _object_store.remove(name)
  _object_store.proxy.requests.clear()
  yield _object_store
  _object_store.proxy.clear()
