"""The programs that describe and time networks."""

import pytest

from gaitkd_jax import models
from tests.helpers import command

DESCRIBE = ("scripts/describe_model.py",)
BENCH = ("scripts/bench_step.py",)


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
  assert "| 12 x 16 x 11 x 512 |" in student
  assert "backward" in student and "backward" not in teacher


def test_the_receptive_field_is_printed():
  done = command.run(
    "--config=configs/walkers_baseline.py:smoke", program=DESCRIBE
  )
  assert done.returncode == 0, done.stderr
  assert "pooling over time (frames): 1\n" in done.stdout


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


@pytest.mark.parametrize(
  "args, program, words",
  [
    (("--config=configs/casiab.py", "--config.foo=1"), DESCRIBE, "foo"),
    (("--config=configs/casiab.py:x",), DESCRIBE, "no variant 'x'"),
    (("--families=gaitbas",), BENCH, ", ".join(list(models.MODELS)[1:])),
    (("--dtypes=float16",), BENCH, "float16"),
    (("--config=configs/casiab.py", "--families=gaitset"), BENCH, "both"),
  ],
)
def test_one_line_and_status_2(args, program, words):
  done = command.run(*args, program=program)
  assert done.returncode == 2, done.stderr
  assert words in done.stderr
  assert done.stderr.count("\n") == 1, done.stderr
