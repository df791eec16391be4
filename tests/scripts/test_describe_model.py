"""The program that says what networks cost."""

import pytest

from tests.helpers import command

DESCRIBE = ("scripts/describe_model.py",)


def test_student_and_teacher_are_described():
  done = command.run(
    "--config=configs/casiab.py",
    "--config.clip.frames=12",
    "--noreceptive_field",
    program=DESCRIBE,
  )
  assert done.returncode == 0, done.stderr
  student, teacher = done.stdout.split("teacher deepgaitv2")
  assert "parameters: 7,305,408; without neck 6,994,112" in student
  assert "parameters: 8,339,392; without neck 8,028,096" in teacher
  assert "| module " in student
  assert "| 12 x 16 x 11 x 512 |" in student
  assert "backward" in student and "backward" not in teacher


def test_the_receptive_field_is_printed():
  done = command.run(
    "--config=configs/walkers_baseline.py:smoke", program=DESCRIBE
  )
  assert done.returncode == 0, done.stderr
  assert "pooling over time (frames): 1\n" in done.stdout


@pytest.mark.parametrize(
  "args, words",
  [
    (("--config=configs/casiab.py", "--config.foo=1"), "foo"),
    (("--config=configs/casiab.py:x",), "no variant 'x'"),
  ],
)
def test_one_line_and_status_2(args, words):
  done = command.run(*args, program=DESCRIBE)
  assert done.returncode == 2, done.stderr
  assert words in done.stderr
  assert done.stderr.count("\n") == 1, done.stderr
