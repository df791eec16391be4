"""Processes take turns and share work."""

import json

import numpy as np

from tests.helpers import processes
from tests.helpers import split_scores

START = """
import json, pathlib, sys
import jax
jax.config.update("jax_platforms", "cpu")
jax.config.update("jax_num_cpu_devices", 2)
folder, port, process = sys.argv[1:]
jax.distributed.initialize(f"localhost:{port}", 2, int(process))
def keep(found):
  pathlib.Path(folder, f"{process}.json").write_text(json.dumps(found))
"""
SCORES = (
  START
  + """
from tests.helpers import split_scores
keep([split_scores.metrics(), split_scores.submissions()])
"""
)


def results(program, folder):
  """What both processes keep."""
  processes.run_two(program, folder, folder)
  return [json.loads((folder / f"{i}.json").read_text()) for i in range(2)]


def test_two_processes_find_what_one_finds(tmp_path):
  both = results(SCORES, tmp_path)
  alone = json.loads(
    json.dumps([split_scores.metrics(), split_scores.submissions()])
  )
  assert len(alone[1]["hid True"]) == 8
  for found in both:
    np.testing.assert_equal(found, alone)
