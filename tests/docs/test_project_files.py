"""What the files around the code say of it agrees."""

import fnmatch
import re
import tomllib

import pytest
import yaml

from tests.helpers.paths import ROOT

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())


def read(name):
  return (ROOT / name).read_text()


def package(requirement):
  """The name of a package, as pip compares it."""
  name = re.match(r"[\w.-]+", requirement)[0]
  return re.sub(r"[-_.]+", "-", name).lower()


def test_the_licence_is_one():
  assert PROJECT["project"]["license"] == "Apache-2.0"
  assert PROJECT["project"]["license-files"] == ["LICENSE"]
  assert yaml.safe_load(read("CITATION.cff"))["license"] == "Apache-2.0"
  licence = read("LICENSE")
  assert "Apache License" in licence[:200]
  assert "END OF TERMS AND CONDITIONS" in licence


def test_the_version_is_one():
  version = PROJECT["project"]["version"]
  assert yaml.safe_load(read("CITATION.cff"))["version"] == version
  assert f"\n## {version}\n" in read("CHANGELOG.md")


def test_only_the_library_is_installed():
  patterns = PROJECT["tool"]["setuptools"]["packages"]["find"]["include"]
  for folder in ("tests", "configs", "scripts", "examples", "docs"):
    assert not any(fnmatch.fnmatch(folder, p) for p in patterns), folder


PYTHONS = [
  x.rsplit(" ", 1)[1]
  for x in PROJECT["project"]["classifiers"]
  if "Python :: 3." in x
]


@pytest.mark.parametrize("python", PYTHONS)
def test_every_requirement_has_an_exact_version(python):
  text = read(f"constraints/{python}.txt")
  assert f"on Python {python}.\n" in text
  pinned = {package(x) for x in re.findall(r"^\S+==\S+$", text, re.M)}
  needed = [
    line for line in read("requirements.txt").splitlines() if line[:1].isalpha()
  ]
  needed += PROJECT["project"]["optional-dependencies"]["test"]
  # The other name of TensorFlow is for other machines.
  assert {package(x) for x in needed} - pinned == {"tensorflow"}
  assert "libtpu" in pinned  # jax[tpu] allows any of its patches


@pytest.mark.parametrize("program", ["ruff check", "ruff format", "mypy"])
def test_a_commit_is_checked_as_the_tests_check_it(program):
  hooks = yaml.safe_load(read(".pre-commit-config.yaml"))["repos"][0]["hooks"]
  assert any(program in hook["entry"] for hook in hooks)
  assert f".venv/bin/python -m {program}" in read("scripts/test.sh")


def test_the_workflow_runs_everything():
  jobs = yaml.safe_load(read(".github/workflows/ci.yml"))["jobs"]
  assert jobs["tests"]["strategy"]["matrix"]["python"] == PYTHONS
  steps = [step.get("run") for job in jobs.values() for step in job["steps"]]
  assert "bash .ci/run" in steps
  run = read(".ci/run")
  assert "rm -rf .venv\nbash scripts/test.sh\n" in run
  assert "bash scripts/test.sh -m slow" in run
  assert "bash scripts/test.sh" in read("README.md")
