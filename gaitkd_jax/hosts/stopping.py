"""Signals that stop a program without a loss.

SIGTERM and ctrl-C raise `errors.Stopped` at once where nothing would be lost.
Inside `held()` they only raise a flag, which is looked at in places where what
was done can be saved: `reached()`. Several processes stop in the same place,
whichever of them got the signal.
"""

import _thread
from collections.abc import Callable
from collections.abc import Iterator
import contextlib
import os
import signal
import sys
import threading
import time

from gaitkd_jax import errors
from gaitkd_jax.hosts import peers as peers_lib

# Of a program that is left at once, by a second ctrl-C.
INTERRUPTED = 130
# Added to the number of a signal that stops a program which does not go on.
_SIGNALLED = 128
_SIGNALS = (signal.SIGTERM, signal.SIGINT)


class _Stop:
  """What this process knows of its stop; there is one, as of signals."""

  def __init__(self) -> None:
    self.number: int | None = None  # of the signal
    self.dropped = False  # the exception, so that it is raised again
    self.depth = 0  # of `held`
    self.done = False  # so that nothing is left to stop
    self.pipe: int | None = None  # on which `listening` hears of signals
    self.peers: peers_lib.Peers | None = None
    self.goes_on = False  # the same command, when it is started again

  @property
  def why(self) -> str | None:
    """Why it is to stop; None: it is not."""
    if self.number is not None:
      return f"stopped by {signal.Signals(self.number).name}"
    return self.peers.why if self.peers else None


_stop = _Stop()


@contextlib.contextmanager
def listening() -> Iterator[None]:
  """Takes SIGTERM and ctrl-C inside, in the main thread; else does nothing.

  Nested in itself it does nothing more.
  """
  main = threading.current_thread() is threading.main_thread()
  if not main or signal.getsignal(signal.SIGTERM) is _handle:
    yield
    return
  # A shell starts what is to run in the background without SIGINT.
  taken = [s for s in _SIGNALS if signal.getsignal(s) != signal.SIG_IGN]
  before = {number: signal.signal(number, _handle) for number in taken}
  read, write = os.pipe()
  os.set_blocking(write, False)
  fd = signal.set_wakeup_fd(write, warn_on_full_buffer=False)
  _stop.pipe = read
  threading.Thread(target=_count, args=(read,), daemon=True).start()
  try:
    yield
  finally:
    signal.set_wakeup_fd(fd)
    os.close(write)  # ends the thread
    for number, handler in before.items():
      signal.signal(number, handler)
    _stop.number = _stop.pipe = None
    _stop.done = False


@contextlib.contextmanager
def held() -> Iterator[None]:
  """Inside, a signal stops nothing until `reached` is asked.

  If it came too late for that, `errors.Stopped` is raised at the end.
  """
  with listening():
    _stop.depth += 1
    try:
      yield
      if _stop.peers and _stop.depth == 1:
        _stop.peers.ended()
    finally:
      _stop.depth -= 1
    if not _stop.depth and _stop.why:
      raise stopped()


def reached() -> bool:
  """Whether to stop here: to be asked once a step, by all processes alike."""
  if not _stop.depth:
    return False
  if _stop.peers:
    return _stop.peers.reached()
  return _stop.number is not None


def stopped(done: str = "") -> errors.Stopped:
  """The exception that says what stopped the program.

  Args:
    done: what is saved, as in "after step 7, saved in runs/a"; the same command
      goes on from there.
  """
  error = errors.Stopped(" ".join(filter(None, (_stop.why or "stopped", done))))
  error.signal = _stop.number
  error.saved = bool(done)
  return error


def again() -> None:
  """Stops once more, soon, where Python has dropped the exception."""

  def signal_again() -> None:
    if signal.getsignal(signal.SIGTERM) is _handle:
      _stop.dropped = True
      main = threading.main_thread().ident
      signal.pthread_kill(main, signal.SIGTERM)

  # Not at once: that would be in the same place.
  timer = threading.Timer(0.05, signal_again)
  timer.daemon = True
  timer.start()


def join(peers: peers_lib.Peers) -> None:
  """Stops together with other processes from now on."""
  _stop.peers = peers
  peers.on_stop = _told


def advise(advice: Callable[[], str], goes_on: bool) -> None:
  """Sets what is said of going on.

  Args:
    advice: what to do where another process is gone.
    goes_on: whether the same command goes on after a stop.
  """
  _stop.goes_on = goes_on
  if _stop.peers:
    _stop.peers.advice = advice


def is_alone() -> bool:
  """Whether this is the only process of its run."""
  return _stop.peers is None


def done() -> None:
  """The work is done: from now on a signal stops nothing."""
  _stop.done = True


def status(number: int | None) -> int:
  """That of a program which a signal stops where nothing is held.

  Args:
    number: of the signal; None: another process got it.
  """
  if _stop.goes_on:
    return errors.STOPPED
  return _SIGNALLED + (number or signal.SIGTERM)


def leave(status: int) -> None:
  """Tells other processes that this one ends."""
  if _stop.peers:
    _stop.peers.leave(status)


def verdict() -> errors.Stopped | None:
  """The stop for which a computation has failed; None: it failed otherwise.

  Of several processes one may be stopped while another is still in what both
  compute. The news that another process is gone gets the time to end this one.
  """
  if not _stop.peers:
    return None
  last = time.monotonic() + peers_lib.GRACE
  while _stop.peers.why is None:
    if time.monotonic() > last:
      return None
    time.sleep(0.05)
  stop = errors.Stopped(_stop.peers.why)
  stop.saved = _stop.goes_on
  return stop


def _handle(number: int, frame: object) -> None:
  """Python calls it in the main thread, between two instructions of its own."""
  del frame
  if _stop.done:
    return
  if _stop.dropped:
    _stop.dropped = False
    if not _stop.depth:
      raise stopped()
    return  # it is raised where `held` ends
  if _stop.number is not None:
    return  # it is stopping; of a second ctrl-C `_count` takes care
  _stop.number = number
  _tell(number)
  if not _stop.depth:
    raise stopped()
  if sys.stderr.isatty():
    text = "stopping after this step; ctrl-C again leaves at once"
    print(text, file=sys.stderr)


def _tell(number: int) -> None:
  """Tells other processes to stop too."""
  if _stop.peers and _stop.peers.why is None:
    place = f"process {_stop.peers.index} of {_stop.peers.count}"
    _stop.peers.stop(f"{place} was stopped by {signal.Signals(number).name}")


def _told(why: str) -> None:
  """Another process is to stop; where nothing is held, so is this one."""
  del why
  free = not (_stop.depth or _stop.done)
  if free and signal.getsignal(signal.SIGTERM) is _handle:
    _thread.interrupt_main(signal.SIGTERM)


def _count(pipe: int) -> None:
  """Leaves at the second ctrl-C, even while the main thread computes."""
  interrupts = 0
  while numbers := os.read(pipe, 64):
    for number in set(numbers).intersection(_SIGNALS):
      threading.Thread(target=_leave, args=(number, pipe), daemon=True).start()
    interrupts += numbers.count(signal.SIGINT)
    if interrupts > 1:
      print("interrupted twice: left at once", file=sys.stderr, flush=True)
      os._exit(INTERRUPTED)
  os.close(pipe)


def _leave(number: int, pipe: int) -> None:
  """Leaves if nothing is held and the main thread does not come to do so.

  It may be in a call of C that waits for another process, for hours.
  """
  time.sleep(peers_lib.GRACE)
  waits = _stop.pipe == pipe and _stop.number is None
  if waits and not (_stop.depth or _stop.done):
    _stop.number = number
    _tell(number)
    print(_stop.why, file=sys.stderr, flush=True)
    leave(status(number))
    os._exit(status(number))


def _before_fork() -> None:
  """Holds signals back, so that a child gets none before `_forget`."""
  _fork.mask = signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)


def _after_fork() -> None:
  signal.pthread_sigmask(signal.SIG_SETMASK, _fork.mask)


def _forget() -> None:
  """Of a process that is forked: it is stopped by those who made it."""
  if signal.getsignal(signal.SIGTERM) is _handle:
    signal.set_wakeup_fd(-1)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.default_int_handler)
  _after_fork()


_fork = threading.local()
os.register_at_fork(
  before=_before_fork, after_in_parent=_after_fork, after_in_child=_forget
)
