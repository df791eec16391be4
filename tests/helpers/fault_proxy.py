"""A proxy before an HTTP server that keeps a log and fails when told to.

It runs in threads of the tests' process, so that a test can change what fails
while a program in another process runs.
"""

import collections
import contextlib
import dataclasses
import http.client
import http.server
import math
import re
import select
import socket
import struct
import threading
import time
import urllib.parse

# Of one hop, so never passed on; lengths are written anew.
_HOP = {
  "connection",
  "content-length",
  "expect",
  "keep-alive",
  "transfer-encoding",
}
_HEAD = 4096  # of a body: as much as tells the name of a multipart upload

Answer = collections.namedtuple("Answer", ["status", "headers", "body"])


@dataclasses.dataclass(frozen=True)
class Request:
  """What was asked, and what came of it.

  Attributes:
    at: time.monotonic() when it came.
    method: GET, PUT and so on.
    target: path and query, unquoted; the name of a multipart upload is added.
    range: the bytes that were asked for, such as "bytes=0-99", or "".
    sent: bytes of the client's body.
    status: of the answer; 0 where the connection was closed instead.
    received: bytes of the answer's body.
    fault: the kind of fault that it met, or "".
  """

  at: float
  method: str
  target: str
  range: str
  sent: int
  status: int
  received: int
  fault: str


class Fault:
  """Something that goes wrong for the requests that it matches.

  Attributes:
    met: an event, set as soon as a request has met the fault; of a cut, when
      what was to be read or done before it is.
  """

  def __init__(self, kind, method, target, times, seconds, after, **details):
    self.kind = kind
    self.details = details
    self.met = threading.Event()
    self.released = threading.Event()
    self._method = re.compile(method)
    self._target = re.compile(target)
    self._times = times
    self._seconds = seconds
    self._end = math.inf
    self._after = after

  def takes(self, method, target):
    """Whether the request meets the fault; counts it if so."""
    if not (self._method.fullmatch(method) and self._target.search(target)):
      return False
    if self._times == 0 or time.monotonic() > self._end:
      return False
    if self._after > 0:
      self._after -= 1
      return False
    if self._times is not None:
      self._times -= 1
    if self._seconds is not None and self._end == math.inf:
      self._end = time.monotonic() + self._seconds
    if self.kind not in ("upload", "answer"):
      self.met.set()
    return True

  def release(self):
    """Lets the requests go on that a `hold` keeps."""
    self._times = 0
    self.released.set()


class Proxy:
  """Passes requests on to a server, one at a time, and logs them.

  Attributes:
    url: where it listens, on the loopback address.
    requests: list of `Request`, in the order of their answers.
  """

  def __init__(self, upstream, mend=None, error=lambda status: b""):
    """Starts.

    Args:
      upstream: port of the server on the loopback address.
      mend: a function of (forward, method, target, headers, body) that answers
        for the server; forward is a function of the last four.
      error: the body of an answer with a status, as the server would write it.
    """
    self._upstream = upstream
    self._mend = mend or (lambda forward, *request: forward(*request))
    self._error = error
    self._faults = []
    self._lock = threading.Lock()  # of the faults and the log
    self._turn = threading.Lock()  # of the server, which serves one at a time
    self.requests = []
    proxy = self

    class Handler(_Handler):
      def answer(self):
        proxy._serve(self)

    self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    self._server.open = set()
    self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
    self._thread = threading.Thread(target=self._server.serve_forever)
    self._thread.start()

  def close(self):
    """Stops, and closes the connections that clients keep."""
    self.clear()
    self._server.shutdown()
    self._thread.join()
    for connection in list(self._server.open):
      _abort(connection)
    self._server.server_close()

  def fail(self, status, method=".*", target="", **when):
    """Answers with a status, such as 403, 404, 429 or 503.

    Args:
      status: of the answer.
      method: regular expression of the whole method.
      target: regular expression that is searched in `Request.target`.
      **when: times: how many requests meet the fault (all); seconds: for how
        long from the first of them on (for ever); after: how many are let
        through before.

    Returns:
      The `Fault`. All faults take these arguments; the first that matches wins.
    """
    return self._add("fail", method, target, when, status=status)

  def slow(self, delay=0.0, rate=None, method=".*", target="", **when):
    """Waits seconds before an answer; sends it at a rate of bytes a second."""
    return self._add("slow", method, target, when, delay=delay, rate=rate)

  def cut(self, where, method=".*", target="", **when):
    """Closes the connection.

    Args:
      where: "upload": when half of the client's body is read, and nothing of it
        was stored; "answer": when the request was done, but before the client
        is told; "download": when half of the answer's body is sent.
      method: see `fail`.
      target: see `fail`.
      **when: see `fail`.

    Returns:
      The `Fault`.
    """
    assert where in ("upload", "answer", "download"), where
    return self._add(where, method, target, when)

  def hold(self, method=".*", target="", **when):
    """Keeps requests until `Fault.release`; a test may kill who asked.

    What was asked by who is gone by then is not done.
    """
    return self._add("hold", method, target, when)

  def clear(self):
    """Everything works again."""
    with self._lock:
      faults, self._faults = self._faults, []
    for fault in faults:
      fault.release()

  def seen(self, method=".*", target="", status=None):
    """The logged requests of a method, a target and a status."""
    with self._lock:
      return [
        r
        for r in self.requests
        if re.fullmatch(method, r.method)
        and re.search(target, r.target)
        and status in (None, r.status)
      ]

  def _add(self, kind, method, target, when, **details):
    when = {"times": None, "seconds": None, "after": 0, **when}
    fault = Fault(kind, method, target, **when, **details)
    with self._lock:
      self._faults.append(fault)
    return fault

  def forward(self, method, target, headers, body):
    """Asks the server."""
    connection = http.client.HTTPConnection("127.0.0.1", self._upstream, 60)
    try:
      connection.request(method, target, body, headers)
      response = connection.getresponse()
      kept = {k: v for k, v in response.getheaders() if k.lower() not in _HOP}
      length = response.getheader("Content-Length")
      if method == "HEAD" and length is not None:
        kept["Content-Length"] = length
      return Answer(response.status, kept, response.read())
    finally:
      connection.close()

  def ask(self, method, target, headers=None, body=b""):
    """Asks the server past all faults and the log."""
    with self._turn:
      return self._mend(self.forward, method, target, headers or {}, body)

  def _serve(self, handler):
    at = time.monotonic()
    head = handler.read(_HEAD)
    target = urllib.parse.unquote(handler.path)
    if "uploadType=multipart" in target:
      name = re.search(rb'"name": *"([^"]*)"', head)
      target += "&name=" + (name[1].decode() if name else "")
    with self._lock:
      fault = next(
        (f for f in self._faults if f.takes(handler.command, target)), None
      )
    kind = fault.kind if fault else ""
    answer, sent, received = None, 0, 0
    if kind == "upload":
      sent = len(head) + len(handler.read(handler.left // 2))
      fault.met.set()
      handler.abort()
    else:
      body = head + handler.read()
      sent = len(body)
      if kind == "hold":
        fault.released.wait()
        if handler.is_left():
          return
      if kind == "slow":
        time.sleep(fault.details["delay"])
      if kind == "fail":
        status = fault.details["status"]
        told = b"" if handler.command == "HEAD" else self._error(status)
        answer = Answer(status, {}, told)
      else:
        headers = {
          k: v for k, v in handler.headers.items() if k.lower() not in _HOP
        }
        with self._turn:
          answer = self._mend(
            self.forward, handler.command, handler.path, headers, body
          )
      if kind == "answer":
        answer = None
        fault.met.set()
        handler.abort()
      else:
        received = handler.send(
          answer,
          half=kind == "download",
          rate=fault.details["rate"] if kind == "slow" else None,
        )
    with self._lock:
      self.requests.append(
        Request(
          at,
          handler.command,
          target,
          handler.headers.get("Range", ""),
          sent,
          0 if answer is None or kind == "download" else answer.status,
          received,
          kind,
        )
      )


class _Handler(http.server.BaseHTTPRequestHandler):
  """Reads requests and writes answers; the subclass says which."""

  protocol_version = "HTTP/1.1"

  def setup(self):
    super().setup()
    self.server.open.add(self.connection)

  def finish(self):
    self.server.open.discard(self.connection)
    with contextlib.suppress(OSError):  # the client is gone
      super().finish()

  def handle(self):
    try:
      super().handle()
    except OSError:
      self.close_connection = True  # the client was killed

  def log_message(self, *unused):
    pass

  def do_GET(self):  # noqa: N802, the name that the base class calls
    length = int(self.headers.get("Content-Length") or 0)
    self._chunked = "chunked" in self.headers.get("Transfer-Encoding", "")
    self.left = 0 if self._chunked else length
    self.answer()

  do_HEAD = do_POST = do_PUT = do_PATCH = do_DELETE = do_GET  # noqa: N815

  def read(self, count=None):
    """Reads so many bytes of the body, or all that are left."""
    if self._chunked:
      self._chunked = False
      chunks = []
      while size := int(self.rfile.readline().split(b";")[0], 16):
        chunks.append(self.rfile.read(size))
        self.rfile.readline()
      while self.rfile.readline().strip():
        pass  # trailers
      return b"".join(chunks)
    count = self.left if count is None else min(count, self.left)
    self.left -= count
    return self.rfile.read(count)

  def is_left(self):
    """Whether the client has closed the connection."""
    if not select.select([self.connection], [], [], 0)[0]:
      return False
    try:
      return not self.connection.recv(1, socket.MSG_PEEK)
    except OSError:
      return True

  def abort(self):
    """Closes the connection without an answer."""
    self.close_connection = True
    _abort(self.connection)

  def send(self, answer, half, rate):
    """Writes an answer, or half of it; returns how many bytes of a body."""
    self.send_response(answer.status)
    for key, value in answer.headers.items():
      self.send_header(key, value)
    if not any(key.lower() == "content-length" for key in answer.headers):
      self.send_header("Content-Length", str(len(answer.body)))
    self.end_headers()
    body = answer.body[: len(answer.body) // 2] if half else answer.body
    step = len(body) if rate is None else max(1, int(rate / 10))
    for i in range(0, len(body), step or 1):
      self.wfile.write(body[i : i + step])
      if rate is not None:
        time.sleep(0.1)
    if half:
      self.wfile.flush()
      self.abort()
    return len(body)


def _abort(connection):
  """Ends a connection as a broken line does: by a reset."""
  with contextlib.suppress(OSError):  # it is closed
    connection.setsockopt(
      socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0)
    )
    connection.shutdown(socket.SHUT_RDWR)
