"""Runs a program of the project as a user does."""

import os
import subprocess
import sys

from tests.helpers import paths


def run(*args, program=("-m", "gaitkd_jax.main"), **environment):
  return subprocess.run(
    [sys.executable, *program, *args],
    cwd=paths.ROOT,
    capture_output=True,
    text=True,
    env={
      "JAX_PLATFORMS": "cpu",
      "PATH": "",
      "HOME": "/nonexistent",
      "PYTHONPATH": os.pathsep.join([str(paths.ROOT), *sys.path]),
      **environment,
    },
  )
