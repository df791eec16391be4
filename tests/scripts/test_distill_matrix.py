"""The program that distils between all families."""

import re

import pytest

from tests.helpers import command

PROGRAM = ("scripts/distill_matrix.py",)


@pytest.mark.slow
def test_a_matrix_of_students_and_teachers(home):
  names = ["gaitset", "gaitpart"]
  printed = command.output(
    f"--families={','.join(names)}", "--steps=2", program=PROGRAM, home=home
  )
  lines = printed[printed.index("   gaitset") :].splitlines()
  assert lines[0].split() == names
  for i, name in enumerate(names):
    student, *cells = re.split(r"\s{2,}", lines[1 + i].strip())
    assert student == name and cells[i] == "-"
    # Neither has a classifier; their parts lie at different heights.
    level, change = cells[1 - i].split()
    assert level == "Bo" and -100 < float(change.removesuffix("%")) < 100
  for note in lines[3:5]:
    assert "only the boundary loss applies" in note
  assert lines[-1].startswith("2 families, 2 steps each")


def test_an_unknown_family_is_one_line():
  args = ("--families=gaitsett",)
  assert "--families has 'gaitsett'" in command.mistake(*args, program=PROGRAM)
