"""Curves of a training's log."""

import json

import numpy as np
import pytest

from gaitkd_jax import errors
from gaitkd_jax.evaluation import metrics as metrics_lib
from gaitkd_jax.evaluation.report import charts
from gaitkd_jax.evaluation.report import curves


def test_a_log_is_read_to_where_it_was_cut_off(tmp_path):
  path = tmp_path / "metrics.jsonl"
  rows = [
    {"step": 1, "train/loss": 4.0},
    {"step": 2, "train/loss": None, "train/accuracy": 0.5},
    {"step": 3, "train/loss": 2.0},
  ]
  text = "\n".join(map(json.dumps, rows))
  path.write_text(text + '\n{"step": 5, "train/lo')
  series = curves.read(path)
  assert set(series) == {"train/loss", "train/accuracy"}
  steps, loss = series["train/loss"]
  np.testing.assert_array_equal(steps, [1, 2, 3])
  np.testing.assert_array_equal(loss, [4, np.nan, 2])


def test_no_log(tmp_path):
  with pytest.raises(errors.UserError, match="log of the training cannot"):
    curves.read(tmp_path / "metrics.jsonl")


def test_evaluations_of_several_conditions_are_compared(monkeypatch):
  monkeypatch.setattr(charts, "_SCALE", 0.5)
  points = np.arange(2.0), np.array([30.0, 40.0])
  series = {
    f"eval/{name}": points
    for name in ("NM/rank1", "NM/EER", "CL/rank1", "mean/rank1", "NM/view/090")
  }
  primary = metrics_lib.MetricName("mean", "rank1")
  (chart,) = curves.draw(series, primary)
  assert chart.name == "training_eval"
  assert chart.alt.endswith("last: mean/rank1 40; CL/rank1 40; NM/rank1 40")
  # Of one condition there is room for every metric.
  alone = {k: v for k, v in series.items() if k.startswith("eval/NM")}
  (chart,) = curves.draw(alone, primary)
  assert chart.alt.endswith("last: NM/rank1 40; NM/EER 40")


def test_a_mark_fits_along_its_line(monkeypatch):
  drawn = []
  monkeypatch.setattr(
    charts, "lines", lambda *_, rules, **__: drawn.append(rules)
  )
  series = {"train/loss": (np.arange(3.0), np.ones(3))}
  primary = metrics_lib.MetricName("mean", "rank1")
  whole = "resumed with other settings (seed)"
  curves.draw(series, primary, {2: whole})
  keys = "batch.identities, optim.schedule.steps, seed"
  curves.draw(series, primary, {2: f"resumed with other settings ({keys})"})
  (first,), (second,) = (rules.values() for rules in drawn)
  assert first == whole
  assert second.startswith("other settings (batch.identities, optim")
  assert len(second) == charts.RULE_LETTERS and second.endswith("…")
