"""scripts/environment.sh installs when something changed, and only then."""

import os
import shutil
import subprocess
import sys

import pytest

from tests.helpers.paths import ROOT

# Notes every installation in place of doing it, which needs a network.
PYTHON = f"""#!/usr/bin/env bash
if [ "$1 $2 $3" = "-m pip install" ]; then
  echo "$*" >> calls
  exit "$(cat status)"
fi
exec {sys.executable} "$@"
"""

# The exact versions for this interpreter.
CONSTRAINTS = "constraints/{}.{}.txt".format(*sys.version_info)


@pytest.fixture
def checkout(tmp_path):
  folder = tmp_path / "checkout"
  (folder / "scripts").mkdir(parents=True)
  for name in ("pyproject.toml", "requirements.txt"):
    shutil.copy(ROOT / name, folder / name)
  (folder / "constraints").mkdir()
  (folder / CONSTRAINTS).touch()
  shutil.copy(ROOT / "scripts/environment.sh", folder / "scripts")
  python = folder / ".venv" / "bin" / "python"
  python.parent.mkdir(parents=True)
  python.write_text(PYTHON)
  python.chmod(0o755)
  (folder / "status").write_text("0")
  return folder


def install(folder, extra=""):
  """Installs; returns the arguments that pip got, or nothing."""
  calls = folder / "calls"
  calls.unlink(missing_ok=True)
  done = subprocess.run(
    ["bash", "-c", f"set -eu; source scripts/environment.sh; install {extra}"],
    cwd=folder,
    capture_output=True,
    text=True,
    env=os.environ | {"PYTHON": sys.executable},
  )
  expected = int((folder / "status").read_text())
  assert done.returncode == expected, done.stderr
  return calls.read_text() if calls.exists() else ""


def test_a_second_time_nothing_is_installed(checkout):
  first = install(checkout, "test")
  assert "--editable .[test]" in first
  assert f"--constraint {CONSTRAINTS} " in first
  assert not install(checkout, "test")
  assert not install(checkout)  # is part of the above


def test_an_extra_is_installed_after_the_project_alone(checkout):
  assert install(checkout).endswith("--editable .\n")
  assert not install(checkout)
  assert "[test]" in install(checkout, "test")


@pytest.mark.parametrize(
  "name", ["pyproject.toml", "requirements.txt", CONSTRAINTS]
)
def test_a_changed_list_is_installed(checkout, name):
  install(checkout, "test")
  with (checkout / name).open("a") as file:
    file.write("# changed\n")
  assert install(checkout, "test")
  assert not install(checkout, "test")


def test_without_exact_versions_the_newest_are_installed(checkout):
  (checkout / CONSTRAINTS).unlink()
  assert "--constraint /dev/null " in install(checkout, "test")
  assert not install(checkout, "test")


def test_a_checkout_that_was_moved_is_installed_again(checkout):
  install(checkout, "test")
  moved = checkout.rename(checkout.with_name("moved"))
  assert install(moved, "test")
  assert not install(moved, "test")


def test_what_failed_is_tried_again(checkout):
  (checkout / "status").write_text("1")
  install(checkout, "test")
  (checkout / "status").write_text("0")
  assert install(checkout, "test")


def test_what_failed_halfway_is_not_taken_for_what_was_before(checkout):
  before = (checkout / "requirements.txt").read_text()
  install(checkout, "test")
  (checkout / "requirements.txt").write_text(before + "# changed\n")
  (checkout / "status").write_text("1")
  install(checkout, "test")
  (checkout / "requirements.txt").write_text(before)
  (checkout / "status").write_text("0")
  assert install(checkout, "test")


def test_an_environment_without_its_interpreter_is_made_anew(checkout):
  install(checkout, "test")
  (checkout / ".venv/bin/python").unlink()
  subprocess.run(
    ["bash", "-c", "source scripts/environment.sh"],
    cwd=checkout,
    check=True,
    env=os.environ | {"PYTHON": sys.executable},
  )
  assert not (checkout / ".venv/installed-test").exists()
  subprocess.run([checkout / ".venv/bin/python", "-c", ""], check=True)
