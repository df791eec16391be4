"""Stops at random moments, and what they must not change."""

import json
import shutil

import pytest

from tests.helpers import command
from tests.helpers import scripts

PROGRAM = ("scripts/rehearse_stops.py",)
CONFIG = "--config=configs/walkers_baseline.py:smoke"
script = scripts.load("rehearse_stops")


def test_a_folder_is_asked_for():
  assert "--output is missing" in command.mistake(CONFIG, program=PROGRAM)


@pytest.mark.parametrize(
  "signal, process, statuses, connected, clean",
  [
    ("SIGTERM", 0, [75, 75], True, True),
    ("SIGTERM", 0, [75, 76], True, True),
    ("SIGKILL", 1, [76, -9], True, True),
    ("SIGKILL", 1, [-6, -9], True, False),
    ("SIGKILL", 1, [2, -9], True, False),
    ("SIGKILL", 1, [2, -9], False, True),
    ("SIGTERM", 0, [0, 75], True, False),
    ("SIGTERM", 0, [1], True, False),
  ],
)
def test_statuses_are_looked_at(signal, process, statuses, connected, clean):
  stop = script.Stop(
    0, signal, process, 1.0, statuses, 0.1, 0.1, None, "", connected
  )
  assert stop.is_clean == clean


@pytest.fixture(scope="module")
def rehearsed(tmp_path_factory):
  """What two stops said, and where the runs are."""
  folder = tmp_path_factory.mktemp("rehearsed")
  said = command.output(
    CONFIG,
    f"--output={folder}",
    "--stops=2",
    f"--config.data.prepared={folder}",
    program=PROGRAM,
  )
  return said, folder


@pytest.mark.slow
def test_what_differs_is_named(rehearsed, tmp_path):
  workdir, other = rehearsed[1] / "whole", tmp_path / "other"
  shutil.copytree(workdir, other)
  assert script.differences(workdir, other) == []
  lines = (other / "metrics.jsonl").read_text().splitlines()
  row = json.loads(lines[1])
  row["train/loss"] += 1e-6
  (other / "metrics.jsonl").write_text(
    "\n".join([lines[0], json.dumps(row), *lines[2:]])
  )
  (last,) = (other / "eval").glob("*.json")
  last.write_text("{}")
  named = ["metrics.jsonl", f"eval/{last.name}"]
  assert script.differences(workdir, other) == named
  shutil.rmtree(other / "checkpoints" / last.stem)  # another step is the last
  assert "optimizer/step" in script.differences(workdir, other)


@pytest.mark.slow
def test_two_stops_lose_nothing(rehearsed):
  said, _ = rehearsed
  line = said.splitlines()[-1]
  assert line.startswith("2 stops (1 SIGKILL, 1 SIGTERM) of "), said
  assert line.endswith(", 0 stops with another status than they should have")
