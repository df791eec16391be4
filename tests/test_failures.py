"""What the machine refuses is told in one line; a bug is not."""

import errno
import pathlib

import jax
import jax.numpy as jnp
import pytest

from gaitkd_jax import failures


def raised(function, *args):
  with pytest.raises(Exception) as caught:  # noqa: B017, PT011  # any
    function(*args)
  return caught.value


def test_a_full_disk_names_the_file():
  error = OSError(errno.ENOSPC, "No space left on device", "/a/b")
  text = failures.reason(error)
  assert text.startswith("/a/b cannot be written") and "make room" in text
  # As TensorStore tells it, wrapped by Orbax.
  inner = ValueError(
    'Error writing "x" in OCDBT database at local file "/a/c": Failed '
    "[os_error_code='27' ]".replace(" ]", "]")
  )
  outer = RuntimeError("saving failed")
  outer.__cause__ = inner
  assert failures.reason(outer).startswith("/a/c cannot be written")


def test_a_folder_in_the_place_of_a_file_is_named(tmp_path):
  error = raised(pathlib.Path.read_text, tmp_path)
  assert failures.reason(error).startswith(f"{tmp_path} cannot be")


def test_a_device_without_memory_names_batch_and_remat():
  error = raised(lambda: jnp.zeros((2**44,), jnp.float32).block_until_ready())
  text = failures.reason(error)
  for word in ("memory", "batch.identities", "eval.batch_size", "remat"):
    assert word in text
  assert "\n" not in text
  assert "data.cache_gib" in failures.reason(MemoryError())


def test_an_absent_platform_is_named():
  error = raised(jax.devices, "quantum")
  assert "JAX_PLATFORMS" in failures.reason(error)


@pytest.mark.parametrize(
  "error",
  [
    ValueError("wrong"),
    KeyError("x"),
    AssertionError(),
    RuntimeError("x"),
    FileNotFoundError(errno.ENOENT, "No such file", "/x"),
    jax.errors.JaxRuntimeError("INTERNAL: x"),
  ],
)
def test_what_may_be_a_bug_passes(error):
  assert failures.reason(error) is None
