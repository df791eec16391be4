"""Every benchmark, from its files to a trained and scored network."""

import json
import math

import pytest

from gaitkd_jax.evaluation import evaluate
from gaitkd_jax.training import loop
from tests.helpers import configs
from tests.helpers import trees

# Each data set once, each family once, each layout of the files several times.
RUNS = [
  ("casiab_baseline", "raw"),
  ("gaitbase_oumvlp", "raw"),
  ("gaitbase_grew", "raw"),
  ("skeletongaitpp_gait3d", "pickle"),
  ("ccpg", "raw"),
  ("swingait_sustech1k", "pickle"),
]


@pytest.mark.parametrize("name, layout", RUNS)
def test_three_steps_and_an_evaluation(name, layout, tmp_path):
  _, config = configs.load(name, "smoke")
  heatmaps = "heatmaps" in config.data.modalities
  trees.write(
    tmp_path / "tree", config.data.name, layout, with_heatmaps=heatmaps
  )
  config.data.root = str(tmp_path / "tree")
  config.data.prepared = str(tmp_path / "prepared")
  results = loop.train_and_evaluate(config, tmp_path / "run")
  assert 0 <= results[evaluate.primary_metric(config)] <= 100
  lines = (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()
  rows = [row for row in map(json.loads, lines) if "train/loss" in row]
  assert [row["step"] for row in rows] == [1, 2, 3]
  assert all(math.isfinite(row["train/loss"]) for row in rows)
