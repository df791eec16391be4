"""The program that compares the embedded student with and without GaitKD."""

import json

import pytest

from tests.helpers import command

PROGRAM = ("scripts/compare.py",)


@pytest.mark.slow
def test_the_table_holds_what_the_runs_found(tmp_path, home):
  workdir = tmp_path / "compared"
  printed = command.output(
    f"--workdir={workdir}",
    "--variant=smoke",
    "--steps=1",
    program=PROGRAM,
    home=home,
  )
  table = printed[printed.index("Rank-1 (%) on the test walkers") :]
  rows = [
    [cell.strip() for cell in line.strip("|").split("|")]
    for line in table.splitlines()
    if line.startswith("| ")
  ]
  # The teacher of the variant is untrained, so it is not in the table.
  names = {"student": "walkers_baseline", "student with GaitKD": "walkers"}
  assert rows[0][1:5] == ["NM", "BG", "CL", "mean"]
  assert [row[0] for row in rows[1:]] == list(names)
  for row in rows[1:]:
    path = workdir / f"{names[row[0]]}_0" / "eval" / "1.json"
    found = json.loads(path.read_text())
    expected = [f"{found[f'{c}/rank1']:.2f}" for c in rows[0][1:5]]
    assert row[1:5] == expected
    assert 0 < float(row[4]) <= 100


def test_a_variant_that_is_not_there_is_one_line(tmp_path):
  args = (f"--workdir={tmp_path}", "--variant=smok")
  assert "no variant 'smok'" in command.mistake(*args, program=PROGRAM)
