"""The benchmark of the search."""

import pathlib

import numpy as np

from tests.helpers import command

PROGRAM = ("scripts/bench_search.py",)


def test_the_benchmark_runs(tmp_path):
  args = (
    "--gallery=5000",
    "--probes=9",
    "--parts=2",
    "--channels=32",
    f"--folder={tmp_path}",
    "--memory_gib=0.01",
  )
  done = command.run(*args, program=PROGRAM)
  assert done.returncode == 0, done.stderr
  assert "9 probes in 5000 x 2 x 32 float16" in done.stdout
  assert "recall@1 100.00 %, recall@10 " in done.stdout
  (written,) = pathlib.Path(tmp_path).iterdir()
  gallery = np.load(written)
  assert gallery.shape == (5000, 2, 32) and gallery.dtype == np.float16
  # Eight of one identity are much nearer to each other than to the next ones.
  one, other = gallery[:16].astype(np.float32).reshape(2, 8, 2, 32)
  apart = np.linalg.norm(one - one[::-1], axis=-1).mean()
  assert apart < 0.6 * np.linalg.norm(one - other, axis=-1).mean()


def test_the_evaluation_is_timed():
  args = ("--scoring", "--parts=1", "--channels=8")
  done = command.run(*args, program=PROGRAM)
  assert done.returncode == 0, done.stderr
  assert "scoring 5485 x 1 x 8, second time: " in done.stdout
