"""The whole program on the tiny embedded data."""

import dataclasses
import json
import os
import signal

import jax
import numpy as np
import pytest

from gaitkd_jax import checkpoint
from gaitkd_jax import checkpointer as checkpointer_lib
from gaitkd_jax import errors
from gaitkd_jax import models
from gaitkd_jax import sharding
from gaitkd_jax import workdir as workdir_lib
from gaitkd_jax.evaluation import evaluate
from gaitkd_jax.hosts import stopping
from gaitkd_jax.training import loop
from gaitkd_jax.training import run as run_lib
from gaitkd_jax.training import writers
from tests.helpers import configs
from tests.helpers import untrained


def variables(config, workdir):
  module = models.create_model(config.model)
  return checkpoint.restore_model(
    workdir,
    models.abstract_variables(module),
    sharding.replicated(sharding.create_mesh()),
  )


def rows(workdir):
  """The lines of metrics.jsonl without times."""
  return [
    {k: v for k, v in json.loads(line).items() if k not in writers.MEASURED}
    for line in (workdir / "metrics.jsonl").read_text().splitlines()
  ]


def test_workdir_holds_what_is_promised(uninterrupted):
  config, workdir, results, _ = uninterrupted
  written = json.loads((workdir / "config.json").read_text())
  assert written["train"]["steps"] == configs.STEPS
  lines = [
    json.loads(line)
    for line in (workdir / "metrics.jsonl").read_text().splitlines()
  ]
  trained = [line for line in lines if "train/loss" in line]
  assert [line["step"] for line in trained] == [1, 2, 3, 4]
  for key in ("triplet", "cross_entropy", "decision/deepgaitv2"):
    assert np.isfinite(trained[-1][f"train/{key}"])
  assert lines[-1]["eval/NM/rank1"] == results["NM/rank1"]
  evaluation = json.loads(
    (workdir / "eval" / f"{configs.STEPS}.json").read_text()
  )
  assert evaluation["CL/rank1"] == results["CL/rank1"]
  assert (workdir / "checkpoints" / str(configs.STEPS) / "model").is_dir()
  assert list(workdir.glob("events.*"))
  kept = {k for k in variables(config, workdir)["params"]}
  assert not any("deepgaitv2" in k for k in kept)


def test_the_step_is_compiled_once(uninterrupted):
  compiled = [m for m in uninterrupted[3] if m.startswith("Compiling")]
  assert sum("train_step" in m for m in compiled) == 1
  assert sum("embed_step" in m for m in compiled) == 1


@pytest.mark.slow
def test_a_killed_run_goes_on_bit_for_bit(
  uninterrupted, prepared, folder, monkeypatch, capsys
):
  config, workdir, results, _ = uninterrupted

  class KilledError(Exception):
    pass

  real = writers.JsonlWriter.write

  def write(self, step, scalars):
    if step == 3:
      raise KilledError
    real(self, step, scalars)

  monkeypatch.setattr(writers.JsonlWriter, "write", write)
  with pytest.raises(KilledError):
    loop.train_and_evaluate(config, folder / "killed")
  monkeypatch.undo()
  with (folder / "killed" / "metrics.jsonl").open("a") as f:
    f.write('{"step": 3, "trai')  # a line that was cut off
  again = loop.train_and_evaluate(config, folder / "killed")
  assert again == results
  text = capsys.readouterr().out
  assert "resumed from" in text and "settings differ" not in text
  kept = {path.name for path in (folder / "killed").glob("*.json")}
  assert kept == {"config.json"}
  for a, b in zip(
    jax.tree.leaves(variables(config, workdir)),
    jax.tree.leaves(variables(config, folder / "killed")),
    strict=True,
  ):
    np.testing.assert_array_equal(a, b)
  assert rows(folder / "killed") == rows(workdir)


@pytest.mark.slow
def test_a_stopped_run_goes_on_bit_for_bit(
  uninterrupted, folder, monkeypatch, capsys
):
  """Stopped at a step that saves nothing, then twice in the last evaluation."""
  config, whole, results, _ = uninterrupted
  workdir = folder / "stopped"
  asked = iter([])
  real = stopping.reached

  def reached():
    if next(asked, False):
      os.kill(os.getpid(), signal.SIGTERM)
    return real()

  monkeypatch.setattr(stopping, "reached", reached)
  for polls, step, owes in (
    ([False] * 2 + [True], 3, False),  # of the steps
    ([False] * 3 + [True], 4, True),  # one more step, and into its evaluation
    ([False] * 2 + [True], 4, True),  # in that evaluation, done anew
  ):
    asked = iter(polls)
    with pytest.raises(errors.Stopped, match="stopped by SIGTERM") as e:
      loop.train_and_evaluate(config, workdir)
    place = workdir / "checkpoints" / str(step)
    assert place.is_dir() and not (place / "metrics").exists()
    assert checkpoint.restored_meta(place).get("owes_scores", False) == owes
    assert e.value.saved == (polls != [False, False, True] or step == 3)
  again = loop.train_and_evaluate(config, workdir)
  assert again == results
  assert (place / "metrics").is_dir()
  a, b = (checkpoint.read_arrays(w) for w in (whole, workdir))
  assert a.keys() == b.keys() and len(a) > 50
  for key, array in a.items():
    np.testing.assert_array_equal(array, b[key], key)
  assert rows(workdir) == rows(whole)
  assert "resumed from" in capsys.readouterr().out
  # A finished run stays as it is.
  assert loop.train_and_evaluate(config, workdir) == results
  assert rows(workdir) == rows(whole)


@pytest.mark.slow
def test_a_run_goes_on_with_other_settings(prepared, tmp_path, capsys):
  config = configs.smoke_config(
    prepared,
    "walkers_baseline",
    **{"train.steps": 2, "train.eval_every": 1, "eval.verification": False},
  )
  loop.train_and_evaluate(config, tmp_path)
  before = json.loads((tmp_path / "config.json").read_text())
  assert "settings differ" not in capsys.readouterr().out
  changes = {"seed": 3, "eval.max_frames": 4, "eval.report": True}
  other = untrained.changed(config, **changes, **{"train.steps": 4})
  results = loop.train_and_evaluate(other, tmp_path)
  lines = capsys.readouterr().out.splitlines()
  first = lines.index("settings differ from those until step 2:")
  frames = f"  eval.max_frames: {config.eval.max_frames} -> 4"
  assert {"  seed: 0 -> 3", frames} <= set(lines[first : first + 5])
  # What was in force until step 2 is kept, and the curves are marked there.
  assert json.loads((tmp_path / "config.2.json").read_text()) == before
  page = (tmp_path / "eval" / "4.html").read_text()
  (place,) = workdir_lib.resumptions(tmp_path)
  assert place.step == 2
  said = f"resumed with other settings ({', '.join(place.changed)})"
  assert f"Step 2: {said}." in page
  # Scores of 12 frames are not compared with those of 4.
  scores = {
    p.parent.parent.name: json.loads(p.read_text())
    for p in tmp_path.glob("checkpoints/*/metrics/metrics")
  }
  assert scores["4"]["mean/rank1"] == results["mean/rank1"]
  old = [step for step in scores if int(step) <= 2]
  assert len(old) == 1
  assert len({scores[step]["basis"] for step in ("4", *old)}) == 2
  folder = tmp_path / "checkpoints"
  with checkpointer_lib.Checkpointer(
    folder, "mean/rank1", scores["4"]["basis"]
  ) as one:
    assert one.best_step in (3, 4)
  # An equal run has nothing to say, and other data are refused.
  loop.train_and_evaluate(other, tmp_path)
  assert "settings differ" not in capsys.readouterr().out
  small = untrained.changed(other, **{"model.num_classes": 40})
  with pytest.raises(errors.UserError, match="another --workdir"):
    loop.train_and_evaluate(small, tmp_path)


def test_evaluation_of_a_checkpoint(uninterrupted, folder):
  config, workdir, results, _ = uninterrupted
  again = evaluate.evaluate_checkpoint(config, workdir)
  assert again == results
  config = config.copy_and_resolve_references()
  config.unlock()
  config.eval.checkpoint = str(workdir / "checkpoints" / "2")
  config.eval.batch_size = 7
  other = evaluate.evaluate_checkpoint(config.lock(), folder / "other")
  assert (folder / "other" / "eval" / "2.json").exists()
  assert other.keys() == results.keys()


def test_batch_size_does_not_matter(uninterrupted):
  config, workdir, results, _ = uninterrupted
  config = config.copy_and_resolve_references()
  config.unlock()
  config.eval.batch_size = 33
  again = evaluate.evaluate_checkpoint(config.lock(), workdir)
  # Thresholds are distances, which rounding moves.
  assert again == pytest.approx(results, rel=1e-5)
  assert {k: v for k, v in again.items() if "threshold" not in k} == {
    k: v for k, v in results.items() if "threshold" not in k
  }


def test_checkpoint_of_another_model(uninterrupted, folder):
  config, workdir, _, _ = uninterrupted
  other = config.copy_and_resolve_references()
  other.unlock()
  other.model.channels = (4, 8, 16, 24)
  for run in (loop.train_and_evaluate, evaluate.evaluate_checkpoint):
    with pytest.raises(errors.UserError, match="another model.*24") as e:
      run(other, workdir)
    assert "\n" not in str(e.value) and str(workdir) in str(e.value)
  with pytest.raises(errors.UserError, match="no checkpoint"):
    evaluate.evaluate_checkpoint(config, folder / "nothing")


@pytest.mark.parametrize(
  "changes, words",
  [
    ({"teachers.deepgaitv2.checkpoint": ""}, "teacher deepgaitv2 has no"),
    ({"teachers.deepgaitv2.model.num_classes": 9}, "32 classes.*9"),
    ({"batch.identities": 3, "batch.sequences": 3}, "9 clips.*8 devices"),
    ({"data.name": "casia"}, "casia"),
    ({"eval.protocol": "gait"}, "protocol"),
  ],
)
def test_mistakes_are_found_before_work(prepared, tmp_path, changes, words):
  with pytest.raises(errors.UserError, match=words) as e:
    loop.train_and_evaluate(configs.smoke_config(prepared, **changes), tmp_path)
  assert "\n" not in str(e.value)


def test_fewer_classes_than_subjects(prepared, tmp_path):
  config = configs.smoke_config(
    prepared, "walkers_baseline", **{"model.num_classes": 5}
  )
  with pytest.raises(errors.UserError, match="5.*8 subjects"):
    loop.train_and_evaluate(config, tmp_path)


@pytest.mark.slow
def test_a_loss_that_is_not_finite_stops_the_run(prepared, tmp_path):
  config = configs.smoke_config(
    prepared, "walkers_baseline", **{"losses.triplet.weight": float("inf")}
  )
  with pytest.raises(errors.UserError, match="loss is (nan|inf) at step 1"):
    loop.train_and_evaluate(config, tmp_path)


class Spoilt:
  """The step of a run, with teachers that are not finite at some steps."""

  def __init__(self, run, spoilt):
    self._step, self._spoilt, self._done = run.train_step, spoilt, 0
    self._bad = jax.tree.map(
      lambda x: x * jax.numpy.nan, run.distillation.variables
    )

  def __call__(self, state, teachers, batch):
    self._done += 1
    teachers = self._bad if self._done in self._spoilt else teachers
    return self._step(state, teachers, batch)


def train_spoilt(run, workdir, spoilt):
  """Trains in a fresh folder; of one run all take the compiled programs."""
  workdir_lib.make_workdir(workdir)
  run = dataclasses.replace(
    run, workdir=workdir, train_step=Spoilt(run, spoilt)
  )
  with checkpointer_lib.Checkpointer(
    workdir / "checkpoints", run.primary_metric
  ) as checkpointer:
    state = loop.initial_state(run, checkpointer)
    loop.train(run, checkpointer, state, None)


@pytest.mark.slow
def test_steps_that_are_not_finite_are_skipped_and_counted(
  prepared, tmp_path, capsys
):
  config = configs.smoke_config(
    prepared,
    **{
      "train.skip_nonfinite": 2,
      "train.steps": 6,
      "train.log_every": 6,
      "train.checkpoint_every": 3,
      "eval.verification": False,
      "eval.report": False,
    },
  )
  run = run_lib.prepare(config, tmp_path / "skips")
  train_spoilt(run, tmp_path / "skips", {2, 3, 5})
  said = capsys.readouterr().err
  assert "step 3 is skipped (2 in a row of 2 allowed, 2 since" in said
  assert "decision/deepgaitv2 is nan" in said
  trained = [
    json.loads(line)
    for line in (tmp_path / "skips" / "metrics.jsonl").read_text().splitlines()
    if "train" in line
  ]
  skipped = [line["step"] for line in trained if line.get("train/skipped")]
  assert skipped == [2, 3, 5]
  assert np.isfinite(trained[-1]["train/loss"])
  # A third one in a row ends the run; the last checkpoint is whole.
  with pytest.raises(errors.UserError) as e:
    train_spoilt(run, tmp_path / "ends", {4, 5, 6})
  text = str(e.value)
  assert "the loss is nan at step 6" in text and "2 steps before it" in text
  assert "the last whole checkpoint is that of step 3" in text
  for leaf in jax.tree.leaves(variables(config, tmp_path / "ends")):
    assert np.isfinite(leaf).all()


@pytest.mark.slow
def test_a_state_that_is_not_finite_is_never_saved(prepared, tmp_path):
  """Of steps that are not logged, and of an update that is too large."""
  config = configs.smoke_config(
    prepared, **{"train.log_every": 100, "train.checkpoint_every": 3}
  )
  run = run_lib.prepare(config, tmp_path / "a")
  with pytest.raises(errors.UserError, match="loss is nan at step 2: .*decis"):
    train_spoilt(run, tmp_path / "a", {2})
  assert checkpoint.newest_step(tmp_path / "a") is None

  overflow = jax.jit(
    lambda stats: jax.tree.map(lambda x: x + jax.numpy.inf, stats)
  )

  def overflowing(state, teachers, batch):
    state, metrics = run.train_step(state, teachers, batch)
    return state.replace(batch_stats=overflow(state.batch_stats)), metrics

  workdir = tmp_path / "b"
  workdir_lib.make_workdir(workdir)
  with (
    pytest.raises(errors.UserError, match="state after step 1 is not") as e,
    checkpointer_lib.Checkpointer(workdir / "checkpoints", "x") as c,
  ):
    state = loop.initial_state(run, c)
    once = config.copy_and_resolve_references()
    with once.unlocked():
      once.train.checkpoint_every = 1
    changed = dataclasses.replace(
      run, workdir=workdir, train_step=overflowing, config=once
    )
    loop.train(changed, c, state, None)
  assert "\n" not in str(e.value)
  assert checkpoint.newest_step(workdir) is None
