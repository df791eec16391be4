"""The program that measures what signs of channels tell."""

import numpy as np

from tests.helpers import scripts


def outputs(share, rng):
  """32 clips of one part and four channels, so many of them positive."""
  embedding = rng.uniform(0.5, 1.5, size=(32, 1, 4))
  embedding[int(32 * share) :] *= -1
  return embedding.astype(np.float32)


def test_rows_of_the_tables():
  script = scripts.load("boundary_sides")
  rng = np.random.default_rng(0)
  raw, neck = outputs(1.0, rng), outputs(0.5, rng)
  teacher = {"embedding": raw, "neck": neck}
  cells = script.describe_teacher("big", teacher).split(" | ")
  assert float(cells[1]) > 2  # far from zero
  assert cells[2:] == ["0.00", "100 %", "1.00", "0 % |"]
  # It has the neck's sides around its mean, though all of it is positive.
  student = {"embedding": 5 + neck}
  row = script.describe_student("runs/a", student, teacher)
  assert row == "| runs/a | 100.0 % | 100.0 % |"
  student = {"embedding": -5 - neck}
  row = script.describe_student("runs/a", student, teacher)
  assert row == "| runs/a | 0.0 % | 0.0 % |"
  row = script.describe_student("runs/a", student, {"embedding": raw})
  assert row == "| runs/a | 0.0 % | - |"
