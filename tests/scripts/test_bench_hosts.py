"""The program that times an evaluation on the cores of two hosts."""

import re

import pytest

from tests.helpers import command

PROGRAM = ("scripts/bench_hosts.py",)
CONFIG = "--config=configs/walkers_baseline.py:smoke"


@pytest.mark.slow
def test_one_process_and_two_are_timed(prepared):
  printed = command.output(
    CONFIG,
    f"--config.data.prepared={prepared}",
    "--rounds=1",
    "--embeddings=600",
    program=PROGRAM,
  )
  assert re.findall(r"^(--mode=.*), median of 1$", printed, re.M) == [
    "--mode=eval, gaitbase on walkers",
    "--mode=score, 600 embeddings",
  ]
  rows = re.findall(r"^(\w.*?) +([\d.]+) +([\d.]+) +([\d.]+)$", printed, re.M)
  labels = ["seconds", "of the processor", "in all"]
  assert [row[0] for row in rows] == 2 * labels
  for _, one, two, _ in rows:
    assert float(one) > 0 and float(two) > 0
  apart = re.findall(r"^metrics differ by (\S+) at most$", printed, re.M)
  assert len(apart) == 2 and max(map(float, apart)) < 1e-3


def test_what_cannot_be_compared_is_one_line():
  text = command.mistake(
    CONFIG, "--config.eval.protocol=hid_submission", program=PROGRAM
  )
  assert "hid_submission has no metrics to compare" in text
