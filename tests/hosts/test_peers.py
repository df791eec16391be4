"""Processes agree where to stop, and notice each other's end."""

from concurrent import futures
import signal
import socket
import subprocess
import sys
import threading
import time

import pytest

from gaitkd_jax import errors
from gaitkd_jax.hosts import peers as peers_lib
from tests.helpers import mistakes
from tests.helpers import paths

COUNT = 3


class Peers(peers_lib.Peers):
  """Keeps what would end the process."""

  def __init__(self, *arguments):
    self.ends = []
    super().__init__(*arguments)

  def _end(self, peer):
    self.ends.append((peer, self._left.get(peer)))


@pytest.fixture
def group():
  """Three processes, of which the first is connected with all others."""
  pairs = {i: socket.socketpair() for i in range(1, COUNT)}
  first = Peers(0, COUNT, {i: pair[0] for i, pair in pairs.items()})
  others = [Peers(i, COUNT, {0: pair[1]}) for i, pair in pairs.items()]
  yield [first, *others]
  for pair in pairs.values():
    for one in pair:
      one.close()


def together(group, *works):
  """Runs a function in every process at once; returns their results."""
  with futures.ThreadPoolExecutor(COUNT) as pool:
    jobs = [pool.submit(w, p) for w, p in zip(works, group, strict=True)]
    return [job.result(timeout=20) for job in jobs]


def walk(start, calls):
  """Takes steps after a first few; returns the one at which it stopped."""

  def work(peers):
    for call in range(start + 1, calls + 1):
      if peers.reached():
        return call
    peers.ended()
    return f"ended, {peers.why}"

  return work


def until(seen):
  deadline = time.monotonic() + 10
  while not seen():
    assert time.monotonic() < deadline
    time.sleep(0.01)


@pytest.mark.parametrize("asks", range(COUNT))
def test_all_stop_at_the_furthest_step(group, asks):
  ahead = (5, 2, 9)  # steps that were taken before anybody is to stop
  for peers, steps in zip(group, ahead, strict=True):
    assert not any(peers.reached() for _ in range(steps))
  told = []
  for peers in group:
    peers.on_stop = told.append
  group[asks].stop("because")
  until(lambda: len(told) == COUNT)
  assert together(group, *(walk(n, 50) for n in ahead)) == [10] * COUNT


@pytest.mark.parametrize("asks", range(COUNT))
def test_a_step_that_waits_for_all_is_finished(group, asks):
  """Who has gone into the next step needs the others to follow."""
  step = threading.Barrier(COUNT)

  def work(peers):
    for call in range(1, 1000):
      step.wait(timeout=10)  # as a sum over all processes does
      if call == 3 and peers is group[asks]:
        peers.stop("because")
      if peers.reached():
        return call
    return "not stopped"

  stopped = together(group, *[work] * COUNT)
  assert len(set(stopped)) == 1 and stopped[0] != "not stopped"


def test_who_is_through_waits_for_the_others(group):
  """No process is left waiting by one that has no further step."""
  for _ in range(2):  # one work after another
    assert together(group, *[walk(0, 3)] * COUNT) == ["ended, None"] * COUNT
  with futures.ThreadPoolExecutor(1) as pool:
    through = pool.submit(walk(0, 0), group[0])
    group[1].stop("late")
    until(lambda: all(p.why for p in group))
    rest = [walk(0, 3)] * 2
    both = together([*group[1:], group[0]], *rest, lambda _: None)
    assert both[:2] == ["ended, late"] * 2
    assert through.result(timeout=20) == "ended, late"


def test_the_end_of_one_is_known_to_all(group):
  group[2]._sockets[0].shutdown(socket.SHUT_RDWR)
  until(lambda: group[0].ends and group[1].ends)
  assert group[0].ends == group[1].ends == [(2, None)]


def test_who_says_that_it_leaves_is_waited_for(group, monkeypatch):
  monkeypatch.setattr(peers_lib, "GRACE", 2.0)
  began = time.monotonic()
  group[2].leave(2)
  until(lambda: group[0].ends and group[1].ends)
  assert time.monotonic() - began >= 0.2
  assert group[0].ends == group[1].ends == [(2, 2)]


def test_those_that_are_done_wait_for_each_other(group, monkeypatch):
  monkeypatch.setattr(peers_lib, "GRACE", 0.2)  # for their connections to end
  began = time.monotonic()
  together(
    group,
    lambda p: p.leave(0),
    lambda p: p.leave(0),
    lambda p: (time.sleep(0.5), p.leave(0)),
  )
  assert time.monotonic() - began >= 0.5
  group[2]._sockets[0].shutdown(socket.SHUT_RDWR)
  time.sleep(0.1)
  assert not any(p.ends for p in group)


def test_strangers_are_not_let_in(monkeypatch):
  """They neither take a place nor keep the others out."""
  told = {}

  def share(text):
    if text:
      told["text"] = text
    until(lambda: "text" in told)
    return told["text"]

  with futures.ThreadPoolExecutor(3) as pool:
    first = pool.submit(peers_lib.connect, 0, 2, "localhost", share, 20)
    until(lambda: told)
    port = int(told["text"].split()[0])
    for said in (b"GET / HTTP/1.0\r\n\r\n", b'["guess", 1]\n', b"[1]\n", b""):
      with socket.create_connection(("localhost", port)) as stranger:
        stranger.sendall(said)
    second = pool.submit(peers_lib.connect, 1, 2, "localhost", share, 20)
    both = first.result(timeout=20), second.result(timeout=20)
  both[1].stop("x")
  until(lambda: both[0].why == "x")
  for peers in both:
    peers._leaving = True  # their connections end with the tests


def test_who_does_not_come_is_missed():
  text = mistakes.message(
    peers_lib.connect, 0, 3, "localhost", lambda told: told, 0.1
  )
  assert "2 of 3 processes did not connect" in text
  text = mistakes.message(
    peers_lib.connect, 1, 2, "localhost", lambda told: b"1 secret", 1
  )
  assert "process 0 cannot be reached at localhost, port 1" in text


PROGRAM = """
import contextlib, sys, time
import jax
jax.config.update("jax_platforms", "cpu")
from jax.experimental import multihost_utils
import numpy as np
from gaitkd_jax import cli, errors
from gaitkd_jax.hosts import multihost, stopping
port, index, computes, held = (int(a) for a in sys.argv[1:])
def main(argv):
  multihost.connect(multihost.Place(f"localhost:{port}", 2, index), 100)
  stopping.advise(lambda: "start again", goes_on=True)
  try:
    work(computes, index, stopping.held() if held else contextlib.nullcontext())
  except errors.Stopped as e:
    e.saved = True
    raise
def work(computes, index, held):
  with held:
    for step in range(1_000_000):
      if computes or not step:
        multihost_utils.broadcast_one_to_all(np.int32(step))
      else:
        time.sleep(0.01 * (1 + index))
      if step == 5:
        print("ready", flush=True)
      if stopping.reached():
        raise stopping.stopped(f"after step {step}")
sys.argv = sys.argv[:1]
cli.run(main)
"""


def pair(number, to, computes, held=True):
  """Two processes, one of which gets a signal; statuses, lines and seconds."""
  with socket.socket() as s:
    s.bind(("localhost", 0))
    port = s.getsockname()[1]
  both = [
    subprocess.Popen(
      [sys.executable, "-c", PROGRAM]
      + [str(int(x)) for x in (port, i, computes, held)],
      cwd=paths.ROOT,
      stdout=subprocess.PIPE,
      stderr=subprocess.PIPE,
      text=True,
    )
    for i in range(2)
  ]
  try:
    for process in both:
      while (line := process.stdout.readline()) != "ready\n":
        assert line, process.stderr.read()
    both[to].send_signal(number)
    began = time.monotonic()
    said = [process.communicate(timeout=60)[1] for process in both]
    return [p.returncode for p in both], said, time.monotonic() - began
  finally:
    for process in both:
      process.kill()


@pytest.mark.parametrize("to, computes", [(0, True), (1, False)])
def test_the_death_of_a_process_is_one_line_of_the_other(to, computes):
  """Also where it is process 0, whose death JAX's clients answer by abort."""
  statuses, said, seconds = pair(signal.SIGKILL, to, computes)
  other = 1 - to
  assert statuses[to] == -signal.SIGKILL
  assert statuses[other] == peers_lib.GONE, said
  line = f"process {to} of 2 is gone; start again\n"
  assert said[other].endswith(line)
  assert said[other].replace(line, "").count("\n") == said[other].count("Gloo")
  assert seconds < 10


@pytest.mark.parametrize("to", [0, 1])
def test_processes_stop_at_the_same_step(to):
  statuses, said, _ = pair(signal.SIGTERM, to, to == 0)
  assert statuses == [errors.STOPPED] * 2, said
  first, second = (text.splitlines()[-1].split(" after ")[1] for text in said)
  assert first == second
  lines = [text.splitlines()[-1] for text in said]
  assert lines[to].startswith("stopped by SIGTERM after step ")
  assert lines[1 - to].startswith(f"process {to} of 2 was stopped by SIGTERM")


def test_processes_stop_where_nothing_is_held():
  """In what both compute: one leaves, and what the other computes fails."""
  statuses, said, _ = pair(signal.SIGTERM, 0, True, held=False)
  assert statuses == [errors.STOPPED] * 2, said
  for text in said:
    assert "stopped by SIGTERM" in text.splitlines()[-1]
    assert "Traceback" not in text
