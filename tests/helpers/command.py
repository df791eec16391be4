"""Runs a program of the project as a user does."""

import os
import subprocess
import sys

from tests.helpers import paths

# Programs are compiled without optimisations, which take most of a short run.
QUICK = (
  "--xla_backend_optimization_level=0 --xla_llvm_disable_expensive_passes=true"
)


def run(*args, program=("-m", "gaitkd_jax.main"), **environment):
  """Runs a program to its end; returns its status and what it printed."""
  return subprocess.run(
    [sys.executable, *program, *args],
    cwd=paths.ROOT,
    capture_output=True,
    text=True,
    env=_environment(environment),
  )


def start(*args, program=("-m", "gaitkd_jax.main"), **environment):
  """Starts a program, whose output is read by `communicate`."""
  return subprocess.Popen(
    [sys.executable, *program, *args],
    cwd=paths.ROOT,
    stdout=subprocess.PIPE,
    stderr=subprocess.PIPE,
    text=True,
    env=_environment(environment),
  )


def _environment(more):
  return {
    "JAX_PLATFORMS": "cpu",
    "PATH": "",
    "HOME": "/nonexistent",
    "XLA_FLAGS": QUICK,
    "PYTHONPATH": os.pathsep.join([str(paths.ROOT), *sys.path]),
    **more,
  }


def output(*args, **options):
  """Runs a program that does its work; returns its standard output."""
  done = run(*args, **options)
  assert done.returncode == 0, done.stderr
  return done.stdout


def mistake(*args, **options):
  """Runs a program that a mistake ends; returns the one line that it prints."""
  done = run(*args, **options)
  assert done.returncode == 2, done.stderr
  assert done.stderr.startswith("error: "), done.stderr
  assert done.stderr.count("\n") == 1, done.stderr
  return done.stderr
