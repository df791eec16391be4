"""What a training prints and logs."""

import json

import jax.numpy as jnp
import pytest

from gaitkd_jax import errors
from gaitkd_jax.training import logs
from tests.helpers import configs


@pytest.fixture
def config(prepared):
  return configs.smoke_config(prepared)


class Recorder:
  """A writer that remembers."""

  def __init__(self):
    self.written = []

  def write(self, step, scalars):
    self.written.append((step, dict(scalars)))


def test_metrics_are_written_a_step_later(config, tmp_path):
  recorder = Recorder()
  reporter = logs.Reporter(config, tmp_path, recorder)
  finite = {"loss": jnp.ones([]), "gradient_norm": jnp.ones([])}
  reporter.metrics_later(1, finite)
  assert recorder.written == []
  reporter.flush()
  assert recorder.written == [
    (1, {"train/loss": 1.0, "train/gradient_norm": 1.0})
  ]
  reporter.flush()  # nothing is left
  assert len(recorder.written) == 1
  reporter.metrics_later(3, finite)
  reporter.flush()
  step, scalars = recorder.written[1]
  assert step == 3
  speed = scalars["train/seconds_per_step"]
  clips = config.batch.identities * config.batch.sequences
  assert scalars["train/sequences_per_second"] == pytest.approx(clips / speed)


@pytest.mark.parametrize("name", ["loss", "gradient_norm"])
def test_what_is_not_finite_is_never_written(config, tmp_path, name):
  recorder = Recorder()
  reporter = logs.Reporter(config, tmp_path, recorder)
  metrics = {"loss": jnp.ones([]), "gradient_norm": jnp.ones([])}
  reporter.metrics_later(5, metrics | {name: jnp.array(jnp.nan)})
  with pytest.raises(errors.UserError, match=f"the {name} is nan at step 5"):
    reporter.flush()
  assert recorder.written == []


def test_the_config_is_kept(config, tmp_path):
  with logs.create_writer(config, tmp_path, None) as writer:
    writer.write(1, {"train/loss": 0.5})
  kept = json.loads((tmp_path / "config.json").read_text())
  assert kept["train"]["steps"] == configs.STEPS
  assert (tmp_path / "metrics.jsonl").read_text().startswith('{"step": 1')
