"""Processes of a run that notice each other's end, and agree where to stop.

Every process keeps a connection to process 0. The kernel closes those of a
process that dies, however it dies, so the others know at once and need not wait
in a computation that nobody completes. Where a whole host falls silent, TCP's
probes find it out within `SILENCE` seconds.

The same connections carry the agreement where to stop. Processes may be at
different steps when one of them gets a signal. Each then says where it is, in a
thread, since its main thread may be in a computation that waits for the others;
all go on to the step that follows the furthest of them.
"""

from collections.abc import Callable
import contextlib
import json
import math
import os
import secrets
import socket
import sys
import threading
import time
from typing import Any

from gaitkd_jax import errors

# After so many seconds a host that has fallen silent counts as gone.
SILENCE = 30
# How long a process may take to come to its own end, after another said that it
# leaves: what ends one often ends all, each with a line of its own.
GRACE = 5
# The same where it was stopped: the others are finishing a step, or saving.
GRACE_OF_STOP = 20
# The status of a process that ends because another one has.
GONE = 76

_BACKLOG = 1024  # processes that may connect at the same moment
_END = math.inf  # what comes after the last step


class Peers:
  """The processes of a run, seen from one of them.

  Attributes:
    index: of this process.
    count: of all.
    advice: says how to go on, once a process is gone.
    on_stop: is called, in another thread, when another process is to stop.
  """

  def __init__(
    self, index: int, count: int, sockets: dict[int, socket.socket]
  ) -> None:
    """Starts to listen.

    Args:
      index: of this process.
      count: of all.
      sockets: connections by process: of process 0 to all others, of the
        others to process 0.
    """
    self.advice: Callable[[], str] = lambda: "start all of them again"
    self.on_stop: Callable[[str], None] = lambda why: None
    self.index, self.count = index, count
    self._sockets = sockets
    self._sending = threading.RLock()
    self._changed = threading.Condition()
    self._why: str | None = None  # to stop
    self._calls = 0  # of `reached`
    self._until: float | None = None  # the call that is the last
    self._round, self._over = 0, 0  # works that this one, and all, went through
    self._is_through = False
    # Of process 0: how far the others are, and who is through.
    self._reports: dict[int, float] = {}
    self._through: set[int] = set()
    self._left: dict[int, int] = {}  # status by process
    self._leaving = False
    self._ended: set[int] = set()  # their connections are closed
    for peer, connection in sockets.items():
      threading.Thread(
        target=self._listen, args=(peer, connection), daemon=True
      ).start()

  def stop(self, why: str) -> None:
    """Asks all to stop, since this process is to."""
    self._to_first({"stop": why})

  @property
  def why(self) -> str | None:
    """Why all are to stop; None: they are not."""
    return self._why

  def reached(self) -> bool:
    """Whether all stop here; every process calls this in the same places.

    It waits for an answer of the others only if one of them is to stop.
    """
    with self._changed:
      self._calls += 1
      if self._why is None:
        return False
      self._changed.wait_for(lambda: self._until is not None)
      assert self._until is not None
      return self._calls >= self._until

  def ended(self) -> None:
    """Waits for the others, since there is no further place to stop at."""
    with self._changed:
      self._is_through = True
    self._to_first({"through": self.index})
    with self._changed:
      self._changed.wait_for(lambda: self._over > self._round)
      self._round += 1
      self._is_through = False

  def leave(self, status: int) -> None:
    """Says that this process ends, and waits for the others to.

    With status 0 it waits until their work is done as well; else not for long.
    """
    if self._leaving:
      return
    self._leaving = status != 0
    self._to_first({"left": status, "process": self.index})
    with self._changed:
      self._changed.wait_for(self._is_over, GRACE if status else None)
      # The others lean on process 0, so it is the last.
      if not self.index and len(self._left) == self.count:
        self._changed.wait_for(
          lambda: len(self._ended) == self.count - 1, GRACE
        )

  def _is_over(self) -> bool:
    """Whether all have left, or process 0, through which they hear of it."""
    return len(self._left) == self.count or bool(self.index and 0 in self._left)

  def _to_first(self, message: dict[str, Any]) -> None:
    if self.index:
      self._send(0, message)
    else:
      self._decide(message)

  def _send(self, peer: int, message: dict[str, Any]) -> None:
    # Of one that is gone, `_listen` knows better.
    with contextlib.suppress(OSError), self._sending:
      self._sockets[peer].sendall(json.dumps(message).encode() + b"\n")

  def _to_all(self, message: dict[str, Any]) -> None:
    """Of process 0: tells all others and takes it to heart itself."""
    for peer in self._sockets:
      self._send(peer, message)
    self._take(message)

  def _decide(self, message: dict[str, Any]) -> None:
    """Of process 0: what one process says becomes what all do."""
    if "at" in message:
      with self._changed:
        self._reports[message["process"]] = message["at"]
        complete = len(self._reports) == self.count
      if complete:
        self._to_all({"until": max(self._reports.values()) + 1})
    elif "through" in message:
      with self._changed:
        self._through.add(message["through"])
        complete = len(self._through) == self.count
        if complete:
          self._through.clear()
      if complete:
        self._to_all({"over": True})
    elif "stop" not in message or self._why is None:
      self._to_all(message)

  def _take(self, message: dict[str, Any]) -> None:
    """Does what process 0 says."""
    at = None
    with self._changed:
      if "stop" in message and self._why is None:
        self._why = message["stop"]
        at = _END if self._is_through else self._calls
      elif "over" in message:
        self._over += 1
      elif "until" in message:
        self._until = message["until"]
      elif "left" in message:
        self._left[message["process"]] = message["left"]
      self._changed.notify_all()
    if at is not None:
      self._to_first({"at": at, "process": self.index})
      self.on_stop(message["stop"])
    if "gone" in message:
      self._end(message["gone"])
    if message.get("left") and message["process"] != self.index:
      stopped = message["left"] == errors.STOPPED
      after = GRACE_OF_STOP if stopped else GRACE
      threading.Thread(
        target=self._end_later, args=(message["process"], after), daemon=True
      ).start()

  def _listen(self, peer: int, connection: socket.socket) -> None:
    with contextlib.suppress(OSError, ValueError):
      for line in connection.makefile("rb"):
        message = json.loads(line)
        if self.index:
          self._take(message)
        else:
          self._decide(message)
    with self._changed:
      self._ended.add(peer)
      self._changed.notify_all()
    if peer in self._left:
      return
    if not self.index:
      self._to_all({"gone": peer})
    else:
      self._end(peer)

  def _end_later(self, peer: int, after: float) -> None:
    time.sleep(after)
    self._end(peer)

  def _end(self, peer: int) -> None:
    """Ends this process, unless it is ending by itself."""
    if self._leaving:
      return
    status, what = GONE, "is gone"
    if peer in self._left:
      left = self._left[peer]
      what = f"has ended with status {left} (it says why)"
      if left == errors.STOPPED:
        status = left
    line = f"process {peer} of {self.count} {what}; {self.advice()}"
    print(line, file=sys.stderr, flush=True)
    os._exit(status)


def connect(
  index: int,
  count: int,
  host: str,
  share: Callable[[bytes], bytes],
  seconds: float,
) -> Peers:
  """Connects every process with process 0.

  Args:
    index: of this process.
    count: of all.
    host: of process 0.
    share: gives what process 0 calls it with, in every process.
    seconds: how long processes wait for each other.

  Returns:
    The processes of the run.

  Raises:
    errors.UserError: process 0 cannot be reached.
  """
  secret = secrets.token_hex(16)
  if index:
    port, _, secret = share(b"").decode().partition(" ")
    connection = _call(host, int(port), index, secret, seconds)
    return Peers(index, count, {0: connection})
  with listen(0) as server:
    share(f"{server.getsockname()[1]} {secret}".encode())
    return Peers(0, count, _await(server, count, secret, seconds))


def listen(port: int) -> socket.socket:
  """A server at a port of all of this host's addresses; 0: at any free port."""
  dual = socket.has_dualstack_ipv6()
  family = socket.AF_INET6 if dual else socket.AF_INET
  return socket.create_server(
    ("", port), family=family, dualstack_ipv6=dual, backlog=_BACKLOG
  )


def _call(
  host: str, port: int, index: int, secret: str, seconds: float
) -> socket.socket:
  """Connects to process 0."""
  try:
    connection = socket.create_connection((host, port), seconds)
    connection.sendall(json.dumps([secret, index]).encode() + b"\n")
  except OSError as e:
    raise errors.UserError(
      f"process 0 cannot be reached at {host}, port {port} "
      f"({e.strerror or e}); let the hosts of the run reach each other at all "
      "ports"
    ) from e
  return _watched(connection)


def _await(
  server: socket.socket, count: int, secret: str, seconds: float
) -> dict[int, socket.socket]:
  """Takes the connections of all others."""
  found: dict[int, socket.socket] = {}
  deadline = time.monotonic() + seconds
  while len(found) < count - 1:
    server.settimeout(max(0.001, deadline - time.monotonic()))
    try:
      connection, _ = server.accept()
    except OSError as e:
      raise errors.UserError(
        f"{count - 1 - len(found)} of {count} processes did not connect to "
        f"process 0 at port {server.getsockname()[1]} within {seconds} s; let "
        "the hosts of the run reach each other at all ports"
      ) from e
    # A stranger's connection is closed.
    with contextlib.suppress(OSError, ValueError, TypeError):
      connection.settimeout(GRACE)
      given, index = json.loads(_line(connection))
      if secrets.compare_digest(given, secret) and 0 < index < count:
        found[index] = _watched(connection)
        continue
    connection.close()
  return found


def _line(connection: socket.socket) -> bytes:
  """Reads one short line, and nothing of what follows."""
  line = b""
  while not line.endswith(b"\n") and len(line) < 100:
    if not (byte := connection.recv(1)):
      break
    line += byte
  return line


def _watched(connection: socket.socket) -> socket.socket:
  """Has the kernel ask, while nothing is sent, whether the host is there."""
  connection.settimeout(None)
  options = {
    "SO_KEEPALIVE": 1,
    "TCP_NODELAY": 1,
    "TCP_KEEPIDLE": SILENCE // 3,
    "TCP_KEEPINTVL": SILENCE // 6,
    "TCP_KEEPCNT": 4,
    "TCP_USER_TIMEOUT": SILENCE * 1000,
  }
  for name, value in options.items():
    level = socket.SOL_SOCKET if name[:2] == "SO" else socket.IPPROTO_TCP
    if (option := getattr(socket, name, None)) is not None:
      connection.setsockopt(level, option, value)
  return connection
