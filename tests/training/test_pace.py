"""Speed, waiting, memory and the time that is left."""

import time

import pytest

from gaitkd_jax.training import pace
from gaitkd_jax.training import watch


def done(step, at, idle=0.0):
  return watch.Done(step, {}, True, True, at, idle)


def test_what_is_measured_between_two_lines():
  one = pace.Pace(100, 0, 8)
  one.add(done(1, 10.0, idle=9.0))  # the first step: it compiled
  assert one.measured(done(1, 10.0)).keys() <= {"host_gib", "device_gib"}
  for i in range(2, 6):
    one.add(done(i, 10.0 + i, idle=0.25))
  found = one.measured(done(5, 15.0))
  assert found["seconds_per_step"] == pytest.approx(5 / 4)
  assert found["steps_per_second"] == pytest.approx(4 / 5)
  assert found["sequences_per_second"] == pytest.approx(8 * 4 / 5)
  assert found["data_wait"] == pytest.approx(4 * 0.25 / 5)
  assert found["hours_left"] == pytest.approx(95 * 5 / 4 / 3600)
  # It begins anew.
  one.add(done(6, 16.0))
  assert one.measured(done(6, 16.0))["data_wait"] == 0.0


def test_an_evaluation_is_not_the_trainings_time():
  one = pace.Pace(10, 4, 8)
  for i in range(1, 5):
    one.add(done(i, float(i)))
  assert one.measured(done(4, 4.0))["seconds_per_step"] == pytest.approx(1)
  with one.evaluation():
    time.sleep(0.05)
  one.add(done(5, 1000.0, idle=900.0))
  one.add(done(6, 1001.0))
  found = one.measured(done(6, 1001.0))
  assert found["seconds_per_step"] == pytest.approx(1)
  assert found["data_wait"] == 0
  # Those after steps 8 and 10 are still to come.
  left = 3600 * found["hours_left"] - 4 * 1.0
  assert 2 * 0.05 <= left < 2 * 0.5


def test_memory_is_that_of_this_process():
  found = pace.memory()
  assert 0.05 < found["host_gib"] < 1000
  assert "device_gib" not in found  # a CPU does not tell
