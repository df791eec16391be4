"""Signals raise a flag where work is held, and an exception elsewhere."""

import os
import signal
import subprocess
import sys
import threading
import time

import pytest

from gaitkd_jax import errors
from gaitkd_jax.hosts import stopping
from tests.helpers import command
from tests.helpers import paths


def send(number=signal.SIGTERM):
  os.kill(os.getpid(), number)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_is_held_until_it_is_asked_for(number):
  before = signal.getsignal(number)
  stopped = pytest.raises(errors.Stopped, match="stopped by SIG.* after 1")
  with stopped as e, stopping.held():
    assert not stopping.reached()
    send(number)
    assert stopping.reached()
    raise stopping.stopped("after 1")
  assert e.value.saved and e.value.signal == number
  assert signal.getsignal(number) is before
  with stopping.held():  # the next work is not stopped by what stopped the last
    assert not stopping.reached()


def test_a_signal_that_nobody_asked_for_is_raised_at_the_end():
  with pytest.raises(errors.Stopped) as e, stopping.held():
    send()
  assert not e.value.saved


def test_what_is_done_is_not_stopped():
  with stopping.listening():
    stopping.done()
    send()
    assert not stopping.reached()
  with pytest.raises(errors.Stopped), stopping.listening():
    send()


def test_where_nothing_is_held_a_signal_raises_at_once():
  with stopping.listening():
    assert not stopping.reached()
    with pytest.raises(errors.Stopped, match="stopped by SIGTERM"):
      send()
      pytest.fail("went on")
    send()  # the way out is not interrupted once more


def test_other_threads_hold_nothing():
  before = signal.getsignal(signal.SIGTERM)
  seen = []

  def work():
    with stopping.held():
      seen.append(signal.getsignal(signal.SIGTERM))

  thread = threading.Thread(target=work)
  thread.start()
  thread.join()
  assert seen == [before]


PROGRAM = """
import ctypes, os, signal, sys, time
signal.signal(signal.SIGINT, signal.default_int_handler)
from gaitkd_jax import cli
from gaitkd_jax.hosts import stopping
def main(argv):
  with stopping.held():
    child = os.fork()
    if child == 0:
      time.sleep(60)
    os.kill(child, signal.SIGTERM)  # is the end of the child alone
    assert os.waitpid(child, 0)[1] == signal.SIGTERM
    assert not stopping.reached()
    {before}
    print("ready", flush=True)
    {work}
    assert stopping.reached()
    raise stopping.stopped("after step 3, saved")
cli.run(main)
"""
IN_PYTHON = "time.sleep(2)"
# A call of C, which does not return for signals.
IN_C = "ctypes.CDLL(None).poll(None, 0, 60_000)"


def run(work, *numbers, before=""):
  """The status of a program that gets signals, and what it says."""
  with subprocess.Popen(
    [sys.executable, "-c", PROGRAM.format(work=work, before=before)],
    cwd=paths.ROOT,
    env=os.environ | {"PYTHONPATH": str(paths.ROOT), "JAX_PLATFORMS": "cpu"},
    stdout=subprocess.PIPE,
    stderr=subprocess.PIPE,
    text=True,
  ) as process:
    ready = process.stdout.readline()
    for number in numbers * (ready == "ready\n"):
      process.send_signal(number)
      time.sleep(0.2)  # else the kernel counts two as one
    said = process.stderr.read()
  return process.returncode, said


def test_the_program_says_what_it_saved():
  expected = 75, "stopped by SIGINT after step 3, saved\n"
  assert run(IN_PYTHON, signal.SIGINT, signal.SIGTERM) == expected


IN_A_DESTRUCTOR = """
import os, signal, time
signal.signal(signal.SIGINT, signal.default_int_handler)
from gaitkd_jax import cli
class Dropped:
  def __del__(self):
    os.kill(os.getpid(), signal.SIGINT)
    time.sleep(0.1)
def main(argv):
  del argv
  Dropped()
  time.sleep(20)
cli.run(main)
"""


def test_python_cannot_drop_a_stop():
  done = command.run(program=("-c", IN_A_DESTRUCTOR))
  assert (done.returncode, done.stderr) == (130, "stopped by SIGINT\n")


def test_a_program_that_waits_in_c_is_left_where_nothing_is_held():
  free = "stopping._stop.depth = 0"
  expected = 143, "stopped by SIGTERM\n"
  assert run(IN_C, signal.SIGTERM, before=free) == expected


def test_a_second_ctrl_c_leaves_at_once():
  expected = 130, "interrupted twice: left at once\n"
  assert (
    run(f"{IN_C}; {IN_C}; {IN_C}", signal.SIGINT, signal.SIGINT) == expected
  )
