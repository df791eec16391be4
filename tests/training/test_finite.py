"""What is said and done where something is not finite."""

import json

import jax.numpy as jnp
import pytest

from gaitkd_jax import errors
from gaitkd_jax.training import finite
from gaitkd_jax.training import step as step_lib
from gaitkd_jax.training import watch

NAMES = [f"00{i}-nm-01-090" for i in range(6)]
GOOD = dict(
  loss=3.0, gradient_norm=1.0, triplet=1.0, cross_entropy=2.0, learning_rate=0.1
)


def guard(workdir, allowed=0, last=100):
  return finite.Guard(allowed, workdir, lambda i: NAMES, lambda: last)


def done(step, **metrics):
  values = GOOD | metrics
  arrays = {k: jnp.asarray(v, jnp.float32) for k, v in values.items()}
  ok = all(jnp.isfinite(arrays[k]) for k in watch.WATCHED)
  return watch.Done(step, arrays, False, ok, 0.0, 0.0)


NAN = float("nan")


@pytest.mark.parametrize(
  "metrics, words",
  [
    (
      {"loss": NAN, "decision/a": NAN},
      "the loss is nan at step 120: decision/a is nan;",
    ),
    (
      {"loss": float("inf"), "triplet": float("inf"), "cross_entropy": NAN},
      "the loss is inf at step 120: all of its terms are not finite",
    ),
    ({"loss": NAN}, "its terms are finite: look at their weights"),
    (
      {"gradient_norm": NAN},
      "the gradient_norm is nan at step 120, though the loss is 3;",
    ),
  ],
)
def test_one_line_names_term_step_and_sequences(tmp_path, metrics, words):
  with pytest.raises(errors.UserError) as caught:
    guard(tmp_path).skips(done(120, **metrics))
  text = str(caught.value)
  assert words in text and "\n" not in text
  assert "the batch is 000-nm-01-090, 001-nm-01-090" in text
  assert "and 2 more" in text
  assert "the last whole checkpoint is that of step 100" in text
  assert "train.skip_nonfinite" in text
  kept = json.loads((tmp_path / "nonfinite" / "120.json").read_text())
  assert kept["sequences"] == NAMES
  assert kept["metrics"]["learning_rate"] == pytest.approx(0.1)


def test_so_many_in_a_row_may_be_skipped(tmp_path, capsys):
  one = guard(tmp_path, allowed=2, last=None)
  bad = [2, 3, 5, 6, 7]
  for i in range(1, 7):
    assert one.skips(done(i, loss=NAN if i in bad else 1.0)) == (i in bad)
  said = capsys.readouterr().err.splitlines()
  assert [line.split()[1] for line in said] == ["2", "3", "5", "6"]
  assert "2 in a row of 2 allowed, 4 since the start" in said[-1]
  with pytest.raises(errors.UserError, match="as were the 2 steps before") as e:
    one.skips(done(7, loss=NAN))
  assert "there is no checkpoint yet" in str(e.value)


def test_a_state_is_looked_at_before_it_is_saved(tmp_path):
  state = step_lib.TrainState(
    step=jnp.array(7),
    params={"fc": {"kernel": jnp.ones((2, 2)), "bias": jnp.ones(2)}},
    batch_stats={},
    opt_state=({"count": jnp.array(3)},),
  )
  one = guard(tmp_path)
  one.check_state(7, state)
  state.params["fc"]["bias"] = jnp.array([1.0, jnp.inf])
  with pytest.raises(errors.UserError, match="params/fc/bias") as e:
    one.check_state(7, state)
  assert "after step 7 is not finite in 1 arrays" in str(e.value)
  assert "step 100" in str(e.value)
