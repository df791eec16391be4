"""The table of the student with and without its teacher."""

import re
import types

import numpy as np
import pytest

from tests.helpers import command
from tests.helpers import configs
from tests.helpers import scripts

PROGRAM = ("scripts/compare.py",)


@pytest.fixture(scope="module")
def script():
  return scripts.load("compare")


def runs(script, *means):
  return [script.Run(np.full(4, mean), 2.0 * mean) for mean in means]


def test_rows_of_one_seed(script):
  _, config = configs.load("walkers")
  alone, distilled = runs(script, 40.0), runs(script, 45.0)
  lines = script.table(config, alone, distilled, runs(script, 80.0)[0])
  cells = [re.split(r"\s*\|\s*", line.strip("| ")) for line in lines]
  assert cells[0][-7:] == [
    *("NM", "BG", "CL", "mean", "parameters", "GMAC/frame", "seconds")
  ]
  small, large = ["46,408", "0.0073"], ["125,144", "0.0186"]
  assert cells[2:] == [
    ["student", *["40.00"] * 4, *small, "80"],
    ["student with GaitKD", *["45.00"] * 4, *small, "90"],
    ["teacher (test only)", *["80.00"] * 4, *large, "160"],
  ]


def test_seeds_are_paired(script):
  alone, distilled = runs(script, 40.0, 50.0), runs(script, 45.0, 57.0)
  _, config = configs.load("walkers")
  row = script.table(config, alone, distilled, None)[2]
  assert row.count("45.00 ±7.07") == 4
  text = script.gain(alone, distilled)
  assert text == ", ".join(
    f"{name} +6.00 ±1.41" for name in ("NM", "BG", "CL", "mean")
  )


@pytest.mark.parametrize("dtype", [None, "bfloat16"])
def test_a_dtype_is_that_of_all_networks(script, monkeypatch, dtype):
  monkeypatch.setattr(script, "_DTYPE", types.SimpleNamespace(value=dtype))
  monkeypatch.setattr(script, "_VARIANT", types.SimpleNamespace(value="smoke"))
  for name in ("walkers", "walkers_baseline"):
    assert script.load(name).dtype == (dtype or "float32")


@pytest.mark.slow
def test_three_steps_of_both_students(tmp_path):
  args = ("--variant=smoke", f"--workdir={tmp_path / 'run'}")
  done = command.run(
    *args,
    program=PROGRAM,
    HOME=str(tmp_path),
    JAX_DISABLE_MOST_OPTIMIZATIONS="1",
  )
  assert done.returncode == 0, done.stderr
  assert "Rank-1 (%) on the test walkers" in done.stdout
  rows = [line for line in done.stdout.splitlines() if line.startswith("| s")]
  assert len(rows) == 2
  found = {p.parent.parent.name for p in tmp_path.glob("run/*/eval/3.json")}
  assert found == {"walkers_0", "walkers_baseline_0"}
