"""Schedules against numbers computed by hand."""

import math

import jax
import numpy as np
import pytest

from gaitkd_jax import errors
from gaitkd_jax.training import optim
from gaitkd_jax.training import schedules

SWIN = dict(kind="swin_cosine", value=3e-4, steps=60_000)


def test_swin_cosine_is_held_for_a_thousand_steps():
  schedule = schedules.create_schedule(SWIN, "optim.schedule")

  def by_hand(at):
    return max(3e-4 * 0.5 * (1 + math.cos(math.pi * at / 60_000)), 1e-6)

  for now, at in (
    (0, 0),
    (999, 0),
    (1000, 1000),
    (30_500, 30_000),
    (57_000, 57_000),
    (59_999, 59_000),
  ):
    np.testing.assert_allclose(schedule(now), by_hand(at), rtol=2e-5)
  for now in (60_000, 79_999, 130_000):
    np.testing.assert_allclose(schedule(now), 1e-6, rtol=1e-6)


def test_a_schedule_of_the_optimiser_is_the_same():
  kind = {key: value for key, value in SWIN.items() if key != "value"}
  _, schedule = optim.create_optimizer(
    dict(name="adam", learning_rate=3e-4, weight_decay=0, clip_norm=0)
    | dict(schedule=kind)
  )
  expected = schedules.create_schedule(SWIN, "optim.schedule")
  for step in (0, 1000, 59_999, 60_000):
    assert schedule(step) == expected(step)


@pytest.mark.parametrize(
  "spec, values",
  [
    (0.5, {0: 0.5, 9: 0.5}),
    (dict(kind="constant", value=0.5), {0: 0.5, 9: 0.5}),
    (
      dict(kind="linear", start=1.0, end=3.0, steps=4),
      {0: 1.0, 1: 1.5, 4: 3.0, 9: 3.0},
    ),
    (
      dict(kind="cosine", start=1.0, end=3.0, steps=4),
      {0: 1.0, 1: 2 - math.cos(math.pi / 4), 2: 2.0, 4: 3.0, 9: 3.0},
    ),
    (
      dict(kind="multistep", value=1.0, milestones=(2, 4), gamma=0.1),
      {0: 1.0, 1: 1.0, 2: 0.1, 3: 0.1, 4: 0.01},
    ),
    (
      dict(kind="ramp", start=2.0, end=8.0, begin=2, steps=5),
      {0: 2.0, 2: 2.0, 3: 4.0, 5: 8.0, 9: 8.0},
    ),
    (
      dict(kind="drop", value=1.0, at=3, gamma=0.1),
      {0: 1.0, 2: 1.0, 3: 0.1, 9: 0.1},
    ),
    (
      dict(kind="onecycle", value=2.0, steps=12, warmup=4),
      {0: 0.0, 1: 0.5, 4: 2.0, 8: 1.0, 12: 0.0},
    ),
  ],
)
def test_values_by_hand(spec, values):
  schedule = schedules.create_schedule(spec, "x")
  for step, value in values.items():
    np.testing.assert_allclose(schedule(step), value, rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize(
  "spec, words",
  [
    ("much", "config.x is 'much'; give a number or a schedule"),
    (dict(kind="exponential"), "one of the kinds constant: value; linear:"),
    (dict(kind="linear", start=0.0, end=1.0), "linear: start, end, steps"),
    (dict(kind="constant", value=1.0, steps=2), "give a number or one"),
    (dict(kind="constant", value="much"), "config.x is 'much'"),
    (
      dict(kind="linear", start=0.0, end=1.0, steps=0),
      "steps must be positive",
    ),
    (
      dict(kind="onecycle", value=1.0, steps=4, warmup=4),
      "and warmup fewer",
    ),
    (
      dict(kind="ramp", start=2.0, end=8.0, begin=4, steps=4),
      "begin must be fewer than steps",
    ),
    (dict(kind="drop", value=1.0, gamma=0.1), "drop: value, at, gamma"),
  ],
)
def test_refused_in_one_line(spec, words):
  with pytest.raises(errors.UserError, match=words) as caught:
    schedules.create_schedule(spec, "x")
  assert "\n" not in str(caught.value)


@pytest.mark.parametrize("spec", [0.5, dict(kind="constant", value=0.5)])
def test_a_constant_is_no_array_of_the_device(spec):
  """A GPU refused every step with a teacher: "Disallowed ... transfer"."""
  schedule = schedules.create_schedule(spec, "terms.x.weight")
  value = schedule(3)
  assert not isinstance(value, jax.Array)
  assert value == 0.5 and value.dtype == np.float32
  # Nor is one captured by what is compiled.
  assert not jax.make_jaxpr(lambda step, x: schedule(step) * x)(
    3, np.float32(2)
  ).consts
