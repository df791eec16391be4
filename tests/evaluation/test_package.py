"""The package of evaluation, as other people's scripts import it."""

import subprocess
import sys

from gaitkd_jax import evaluation
from gaitkd_jax.evaluation import scoring
from tests.helpers import paths


def test_public_names():
  assert evaluation.evaluate_embeddings is scoring.evaluate_embeddings
  for name in evaluation.__all__:
    assert getattr(evaluation, name)


def test_arrays_are_scored_without_a_network():
  code = (
    "import sys, gaitkd_jax.evaluation;"
    "print(sorted({'gaitkd_jax.config', 'gaitkd_jax.models', 'flax', 'orbax',"
    " 'tensorflow', 'matplotlib'} & set(sys.modules)))"
  )
  done = subprocess.run(
    [sys.executable, "-c", code],
    check=True,
    cwd=paths.ROOT,
    capture_output=True,
    text=True,
  )
  assert done.stdout == "[]\n"
