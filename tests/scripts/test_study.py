"""The program that trains a list of objectives by several seeds."""

import json
import re

import pytest

from tests.helpers import command

PROGRAM = ("scripts/study.py",)


def finished(workdir, name, seed, rank1):
  """Writes what a run of seven steps leaves of its evaluation."""
  folder = workdir / name / str(seed) / "eval"
  folder.mkdir(parents=True)
  found = {"NM/rank1": rank1 + 3, "BG/rank1": rank1, "CL/rank1": rank1 - 3}
  (folder / "7.json").write_text(json.dumps(found))


def cells(text, name):
  (line,) = [x for x in text.splitlines() if x.startswith(f"| {name} |")]
  return [cell.strip() for cell in line.strip("|").split("|")]


def test_the_report_pairs_runs_by_seed(tmp_path):
  workdir, docs = tmp_path / "study", tmp_path / "docs"
  for seed, (alone, gaitkd) in enumerate([(40, 42), (50, 53), (45, 49)]):
    finished(workdir, "student_alone", seed, alone)
    finished(workdir, "gaitkd", seed, gaitkd)
  finished(workdir, "plain_kd", 1, 48)
  args = ["--report", "--steps=7", f"--workdir={workdir}", f"--docs={docs}"]
  printed = command.output(*args, program=PROGRAM)
  text = (docs / "study.md").read_text()
  assert text in printed and "--seeds=3 --steps=7" in text
  assert cells(text, "student alone")[1:] == ["3", "45.00", "5.00", "-"]
  # Student's t of two degrees of freedom: 4.303 x 1 / sqrt(3).
  assert cells(text, "GaitKD")[1:] == ["3", "48.00", "5.57", "+3.00 ± 2.48"]
  assert cells(text, "plain KD")[1:] == ["1", "48.00", "-", "-2.00 ± -"]
  svg = (docs / "study.svg").read_text()
  assert svg.startswith("<svg") and svg.count("<circle") == 2
  # What is above the student alone for sure is green.
  assert len(re.findall('<circle[^>]*fill="#1a7f37"', svg)) == 1


@pytest.mark.slow
def test_a_run_is_trained_once(tmp_path, home):
  args = [
    "--smoke",
    "--steps=1",
    "--seeds=1",
    "--rows=student alone",
    f"--workdir={tmp_path / 'study'}",
    f"--docs={tmp_path / 'docs'}",
  ]
  first = command.output(*args, program=PROGRAM, home=home)
  assert "== student alone, seed 0" in first
  again = command.output(*args, program=PROGRAM, home=home)
  assert "==" not in again
  assert cells(again, "student alone") == cells(first, "student alone")


@pytest.mark.parametrize(
  "args, words",
  [
    (("--rows=GaitKDD",), "--rows has 'GaitKDD'; give some of student alone"),
    (("--part=2/2",), "--part is 2/2"),
    (("--report",), "is finished"),
  ],
)
def test_mistakes_are_one_line(tmp_path, args, words):
  args = (*args, f"--workdir={tmp_path}", f"--docs={tmp_path}")
  assert words in command.mistake(*args, program=PROGRAM)
