"""JAX's coordination service in a process of its own.

JAX runs the service in process 0. When that process dies, the clients of all
others notice a closed connection and abort, with a stack trace of C++, before
anything could be said. In a process of its own, which outlives process 0 by a
few seconds, it leaves them the time to end as `peers` has them end.
"""

from collections.abc import Iterator
import contextlib
import json
import subprocess
import sys
from typing import Any
from unittest import mock

# How much longer it stays, in seconds: longer than `peers` takes to end the
# others, shorter than a process of the next start takes to ask for its port.
LINGER = 3

# It waits for the end of process 0, or for a word that all is done. Signals to
# all processes of a job are not meant for it.
_PROGRAM = """
import json, os, signal, sys, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
from jaxlib import _jax
address, count, options = json.loads(sys.argv[1])
service = _jax.get_distributed_runtime_service(address, count, **options)
print("ready", flush=True)
if not sys.stdin.readline():
  time.sleep(float(sys.argv[2]))
os._exit(0)
"""


class _Service:
  """Stands for JAX's own object, of which JAX calls `shutdown` alone."""

  def __init__(self, *arguments: Any):
    self._process = subprocess.Popen(
      [sys.executable, "-c", _PROGRAM, json.dumps(arguments), str(LINGER)],
      stdin=subprocess.PIPE,
      stdout=subprocess.PIPE,
      stderr=subprocess.DEVNULL,  # it would tell of the ends that `peers` tells
      start_new_session=True,  # ctrl-C is not meant for it
      text=True,
    )
    assert self._process.stdout is not None
    self.is_ready = self._process.stdout.readline() == "ready\n"

  def shutdown(self) -> None:
    """Ends it at once."""
    with contextlib.suppress(OSError):
      self._process.communicate("done\n")


@contextlib.contextmanager
def outliving() -> Iterator[None]:
  """Inside, `jax.distributed.initialize` starts the service beside process 0.

  JAX has no setting for it; where its internals are others than those of the
  versions that were tested, the service runs where JAX has it.
  """
  try:
    from jaxlib import _jax

    inside = _jax.get_distributed_runtime_service
  except (ImportError, AttributeError):
    yield
    return

  def make(address: str, count: int, **options: Any) -> Any:
    service = _Service(address, count, options)
    if service.is_ready:
      return service
    return inside(address, count, **options)

  with mock.patch.object(_jax, "get_distributed_runtime_service", make):
    yield
