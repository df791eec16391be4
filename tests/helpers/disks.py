"""A disk that is full, for this process."""

import contextlib
import resource


@contextlib.contextmanager
def full(size):
  """No file can be longer than `size` bytes: that stands for a full disk."""
  before = resource.getrlimit(resource.RLIMIT_FSIZE)
  resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
  try:
    yield
  finally:
    resource.setrlimit(resource.RLIMIT_FSIZE, before)
