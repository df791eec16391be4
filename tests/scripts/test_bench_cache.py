"""The program that times training with cached teachers."""

import re

import pytest

from tests.helpers import command

PROGRAM = ("scripts/bench_cache.py",)


@pytest.mark.slow
def test_a_step_is_timed_with_every_kind_of_teachers(prepared):
  printed = command.output(
    "--config=configs/walkers.py:smoke",
    f"--config.data.prepared={prepared}",
    "--steps=1",
    program=PROGRAM,
  )
  lines = printed.splitlines()
  (filled,) = [x for x in lines if x.startswith("deepgaitv2: ")]
  assert re.search(r" \d+ bytes a sequence, \S+ s to fill", filled)
  assert "s with the clips of the cache" in lines[-4]
  matched = [
    re.fullmatch(r"(.*): \S+ s a step, (\S+) x no teacher", line)
    for line in lines[-3:]
  ]
  ratios = {found[1]: float(found[2]) for found in matched}
  assert list(ratios) == ["no teacher", "cached", "on the device"]
  assert ratios["no teacher"] == 1 and min(ratios.values()) > 0


def test_a_config_without_teachers_is_one_line():
  args = ("--config=configs/walkers_baseline.py:smoke",)
  assert "the config has no teachers" in command.mistake(*args, program=PROGRAM)
