"""Processes of several hosts find each other, with or without a manager."""

import dataclasses
import socket
import threading
import time

import jax
from jax.experimental import multihost_utils
import numpy as np

from gaitkd_jax import errors
from gaitkd_jax.hosts import coordinator
from gaitkd_jax.hosts import peers
from gaitkd_jax.hosts import stopping

# How much longer JAX itself waits than we do: when its own time is up it aborts
# the process, with a stack trace of C++.
_LATER = 3600
# How long the port of a run that has just ended may be taken, in seconds.
_FREED = coordinator.LINGER + 2
# Bytes of what process 0 tells the others of itself.
_TOLD = 256


@dataclasses.dataclass(frozen=True)
class Place:
  """Of this process among those of a run, where no cluster manager tells it.

  Attributes:
    coordinator: "host:port" of process 0, the same for all.
    count: how many processes there are.
    index: which of them this is, from 0.
  """

  coordinator: str
  count: int
  index: int

  def __post_init__(self):
    host, _, port = self.coordinator.rpartition(":")
    if not host or not port.isdecimal() or not 0 < int(port) < 2**16:
      raise errors.UserError(
        f"--coordinator={self.coordinator} is no host:port; give the name or "
        "address of process 0's host and a free port of it, as 10.0.0.1:1234"
      )
    if self.count < 1:
      raise errors.UserError(
        f"--num_processes={self.count}; give the number of processes, 1 or more"
      )
    if not 0 <= self.index < self.count:
      raise errors.UserError(
        f"--process_id={self.index} is none of {self.count} processes; give "
        f"each of them another number from 0 to {self.count - 1}"
      )


def place(
  coordinator: str | None, num_processes: int | None, process_id: int | None
) -> Place | None:
  """The place that flags name; None: none of them is given.

  Raises:
    errors.UserError: one is missing, or a value cannot be.
  """
  given = {
    "--coordinator": coordinator,
    "--num_processes": num_processes,
    "--process_id": process_id,
  }
  missing = [name for name, value in given.items() if value is None]
  if len(missing) == len(given):
    return None
  if missing:
    raise errors.UserError(
      f"{' and '.join(missing)} missing; --coordinator, --num_processes and "
      "--process_id go together (--multihost alone asks a cluster manager)"
    )
  return Place(coordinator, num_processes, process_id)


def connect(place: Place | None, seconds: int) -> None:
  """Connects the processes of a run; call it before any computation.

  From then on they stop together, and end if one of them dies.

  Args:
    place: of this process; None: a cluster manager tells JAX.
    seconds: how long processes wait for each other.

  Raises:
    errors.UserError: they do not find each other.
  """
  if place is not None:
    _check_address(place, min(seconds, _FREED))
  # It would take SIGTERM for itself; `peers` agree where to stop.
  jax.config.update("jax_enable_preemption_service", False)
  failed: list[Exception] = []

  def initialize() -> None:
    known = (
      () if place is None else (place.coordinator, place.count, place.index)
    )
    try:
      with coordinator.outliving():
        jax.distributed.initialize(
          *known, initialization_timeout=seconds + _LATER
        )
    except Exception as e:
      failed.append(e)

  thread = threading.Thread(target=initialize, daemon=True)
  thread.start()
  thread.join(seconds)
  if thread.is_alive():
    raise errors.UserError(_missing(place, seconds))
  if failed:
    error = failed[0]
    if isinstance(error, ValueError | RuntimeError):
      where = f"--coordinator={place.coordinator}" if place else "--multihost"
      advice = "leave it out on one host"
      if place is None:
        advice += (
          ", or give --coordinator, --num_processes and --process_id where no "
          "cluster manager is known to JAX"
        )
      raise errors.UserError(
        f"{where} connects to no other process ({error}); {advice}"
      ) from error
    raise error
  if jax.process_count() > 1:
    host = place.coordinator if place else _coordinator()
    stopping.join(
      peers.connect(
        jax.process_index(),
        jax.process_count(),
        host.rpartition(":")[0].strip("[]"),
        _share,
        seconds,
      )
    )


def _coordinator() -> str:
  """The address that a cluster manager gave JAX, which does not give it out."""
  from jax._src import distributed

  return distributed.global_state.coordinator_address or ""


def _share(told: bytes) -> bytes:
  """Gives all processes what process 0 tells."""
  padded = np.frombuffer(told.ljust(_TOLD), np.uint8).astype(np.int32)
  heard = np.asarray(multihost_utils.broadcast_one_to_all(padded))
  return heard.astype(np.uint8).tobytes().rstrip()


def _check_address(place: Place, seconds: float) -> None:
  """Finds out, within some seconds, what JAX would say late or in C++."""
  host, _, port = place.coordinator.rpartition(":")
  deadline = time.monotonic() + seconds
  what = "no such host"
  try:
    socket.getaddrinfo(host.strip("[]"), int(port))
    while place.index == 0:
      what = "its port is not free"
      try:
        return peers.listen(int(port)).close()
      except OSError:
        if time.monotonic() > deadline:
          raise
      time.sleep(0.1)
  except OSError as e:
    raise errors.UserError(
      f"--coordinator={place.coordinator}: {what} ({e.strerror}); give the "
      "name or address of process 0's host and a free port of it"
    ) from e


def _missing(place: Place | None, seconds: int) -> str:
  if place is None:
    return (
      f"--multihost: the processes that the cluster manager names were not all "
      f"there after {seconds} s; look at what the others print"
    )
  if place.index == 0:
    return (
      f"not all of {place.count} processes came to {place.coordinator} within "
      f"{seconds} s; start the same command on each host with --process_id=1 "
      f"to {place.count - 1}, and let them reach this address"
    )
  host, _, port = place.coordinator.rpartition(":")
  try:
    socket.create_connection((host.strip("[]"), int(port)), 5).close()
    what = f"process 0 answers, but not all of {place.count} processes came"
  except OSError as e:
    what = f"nobody answers ({e.strerror or e}); start --process_id=0 there"
  return (
    f"--coordinator={place.coordinator}: after {seconds} s {what}, and check "
    "that all have the same --coordinator and --num_processes"
  )
