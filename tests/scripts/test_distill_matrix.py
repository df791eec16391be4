"""The matrix of students and teachers."""

import re

import numpy as np
import pytest

from tests.helpers import command
from tests.helpers import scripts


@pytest.fixture(scope="module")
def script():
  return scripts.load("distill_matrix")


@pytest.fixture(scope="module")
def experiments(script, prepared):
  """Two batches."""
  config = script.default_config()
  config.data.modalities = ("silhouettes",)
  config.data.prepared = str(prepared)
  return script.Experiments(config, steps=2)


@pytest.mark.slow
def test_a_student_of_sets_learns_from_a_teacher_of_strips(script, experiments):
  variables, history = experiments.run("gaitbase", {}, None, None)
  assert [set(m) >= {"triplet", "cross_entropy"} for m in history] == [True] * 2
  outputs = experiments.outputs_of("gaitbase", variables)
  assert outputs[0].keys() == {
    "teacher_outputs/embedding",
    "teacher_outputs/logits",
  }
  assert outputs[0]["teacher_outputs/embedding"].shape == (8, 16, 16)
  cell, notes = script.pair(experiments, "gaitset", "gaitbase", outputs)
  # The boundary level alone, by height; as wide, so without a connector.
  assert re.fullmatch(r"Bo [+-]\d+%", cell)
  assert any("no classifier" in note for note in notes)


@pytest.mark.slow
def test_unequal_widths_get_a_connector(script, experiments):
  clips = {"embedding": (8, 16, 8), "logits": (8, 16, experiments.classes)}
  rng = np.random.default_rng(0)
  outputs = [
    {
      f"teacher_outputs/{key}": rng.normal(size=shape).astype(np.float32)
      for key, shape in clips.items()
    }
    for _ in range(2)
  ]
  families = script.FAMILIES
  families["narrow"] = families["gaitbase"] | dict(embedding_dim=8)
  try:
    cell, notes = script.pair(experiments, "gaitbase", "narrow", outputs)
  finally:
    del families["narrow"]
  assert re.fullmatch(r"DBc [+-]\d+%", cell)
  assert not notes


def test_an_unknown_family_is_one_line():
  done = command.run(
    "--families=gaitbas", program=("scripts/distill_matrix.py",)
  )
  assert done.returncode == 2, done.stderr
  assert "--families has 'gaitbas'; give some of gaitbase" in done.stderr
  assert done.stderr.count("\n") == 1, done.stderr
