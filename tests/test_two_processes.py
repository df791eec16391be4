"""Two processes of four devices give what one of eight gives."""

import json
import socket
import subprocess
import sys

import numpy as np
import pytest

from gaitkd_jax.evaluation import evaluate
from tests.helpers import paths

PROGRAM = """
import json, sys
import jax
jax.config.update("jax_platforms", "cpu")
jax.config.update("jax_num_cpu_devices", 4)
port, process, prepared, workdir = sys.argv[1:]
jax.distributed.initialize(f"localhost:{port}", 2, int(process))
import pathlib
from gaitkd_jax.evaluation import embed
from gaitkd_jax.training import loop
from tests.helpers import configs
config = configs.smoke_config(prepared)
results = loop.train_and_evaluate(config, workdir)
store = embed.embed_checkpoint(config, workdir)
assert (store is None) == bool(jax.process_index())
pathlib.Path(workdir, f"results_{process}.json").write_text(json.dumps(results))
"""


@pytest.mark.slow
def test_two_processes_equal_one(tmp_path, uninterrupted, prepared):
  with socket.socket() as s:
    s.bind(("localhost", 0))
    port = str(s.getsockname()[1])
  workdir = tmp_path / "run"
  logs = [tmp_path / f"{i}.log" for i in range(2)]
  processes = []
  for i, log in enumerate(logs):
    with log.open("w") as f:
      processes.append(
        subprocess.Popen(
          [sys.executable, "-c", PROGRAM, port, str(i), prepared, workdir],
          cwd=paths.ROOT,
          stdout=f,
          stderr=subprocess.STDOUT,
        )
      )
  try:
    for process, log in zip(processes, logs, strict=True):
      assert process.wait(timeout=600) == 0, log.read_text()
  finally:
    for process in processes:  # if one died, the other waits for it
      process.kill()
  config, whole, results, _ = uninterrupted
  both = [
    json.loads((workdir / f"results_{i}.json").read_text()) for i in range(2)
  ]
  assert both[0] == both[1]
  # One process scores the same checkpoint as two do.
  alone = evaluate.evaluate_checkpoint(config, workdir)
  assert alone == pytest.approx(both[0], rel=1e-5)
  # What two processes stored, one scores as they did.
  assert evaluate.score_store(config, workdir) == pytest.approx(
    both[0], rel=1e-5
  )
  # A rank may turn where two distances differ by rounding.
  assert abs(both[0]["mean/rank1"] - results["mean/rank1"]) < 2
  ours, theirs = (
    [
      json.loads(line)
      for line in (w / "metrics.jsonl").read_text().splitlines()
    ]
    for w in (workdir, whole)
  )
  for a, b in zip(ours, theirs, strict=True):
    if "train/loss" in b:
      np.testing.assert_allclose(a["train/loss"], b["train/loss"], rtol=1e-4)
  np.testing.assert_allclose(
    ours[0]["train/loss"], theirs[0]["train/loss"], rtol=1e-6
  )
