"""The program that times steps and forward passes."""

import re

import pytest

from tests.helpers import command

PROGRAM = ("scripts/bench_step.py",)


@pytest.mark.slow
def test_a_config_is_timed_with_and_without_its_teachers():
  printed = command.output(
    "--config=configs/walkers.py:smoke",
    "--sequences=2",
    "--frames=3",
    "--repeats=1",
    "--dtypes=float32",
    program=PROGRAM,
  )
  _, *rows = printed.splitlines()
  assert len(rows) == 2
  for teachers, row in enumerate(rows):
    assert row.startswith(f"gaitbase float32  teachers {teachers}: step "), row
    rates = re.findall(r"([\d.]+) sequences/s", row)
    assert len(rates) == 2 and all(float(rate) > 0 for rate in rates)
    assert "compilation " in row and row.endswith(" GiB (process)")


def test_an_unknown_dtype_is_one_line():
  args = ("--families=gaitset", "--dtypes=float32,float64")
  assert "--dtypes has 'float64'" in command.mistake(*args, program=PROGRAM)
