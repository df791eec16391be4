"""What several tests of programs need."""

import pytest


@pytest.fixture(scope="session")
def home(prepared, tmp_path_factory):
  """A home whose prepared data are those of the other tests."""
  folder = tmp_path_factory.mktemp("home")
  (folder / "tensorflow_datasets").symlink_to(prepared)
  return folder
