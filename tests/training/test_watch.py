"""When the device has done a step, and what it waited for."""

import functools
import math
import time

import jax
import jax.numpy as jnp
import pytest

from gaitkd_jax.training import watch

NORM = {"gradient_norm": jnp.ones([])}


@functools.cache
def make_step():
  """A step of some 0.03 s, and how long it takes at least."""
  many = jax.jit(
    lambda x, n: jax.lax.fori_loop(0, n, lambda i, y: y @ x, x)[0, 0]
  )
  x = jnp.eye(128)

  def seconds(n):
    began = time.monotonic()
    many(x, n).block_until_ready()
    return time.monotonic() - began

  seconds(10)
  n = round(100 * 0.03 / min(seconds(100) for _ in range(3)))
  return lambda: many(x, n), min(seconds(n) for _ in range(3))


def share(steps, seconds_of_data, step):
  """The share of waiting, of a loop like that of the training."""
  found = []
  with watch.Watch() as watched:
    for i in range(steps):
      watched.started(i + 1, {"loss": step()} | NORM, False)
      with watched.data():
        time.sleep(seconds_of_data)
      found += watched.done()
    found += watched.done(wait=True)
  assert [done.step for done in found] == list(range(1, steps + 1))
  passed = found[-1].time - found[0].time
  return sum(done.idle for done in found[1:]) / passed


def test_slow_data_keep_the_device_waiting():
  step, seconds = make_step()
  assert not step().is_ready()  # the host does not wait for it
  assert 0.5 < share(8, 8 * seconds, step) < 1


def test_quick_data_do_not():
  step, seconds = make_step()
  assert share(8, seconds / 20, step) < 0.3


@pytest.mark.parametrize(
  "before, idle",
  [
    (1.0, 2.0),  # the device was done before the host began to wait
    (3.5, 0.5),  # ... while it waited
    (9.0, 0.0),  # ... later
    (math.inf, 0.0),  # there was no step before
  ],
)
def test_idle_is_the_wait_that_no_step_hides(before, idle):
  assert watch.idle((2.0, 4.0), before) == idle


def test_no_more_steps_are_ahead_than_fit():
  step, _ = make_step()
  given = []
  with watch.Watch() as watched:
    for i in range(12):
      watched.started(i + 1, {"loss": step()} | NORM, False)
      given += watched.done()
      assert i + 1 - len(given) <= 4
    given += watched.done(wait=True)
  assert len(given) == 12


def test_what_is_not_finite_is_seen_in_every_step():
  with watch.Watch() as watched:
    for i in range(1, 4):
      loss = jnp.array(jnp.inf if i == 2 else 1.0)
      watched.started(i, {"loss": loss} | NORM, logged=i == 3)
    found = list(watched.done(wait=True))
  assert [done.finite for done in found] == [True, False, True]
  assert [done.logged for done in found] == [False, False, True]
  times = [done.time for done in found]
  assert times == sorted(times)


def test_what_the_device_raises_is_raised():
  deleted = jnp.ones([]) + 1
  deleted.delete()
  with watch.Watch() as watched:
    watched.started(1, {"loss": deleted} | NORM, False)
    with pytest.raises(RuntimeError, match="deleted"):
      list(watched.done(wait=True))
