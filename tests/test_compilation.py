"""Compiled programs are kept for the next start."""

import json
import pathlib

import jax
import pytest

from gaitkd_jax import compilation
from gaitkd_jax import errors
from tests.helpers import command

PROGRAM = """
import json, sys
import jax
from gaitkd_jax import compilation
kept = compilation.keep(sys.argv[1])
found = []
jax.monitoring.register_event_listener(lambda name, **_: found.append(name))
value = jax.jit(lambda x: (x * 3).sum())(jax.numpy.ones(4))
print(json.dumps([kept, float(value)]))
print(json.dumps([found.count(f"/jax/compilation_cache/cache_{what}")
                  for what in ("hits", "misses")]))
"""


@pytest.fixture
def cache_dir():
  """JAX is told nothing of where to keep programs; afterwards, as before."""
  before = jax.config.jax_compilation_cache_dir
  jax.config.update("jax_compilation_cache_dir", None)
  yield
  jax.config.update("jax_compilation_cache_dir", before)


def run(folder):
  """Returns where programs are kept, hits and misses of the cache."""
  done = command.output(
    folder,
    program=("-c", PROGRAM),
    # Else only programs that take a second are kept.
    JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS="0",
  )
  (kept, value), (hits, misses) = map(json.loads, done.splitlines()[-2:])
  assert value == 12
  return kept, hits, misses


def test_the_second_start_does_not_compile_again(tmp_path):
  folder = tmp_path / "new" / "compiled"
  kept, hits, misses = run(str(folder))
  assert kept == str(folder) and hits == 0 and misses > 0
  assert folder.stat().st_mode & 0o077 == 0  # nobody else can add programs
  files = sorted(p.name for p in folder.iterdir())
  assert any(name.startswith("jit") for name in files)
  kept, hits, misses_again = run(str(folder))
  assert hits == misses and misses_again == 0


def test_a_cpu_keeps_nothing_unless_it_is_told(cache_dir, tmp_path):
  assert compilation.keep("auto") is None
  assert compilation.keep("") is None
  # What JAX itself was told stays.
  jax.config.update("jax_compilation_cache_dir", str(tmp_path))
  assert compilation.keep("auto") == str(tmp_path)
  assert compilation.keep("") is None
  assert jax.config.jax_compilation_cache_dir is None


def test_an_accelerator_keeps_them_at_home(
  cache_dir, tmp_path, monkeypatch, capsys
):
  monkeypatch.setattr(jax, "default_backend", lambda: "gpu")
  monkeypatch.setenv("HOME", str(tmp_path))
  found = compilation.keep("auto")
  assert found == str(pathlib.Path(compilation.FOLDER).expanduser())
  assert jax.config.jax_compilation_cache_dir == found
  assert pathlib.Path(found).is_dir() and str(tmp_path) in found
  # A home that cannot be written is no reason to end.
  jax.config.update("jax_compilation_cache_dir", None)
  (tmp_path / "file").write_text("")
  monkeypatch.setenv("HOME", str(tmp_path / "file"))
  assert compilation.keep("auto") is None
  assert "compiled anew: config.compilation_cache" in capsys.readouterr().out


def test_a_folder_that_cannot_be_made_is_one_line(tmp_path):
  (tmp_path / "file").write_text("")
  with pytest.raises(errors.UserError, match="compilation_cache .*Not a dir"):
    compilation.keep(str(tmp_path / "file" / "compiled"))
  with pytest.raises(errors.UserError, match="http://x"):
    compilation.keep("http://x")
