"""What a training prints and logs."""

import contextlib
import json
import math

import jax
import jax.numpy as jnp
import pytest

from gaitkd_jax import errors
from gaitkd_jax.training import finite
from gaitkd_jax.training import logs
from gaitkd_jax.training import watch
from gaitkd_jax.training import writers
from tests.helpers import configs


@pytest.fixture
def config(prepared):
  return configs.smoke_config(prepared)


class Recorder:
  """A writer that remembers."""

  name = "memory"

  def __init__(self):
    self.written = []

  def write(self, step, scalars):
    self.written.append((step, dict(scalars)))


FINITE = {"loss": jnp.ones([]), "gradient_norm": jnp.ones([])}


@contextlib.contextmanager
def reporting(config, workdir, allowed=0):
  recorder = Recorder()
  guard = finite.Guard(allowed, workdir, lambda i: [f"sequence {i}"], int)
  with watch.Watch() as steps:
    yield (
      logs.Reporter(config, workdir, recorder, steps, guard),
      recorder,
      steps,
    )


def computed(recorder):
  """What was written, without what was measured."""
  return [
    (step, {k: v for k, v in scalars.items() if k not in writers.MEASURED})
    for step, scalars in recorder.written
  ]


def test_metrics_are_written_when_they_are_there(config, tmp_path):
  with reporting(config, tmp_path) as (reporter, recorder, steps):
    steps.started(1, FINITE, True)
    steps.started(2, FINITE, False)
    steps.started(3, FINITE, True)
    reporter.flush(wait=True)
    reporter.flush(wait=True)  # nothing is left
  values = {"train/loss": 1.0, "train/gradient_norm": 1.0}
  assert computed(recorder) == [(1, values), (3, values)]
  assert "train/steps_per_second" not in recorder.written[0][1]  # it compiled
  measured = recorder.written[1][1]
  speed = measured["train/seconds_per_step"]
  clips = config.batch.identities * config.batch.sequences
  assert measured["train/sequences_per_second"] == pytest.approx(clips / speed)
  assert measured["train/steps_per_second"] == pytest.approx(1 / speed)


def test_flush_does_not_wait_for_the_device(config, tmp_path):
  slow = jax.jit(
    lambda x: jax.lax.fori_loop(0, 400, lambda i, y: y @ x, x)[0, 0]
  )
  x = jnp.eye(300)
  slow(x).block_until_ready()
  with reporting(config, tmp_path) as (reporter, recorder, steps):
    loss = slow(x)
    steps.started(1, FINITE | {"loss": loss}, True)
    reporter.flush()
    assert recorder.written == [] and not loss.is_ready()
    reporter.flush(wait=True)
    assert loss.is_ready() and len(recorder.written) == 1


@pytest.mark.parametrize("name", ["loss", "gradient_norm"])
def test_what_is_not_finite_is_never_written(config, tmp_path, name):
  with reporting(config, tmp_path) as (reporter, recorder, steps):
    # It need not be a step that is logged.
    steps.started(5, FINITE | {name: jnp.array(jnp.nan)}, False)
    with pytest.raises(errors.UserError, match=f"the {name} is nan at step 5"):
      reporter.flush(wait=True)
  assert recorder.written == []


def test_a_step_that_is_skipped_is_logged(config, tmp_path, capsys):
  with reporting(config, tmp_path, allowed=1) as (reporter, recorder, steps):
    for i in range(1, 5):
      loss = jnp.array(jnp.nan if i in (2, 4) else 1.0)
      steps.started(i, FINITE | {"loss": loss}, i == 4)
    reporter.flush(wait=True)
  (two, four) = computed(recorder)
  assert two == (2, {"train/skipped": 1.0})
  assert four[0] == 4 and four[1]["train/skipped"] == 1.0
  assert math.isnan(four[1]["train/loss"])
  said = capsys.readouterr().err
  assert "step 2 is skipped (1 in a row of 1 allowed, 1 since the st" in said
  assert "step 4 is skipped (1 in a row of 1 allowed, 2 since the st" in said


def test_the_config_is_kept(config, tmp_path):
  with logs.create_writer(config, tmp_path, None) as writer:
    writer.write(1, {"train/loss": 0.5})
  kept = json.loads((tmp_path / "config.json").read_text())
  assert kept["train"]["steps"] == configs.STEPS
  assert (tmp_path / "metrics.jsonl").read_text().startswith('{"step": 1')
