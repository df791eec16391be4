"""The differences of docs/extending.md apply, and what they add works."""

import os
import re
import shutil
import subprocess
import sys

import pytest

from tests.helpers import trees
from tests.helpers.paths import ROOT

PACKAGES = ("gaitkd_jax", "data_pipelines", "configs")


def section(title):
  """The text below a heading."""
  text = (ROOT / "docs" / "extending.md").read_text()
  return re.search(rf"^## {title}\n(.*?)(?=^## |\Z)", text, re.M | re.S)[1]


@pytest.fixture
def extended(tmp_path, request):
  """A copy of the code with the difference of a section, by indirect name."""
  for name in PACKAGES:
    ignored = shutil.ignore_patterns("__pycache__")
    shutil.copytree(ROOT / name, tmp_path / name, ignore=ignored)
  diffs = re.findall(
    r"^```diff\n(.*?)^```", section(request.param), re.M | re.S
  )
  assert diffs
  for diff in diffs:
    subprocess.run(
      ["git", "apply", "-"],
      input=diff,
      cwd=tmp_path,
      check=True,
      text=True,
    )
  return tmp_path


def run(code, folder):
  """Runs code in the copy; returns what it printed."""
  done = subprocess.run(
    [sys.executable, "-c", code],
    cwd=folder,
    capture_output=True,
    text=True,
    env=os.environ | {"PYTHONPATH": str(folder), "JAX_PLATFORMS": "cpu"},
  )
  assert done.returncode == 0, done.stderr
  return done.stdout


@pytest.mark.parametrize("extended", ["A data set"], indirect=True)
def test_data_set(extended):
  for subject, weather in (("001", "dry"), ("021", "rain"), ("022", "dry")):
    folder = extended / "tree" / subject / weather / "090"
    trees.write_raw(folder, trees.images(subject, weather, "090", 3))
  code = """
import types
from data_pipelines import datasets
from data_pipelines import store
data = types.SimpleNamespace(
  name="parkwalks", root="tree", prepared="prepared", partition="",
  modalities=("silhouettes",), train_subjects=(), test_subjects=())
split = store.SequenceStore.from_builder(datasets.prepare(data), "test")
print(*split.names)
"""
  assert "021-rain-090 022-dry-090" in run(code, extended)
