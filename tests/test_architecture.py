"""Imports go downward only, and TensorFlow stays where it belongs."""

import ast
import subprocess
import sys

import pytest

from tests.helpers.paths import ROOT

# A module may import those of earlier lines, and of its own room. A name with a
# dot takes a module or a folder out of its room.
LAYERS = (
  ("errors", "array_names"),
  ("storage", "hosts", "runtime"),
  ("mirror", "failures", "quantize"),
  ("losses", "sharding", "checkpoint", "workdir", "compilation"),
  ("checkpointer", "training.schedules", "training.writers"),
  ("evaluation.distances", "evaluation.metrics", "evaluation.embedded"),
  ("models", "evaluation.search", "evaluation.store"),
  ("cost", "opengait", "placement", "evaluation.protocols"),
  ("quantize.calibration",),
  ("evaluation.results", "evaluation.tables"),
  ("evaluation.scoring", "evaluation.report"),
  ("config",),
  ("distill", "evaluation"),
  ("training", "quantize.post_training"),
  ("export",),
  ("identify",),
  ("arguments",),
  ("cli",),
  ("export.__main__",),
  ("main",),
)
LOOSE = {
  "__init__",
  "arguments",
  "array_names",
  "checkpoint",
  "checkpointer",
  "cli",
  "compilation",
  "errors",
  "failures",
  "main",
  "mirror",
  "placement",
  "sharding",
  "storage",
  "workdir",
}
ROOMS = {
  "config",
  "cost",
  "distill",
  "evaluation",
  "export",
  "hosts",
  "identify",
  "losses",
  "models",
  "opengait",
  "quantize",
  "runtime",
  "training",
}


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
  """The number of a module's layer: that of the longest name that fits."""
  fitting = [
    (len(name), i)
    for i, names in enumerate(LAYERS)
    for name in names
    if f"{module}.".startswith(f"{name}.")
  ]
  assert fitting, f"{module} has no layer"
  return max(fitting)[1]


@pytest.mark.parametrize(
  "path", files("gaitkd_jax"), ids=lambda p: str(p.relative_to(ROOT))
)
def test_library_imports_go_downward(path):
  own = path.relative_to(ROOT / "gaitkd_jax").with_suffix("").as_posix()
  own = own.replace("/", ".").removesuffix(".__init__")
  for name in imported(path):
    top, _, other = name.partition(".")
    assert top not in ("configs", "scripts", "tests"), name
    if top != "gaitkd_jax" or own == "__init__":
      continue
    room = own.partition(".")[0] == other.partition(".")[0]
    assert layer(other) < layer(own) or (room and layer(other) == layer(own)), (
      own,
      name,
    )


def test_every_module_is_in_a_room():
  inside = (ROOT / "gaitkd_jax").iterdir()
  loose = {p.stem for p in files("gaitkd_jax") if p.parent.name == "gaitkd_jax"}
  rooms = {p.name for p in inside if p.is_dir() and p.name != "__pycache__"}
  assert loose == LOOSE
  assert rooms == ROOMS


@pytest.mark.parametrize(
  "path", files("data_pipelines"), ids=lambda p: str(p.relative_to(ROOT))
)
def test_pipelines_know_nothing_of_the_library(path):
  for name in imported(path):
    if name.startswith("gaitkd_jax"):
      assert name.startswith(("gaitkd_jax.errors", "gaitkd_jax.storage")), name


@pytest.mark.parametrize("path", files("configs"), ids=lambda p: p.name)
def test_configs_stand_alone(path):
  allowed = ("pathlib", "ml_collections", "gaitkd_jax.config")
  assert all(name.startswith(allowed) for name in imported(path))


def test_the_library_does_not_load_tensorflow():
  code = (
    "import sys, gaitkd_jax.main, gaitkd_jax.opengait.convert, gaitkd_jax.cost;"
    "sys.exit(any(m.startswith('tensorflow') for m in sys.modules))"
  )
  subprocess.run([sys.executable, "-c", code], check=True, cwd=ROOT)
