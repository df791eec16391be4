"""What several tests of the pipelines read."""

import pytest

from data_pipelines import store as store_lib
from tests.helpers import small_store


@pytest.fixture(scope="session")
def store():
  """Twelve small sequences in memory."""
  return store_lib.SequenceStore.from_arrays(*small_store.columns())
