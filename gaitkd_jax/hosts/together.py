"""Processes of a run take turns, and share work.

Whoever waits for another process's turn asks the key-value store of JAX's
coordination service, again and again. A turn may take hours: at the end of a
process or at a barrier of Orbax's the others would wait for five minutes, in a
collective of CPUs for thirty (jax 0.10.2), and then JAX
aborts all of them, the one that works as well.

Every function is to be called by all processes, in the same order.
"""

from collections.abc import Callable
from collections.abc import Sequence
import itertools
import socket
import time
from typing import Any
from typing import TypeVar

import jax
from jax._src import distributed  # the store has no public name
from jax.experimental import multihost_utils
from jax.sharding import Mesh
from jax.sharding import PartitionSpec
import numpy as np

from gaitkd_jax import errors

T = TypeVar("T")
# Milliseconds of one question; signals are seen between two.
_ASK = 1000
# Seconds of waiting of which nothing is said.
_QUIET = 2.0
# Seconds for which a process that has failed stays, so that the others learn
# why: the store ends with process 0.
_STAY = 30.0
_BITS = 20
_calls = itertools.count()


def first_alone(work: Callable[[], T], what: str) -> T | None:
  """Process 0 works, and the others wait until it has.

  Args:
    work: what process 0 does.
    what: the work, said by those that wait: "write the page".

  Returns:
    What `work` returned; None in the other processes.

  Raises:
    errors.UserError: in the other processes, if the work has failed.
  """
  if jax.process_count() == 1:
    return work()
  turn = _Turn(what)
  if jax.process_index():
    turn.wait(0)
    return None
  return turn.take(work)


def in_turn(work: Callable[[], T], what: str) -> T:
  """All processes do the same: process 0, then one of each host, then all.

  What the earlier ones have made in a folder, the later ones find there,
  whether the folder is that of all hosts or each has its own. Nobody leaves
  before all have ended.

  Args:
    work: what each does.
    what: the work, said by those that wait: "prepare casiab in /data".

  Raises:
    errors.UserError: it has failed in another process.
  """
  if jax.process_count() == 1:
    return work()
  turn = _Turn(what)
  for other in sorted({0, turn.first_of_host()}):
    turn.wait(other)
  result = turn.take(work)
  turn.wait_for_all()
  return result


def at_once(work: Callable[[], T], what: str) -> T:
  """All processes work; if one fails, all do.

  Args:
    work: what each does; it calls no other process.
    what: the work, said by those that wait for others.

  Raises:
    errors.UserError: it has failed in another process.
  """
  if jax.process_count() == 1:
    return work()
  turn = _Turn(what)
  result = turn.take(work)
  turn.wait_for_all()
  return result


def prepare_data(data: Any) -> Any:
  """Prepares a data set once, or once on each host that has its own disk.

  Args:
    data: see `data_pipelines.datasets.prepare`.

  Returns:
    The builder.

  Raises:
    errors.UserError: see `data_pipelines.datasets.prepare`.
  """
  # TensorFlow is loaded by a run, not by an import of this module.
  from data_pipelines import datasets

  index = jax.process_index()

  def tell() -> None:
    if index:
      print(
        f"process {index} does not find what process 0 has prepared in "
        f"{data.prepared}; it prepares {data.name} on its own host",
        flush=True,
      )

  return in_turn(
    lambda: datasets.prepare(data, before_building=tell),
    f"prepare {data.name} in {data.prepared}",
  )


def share(count: int) -> slice:
  """This process's part of `count` rows; parts differ by one row at most."""
  return shares(count)[jax.process_index()]


def shares(count: int) -> list[slice]:
  """The parts of all processes, in their order."""
  n = jax.process_count()
  return [slice(count * i // n, count * (i + 1) // n) for i in range(n)]


def joined_shares(rows: np.ndarray, count: int) -> np.ndarray:
  """`joined` of what each process has of its share of `count` rows."""
  return joined(rows, [part.stop - part.start for part in shares(count)])


def joined(rows: np.ndarray, counts: Sequence[int]) -> np.ndarray:
  """Joins what the processes have, in their order; the same in all of them.

  Args:
    rows: `[m, ...]` of this process.
    counts: m of every process.
  """
  if jax.process_count() == 1:
    return rows
  padded = np.zeros((max(counts), *rows.shape[1:]), rows.dtype)
  padded[: len(rows)] = rows
  if not padded.size:
    return padded
  # As bytes: JAX would make float32 of float64.
  flat = padded.reshape(-1).view(np.uint8)
  every = multihost_utils.process_allgather(flat)
  parts = np.ascontiguousarray(every).view(rows.dtype)
  parts = parts.reshape(len(counts), *padded.shape)
  return np.concatenate(
    [part[:n] for part, n in zip(parts, counts, strict=True)]
  )


def total(counts: np.ndarray) -> np.ndarray:
  """The sum over all processes of int64 counts from 0; it is below 2 ** 50."""
  if jax.process_count() == 1:
    return counts
  # In two parts, since JAX makes int32 of int64: sums are below 2 ** 31.
  parts = np.stack([counts >> _BITS, counts & ((1 << _BITS) - 1)])
  devices = np.array(jax.devices()).reshape(jax.process_count(), -1)
  mesh = Mesh(devices, ("processes", "devices"))
  every = multihost_utils.host_local_array_to_global_array(
    parts[None].astype(np.int32), mesh, PartitionSpec("processes")
  )
  whole = jax.sharding.NamedSharding(mesh, PartitionSpec())
  added = jax.jit(_add, out_shardings=whole)(every)
  high, low = np.asarray(added.addressable_data(0)).astype(np.int64)
  return (high << _BITS) + low


def _add(every: jax.Array) -> jax.Array:
  return every.sum(axis=0)


class _Turn:
  """One call of all processes; how each of them has ended is in the store."""

  def __init__(self, what: str):
    self._what = what
    self._name = f"gaitkd_jax/together/{next(_calls)}"
    self._store: Any = distributed.global_state.client

  def first_of_host(self) -> int:
    """The first process of this process's host."""
    index, host = jax.process_index(), socket.gethostname()
    self._set("host", host)
    for other in range(index):
      if self._get("host", other) == host:
        return other
    return index

  def take(self, work: Callable[[], T]) -> T:
    """Works, and says to the others how it has ended."""
    try:
      result = work()
    except BaseException as e:
      # An exception of no words is told by its name.
      self._set("end", str(e) or type(e).__name__)
      if isinstance(e, Exception):
        self._stay()
      raise
    self._set("end", "")
    return result

  def wait(self, process: int) -> None:
    """Waits until another process has ended; says so if it takes long.

    Raises:
      errors.UserError: it has failed.
    """
    index = jax.process_index()
    if process == index:
      return

    def tell() -> None:
      print(
        f"process {index} waits for process {process} to {self._what}",
        flush=True,
      )

    if error := self._get("end", process, tell):
      self._set("heard", "")
      raise errors.UserError(
        f"process {process} could not {self._what}: {error}"
      )

  def wait_for_all(self) -> None:
    """Waits until all processes have ended."""
    for process in range(jax.process_count()):
      self.wait(process)

  def _stay(self) -> None:
    """Waits until the others have heard of an error, and can leave."""
    last = time.monotonic() + _STAY
    for other in range(jax.process_count()):
      if other != jax.process_index():
        self._get("heard", other, last=last)
    time.sleep(1)

  def _set(self, key: str, value: str) -> None:
    name = f"{self._name}/{key}/{jax.process_index()}"
    self._store.key_value_set(name, value)

  def _get(
    self,
    key: str,
    process: int,
    tell: Callable[[], None] | None = None,
    last: float = float("inf"),
  ) -> str | None:
    """What another process has set, as soon as it has.

    Args:
      key: which of its values.
      process: which process.
      tell: called once if it takes long.
      last: by `time.monotonic`, when to return None.
    """
    began = time.monotonic()
    while time.monotonic() < last:
      try:
        return self._store.blocking_key_value_get(
          f"{self._name}/{key}/{process}", _ASK
        )
      except jax.errors.JaxRuntimeError as e:
        if "DEADLINE_EXCEEDED" not in str(e):
          raise
      if tell and time.monotonic() - began > _QUIET:
        tell()
        tell = None
    return None
