"""Schedules against numbers computed by hand, and configs of them."""

import math

import numpy as np
import pytest

from gaitkd_jax import errors
from gaitkd_jax.training import schedules


@pytest.mark.parametrize(
  "spec, values",
  [
    (0.5, {0: 0.5, 99: 0.5}),
    (dict(kind="constant", value=2), {0: 2.0, 7: 2.0}),
    (
      dict(kind="linear", start=1.0, end=3.0, steps=4),
      {0: 1.0, 1: 1.5, 4: 3.0, 9: 3.0},
    ),
    (
      dict(kind="cosine", start=1.0, end=3.0, steps=4),
      {0: 1.0, 1: 3 - 2 * (1 + math.cos(math.pi / 4)) / 2, 2: 2.0, 4: 3.0},
    ),
    (
      dict(kind="multistep", value=1.0, milestones=(2, 4), gamma=0.1),
      {1: 1.0, 2: 0.1, 3: 0.1, 4: 0.01},
    ),
    (
      dict(kind="onecycle", value=1.0, steps=10, warmup=2),
      {0: 0.0, 1: 0.5, 2: 1.0, 6: 0.5, 10: 0.0},
    ),
  ],
)
def test_values_by_hand(spec, values):
  schedule = schedules.create_schedule(spec, "optim.schedule")
  for step, expected in values.items():
    np.testing.assert_allclose(schedule(step), expected, rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize(
  "spec, words",
  [
    ("fast", "'fast'; give a number"),
    (dict(kind="steps"), "give a number or one of the kinds constant: value"),
    (dict(kind="linear", start=0.0, end=1.0), "linear: start, end, steps"),
    (dict(kind="onecycle", value=1.0, steps=5, warmup=5), "warmup fewer"),
  ],
)
def test_what_is_no_schedule_is_one_line(spec, words):
  with pytest.raises(errors.UserError, match=words) as e:
    schedules.create_schedule(spec, "teachers.big.temperature")
  assert "config.teachers.big.temperature" in str(e.value)
  assert "\n" not in str(e.value)
