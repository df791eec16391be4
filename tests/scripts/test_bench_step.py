"""The program that times steps and forward passes."""

import re

import pytest

from gaitkd_jax import models
from tests.helpers import command

BENCH = ("scripts/bench_step.py",)


@pytest.mark.slow
def test_a_step_is_timed_beside_the_roofline():
  done = command.run(
    "--config=configs/skeletongaitpp.py:ccpg_smoke",
    "--sequences=2",
    "--frames=3",
    "--repeats=1",
    "--dtypes=float32",
    program=BENCH,
  )
  assert done.returncode == 0, done.stderr
  title, row = done.stdout.splitlines()
  assert "roofline (matrix product): float32 " in title
  assert row.startswith("skeletongaitpp float32")
  assert "% of the roofline), forward " in row


@pytest.mark.slow
def test_families_are_timed_in_their_default_sizes():
  done = command.run(
    "--families=gaitset",
    "--sequences=2",
    "--frames=3",
    "--repeats=1",
    "--dtypes=float32",
    program=BENCH,
  )
  assert done.returncode == 0, done.stderr
  assert done.stdout.splitlines()[1].startswith("gaitset float32  teachers 0")


@pytest.mark.slow
def test_a_quantised_step_is_timed_beside_a_float_one():
  done = command.run(
    "--config=configs/walkers_baseline.py:smoke",
    "--quantization=w4a4",
    "--sequences=2",
    "--frames=3",
    "--repeats=1",
    "--dtypes=float32",
    program=BENCH,
  )
  assert done.returncode == 0, done.stderr
  rows = done.stdout.splitlines()[1:]
  assert len(rows) == 3
  assert rows[0].startswith("gaitbase float32  teachers 0: step ")
  assert rows[1].startswith("gaitbase float32  W4A4 teachers 0: step ")
  assert "a step of W4A4 takes " in rows[2]
  assert rows[2].endswith(" times as long as one of float")
  seconds = [float(re.search(r"step ([\d.]+) s", r)[1]) for r in rows[:2]]
  told = float(re.search(r"takes ([\d.]+) times", rows[2])[1])
  assert told == pytest.approx(seconds[1] / seconds[0], rel=0.05)


@pytest.mark.parametrize(
  "args, words",
  [
    (("--families=gaitbas",), ", ".join(list(models.MODELS)[1:])),
    (("--families=deepgaitv2",), "give some of deepgaitv2-2d, deepgaitv2-p3d"),
    (("--dtypes=float16",), "float16"),
    (("--quantization=4",), "bits are '4'; write them as w4a8"),
    (("--config=configs/casiab.py", "--families=gaitset"), "both"),
  ],
)
def test_one_line_and_status_2(args, words):
  done = command.run(*args, program=BENCH)
  assert done.returncode == 2, done.stderr
  assert words in done.stderr
  assert done.stderr.count("\n") == 1, done.stderr
