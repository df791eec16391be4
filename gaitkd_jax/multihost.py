"""Processes of several hosts find each other, with or without a manager."""

import dataclasses
import socket
import threading

import jax

from gaitkd_jax import errors

# How much longer JAX itself waits than we do: when its own time is up it aborts
# the process, with a stack trace of C++.
_LATER = 3600


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

  Args:
    place: of this process; None: a cluster manager tells JAX.
    seconds: how long processes wait for each other.

  Raises:
    errors.UserError: they do not find each other.
  """
  if place is not None:
    _check_address(place)
  failed: list[Exception] = []

  def initialize() -> None:
    try:
      if place is None:
        jax.distributed.initialize(initialization_timeout=seconds + _LATER)
      else:
        jax.distributed.initialize(
          place.coordinator,
          place.count,
          place.index,
          initialization_timeout=seconds + _LATER,
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


def _check_address(place: Place) -> None:
  """Finds out at once what JAX would say late or in C++."""
  host, _, port = place.coordinator.rpartition(":")
  try:
    socket.getaddrinfo(host.strip("[]"), int(port))
    if place.index == 0:
      with socket.create_server(
        ("", int(port)),
        family=socket.AF_INET6
        if socket.has_dualstack_ipv6()
        else socket.AF_INET,
        dualstack_ipv6=socket.has_dualstack_ipv6(),
      ):
        pass
  except OSError as e:
    what = "its port is not free" if place.index == 0 else "no such host"
    if isinstance(e, socket.gaierror):
      what = "no such host"
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
