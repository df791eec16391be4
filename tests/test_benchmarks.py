"""Every benchmark, from its files to a trained and scored network."""

import json
import math

import pytest

from gaitkd_jax.evaluation import evaluate
from gaitkd_jax.training import loop
from tests.helpers import configs
from tests.helpers import trees

# Each data set and each family once, each layout of the files several times.
RUNS = [
  ("gaitbase", "grew_smoke", "raw"),
  ("skeletongaitpp", "gait3d_smoke", "pickle"),
  ("ccpg", "smoke", "raw"),
  ("swingait", "sustech1k_smoke", "pickle"),
  ("gaitset", "oumvlp_smoke", "pickle"),
  ("gaitpart", "oumvlp_smoke", "raw"),
  ("gaitgl", "casiab_smoke", "pickle"),
]


@pytest.mark.slow
@pytest.mark.parametrize("name, variant, layout", RUNS)
def test_three_steps_and_an_evaluation(name, variant, layout, tmp_path):
  _, config = configs.load(name, variant)
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
