"""Imports go downward only, and TensorFlow stays where it belongs."""

import ast
import pathlib
import subprocess
import sys

import pytest

ROOT = pathlib.Path(__file__).parent.parent
# A module may import those of earlier lines only.
LAYERS = (
  ("errors",),
  (
    "losses",
    "models",
    "schedules",
    "sharding",
    "writers",
    "distances",
    "opengait_rules",
  ),
  ("search", "embeddings", "results"),
  (
    "config",
    "convert",
    "cost",
    "distill",
    "optim",
    "protocols",
    "checkpoint",
    "opengait_config",
    "teacher_cache",
  ),
  ("step", "cli", "logs", "report", "scoring"),
  ("embed",),
  ("evaluate",),
  ("train",),
  ("precompute",),
  ("main",),
)


def imported(path):
  """Names of the modules that a file imports, in functions too."""
  for node in ast.walk(ast.parse(path.read_text())):
    if isinstance(node, ast.Import):
      yield from (alias.name for alias in node.names)
    elif isinstance(node, ast.ImportFrom):
      yield from (f"{node.module}.{alias.name}" for alias in node.names)


def files(folder):
  return sorted((ROOT / folder).rglob("*.py"))


def layer(module):
  return next(i for i, names in enumerate(LAYERS) if module in names)


@pytest.mark.parametrize(
  "path", files("gaitkd_jax"), ids=lambda p: str(p.relative_to(ROOT))
)
def test_library_imports_go_downward(path):
  own = path.relative_to(ROOT / "gaitkd_jax").parts[0].removesuffix(".py")
  for name in imported(path):
    top, _, rest = name.partition(".")
    assert top not in ("configs", "scripts", "tests"), name
    if top == "gaitkd_jax" and own != "__init__":
      other = rest.split(".")[0]
      assert own == other or layer(other) < layer(own), (own, name)


@pytest.mark.parametrize(
  "path", files("data_pipelines"), ids=lambda p: str(p.relative_to(ROOT))
)
def test_pipelines_know_nothing_of_the_library(path):
  for name in imported(path):
    if name.startswith("gaitkd_jax"):
      assert name.startswith("gaitkd_jax.errors"), name


@pytest.mark.parametrize("path", files("configs"), ids=lambda p: p.name)
def test_configs_stand_alone(path):
  allowed = ("pathlib", "ml_collections", "gaitkd_jax.config")
  assert all(name.startswith(allowed) for name in imported(path))


def test_the_library_does_not_load_tensorflow():
  code = (
    "import sys, gaitkd_jax.main, gaitkd_jax.convert, gaitkd_jax.cost;"
    "sys.exit(any(m.startswith('tensorflow') for m in sys.modules))"
  )
  subprocess.run([sys.executable, "-c", code], check=True, cwd=ROOT)
