"""Where metrics go: a JSON line, TensorBoard, a line on the console."""

from collections.abc import Iterator
from collections.abc import Mapping
from collections.abc import Sequence
import contextlib
import json
import math
import os
import pathlib
import socket
import struct
import sys
import time
from typing import Any
from typing import Protocol
from typing import Self

from tensorboardX import record_writer
from tensorboardX import summary
from tensorboardX.proto import event_pb2
from tensorboardX.proto import summary_pb2
import tqdm

from gaitkd_jax import errors
from gaitkd_jax import storage

# What is measured of a run rather than computed by it, see `pace.Pace`; it is
# never the same twice.
MEASURED = tuple(
  f"train/{name}"
  for name in (
    "seconds_per_step",
    "steps_per_second",
    "sequences_per_second",
    "data_wait",
    "device_gib",
    "host_gib",
    "hours_left",
  )
)


class Writer(Protocol):
  """Takes the metrics of a step.

  Attributes:
    name: what it writes, for messages.
  """

  name: str

  def write(self, step: int, scalars: Mapping[str, float]) -> None:
    """Writes `scalars`, named like "train/loss"."""

  def close(self) -> None:
    """Finishes what is being written."""


class _Appended:
  """A file that is written at once, without a buffer.

  What a full disk did not take is kept, and written before what comes later.
  """

  def __init__(self, path: str | os.PathLike[str]):
    self._file = open(path, "ab", buffering=0)  # noqa: SIM115
    self._left = b""

  def write(self, data: bytes) -> None:
    self._left += data
    while self._left:
      self._left = self._left[self._file.write(self._left) :]

  def close(self) -> None:
    self._file.close()


class JsonlWriter:
  """One JSON object a line; NaN is written as null."""

  name = "metrics.jsonl"

  def __init__(
    self,
    path: str | os.PathLike[str],
    last_step: int | None,
    earlier: storage.Place | None = None,
    *,
    scores_again: bool = False,
  ):
    """Opens the file.

    Args:
      path: of the file; it is appended to.
      last_step: lines of later steps are dropped: a resumed run writes them
        anew. None drops all.
      earlier: where the lines of before are; None: in the same file.
      scores_again: whether to drop the scores of `last_step` as well.
    """
    path = pathlib.Path(path)
    earlier = path if earlier is None else earlier
    kept = []
    if last_step is not None and storage.exists(earlier):
      for line in storage.read_text(earlier, "replace").splitlines():
        try:
          row = json.loads(line)
          step = row["step"]
          scores = not any(key.startswith("train/") for key in row)
          again = scores and scores_again and step == last_step
          if step <= last_step and not again:
            kept.append(line + "\n")
        except (ValueError, KeyError, TypeError, AttributeError):
          continue  # no line of ours, or cut off when the program was killed
    # A new file takes the old one's place at once: no line is ever lost.
    new = path.with_suffix(".tmp")
    new.write_text("".join(kept))
    new.replace(path)
    self._file = _Appended(path)

  def write(self, step: int, scalars: Mapping[str, float]) -> None:
    """Appends a line."""
    values = {k: v if math.isfinite(v) else None for k, v in scalars.items()}
    self._file.write((json.dumps({"step": step, **values}) + "\n").encode())

  def close(self) -> None:
    """Closes the file."""
    self._file.close()


class TensorBoardWriter:
  """Event files: records of TFRecord.

  Not tensorboardX's `SummaryWriter`: its thread dies of a full disk, and the
  program then waits for it for ever.
  """

  name = "TensorBoard's events"

  def __init__(self, folder: str | os.PathLike[str], last_step: int | None):
    """Opens a file; points of steps after `last_step` are hidden."""
    name = f"events.out.tfevents.{time.time():.0f}.{socket.gethostname()}"
    self._file = _Appended(pathlib.Path(folder) / name)
    self._add(file_version="brain.Event:2")
    if last_step is not None:
      start = event_pb2.SessionLog(status=event_pb2.SessionLog.START)
      self._add(step=last_step + 1, session_log=start)

  def write(self, step: int, scalars: Mapping[str, float]) -> None:
    """Adds a point to every curve."""
    points = [summary.scalar(name, x).value[0] for name, x in scalars.items()]
    self._add(step=step, summary=summary_pb2.Summary(value=points))

  def close(self) -> None:
    """Closes the file."""
    self._file.close()

  def _add(self, **content: Any) -> None:
    event = event_pb2.Event(wall_time=time.time(), **content)
    data = event.SerializeToString()
    length = struct.pack("<Q", len(data))
    self._file.write(length + _crc(length) + data + _crc(data))


def _crc(data: bytes) -> bytes:
  return struct.pack("<I", record_writer.masked_crc32c(data))


class ConsoleWriter:
  """One line a step, above any progress bar."""

  name = "the console"

  def write(self, step: int, scalars: Mapping[str, float]) -> None:
    """Prints the metrics without the first part of their names."""
    metrics = " ".join(
      f"{name.partition('/')[2]}={value:.4g}"
      for name, value in scalars.items()
      if name not in MEASURED
    )
    measured = _measured(
      {name.partition("/")[2]: scalars.get(name) for name in MEASURED}
    )
    line = " | ".join(filter(None, (metrics, measured)))
    tqdm.tqdm.write(f"step {step}: {line}")

  def close(self) -> None:
    """Nothing to finish."""


class MultiWriter:
  """Passes everything on to several writers.

  A log that cannot be written, on a full disk, is told once; the run goes on.
  """

  def __init__(self, writers: Sequence[Writer]):
    self._writers = tuple(writers)
    self._told: set[str] = set()

  def __enter__(self) -> Self:
    return self

  def __exit__(self, kind: type[BaseException] | None, *rest: object) -> None:
    """Closes all; of two errors the one that is there already is raised."""
    try:
      self.close()
    except errors.UserError as e:
      if kind is None or issubclass(kind, errors.Stopped):
        raise
      print(e, file=sys.stderr, flush=True)

  def write(self, step: int, scalars: Mapping[str, float]) -> None:
    """Writes to all."""
    for writer in self._writers:
      with self._going_on(writer):
        writer.write(step, scalars)

  def close(self) -> None:
    """Closes all."""
    for writer in self._writers:
      with self._going_on(writer):
        writer.close()

  @contextlib.contextmanager
  def _going_on(self, writer: Writer) -> Iterator[None]:
    try:
      yield
    except BrokenPipeError:
      raise  # nobody reads the output any more
    except OSError as e:
      if writer.name not in self._told:
        self._told.add(writer.name)
        tqdm.tqdm.write(
          f"{writer.name} cannot be written ({e.strerror or e}); the run goes "
          "on without",
          file=sys.stderr,
        )


def _measured(values: Mapping[str, float | None]) -> str:
  """What is said of speed and memory: those values that there are."""
  said = {
    "steps_per_second": lambda x: f"{x:.3g} steps/s",
    "data_wait": lambda x: f"{x:.0%} waiting for data",
    "device_gib": lambda x: f"device {x:.3g} GiB",
    "host_gib": lambda x: f"host {x:.3g} GiB",
    "hours_left": lambda x: f"{_duration(3600 * x)} left",
  }
  return ", ".join(
    text(value)
    for name, text in said.items()
    if (value := values[name]) is not None
  )


def _duration(seconds: float) -> str:
  """As "40s", "3m", "2h05m" or "3d04h"."""
  if seconds < 60:
    return f"{seconds:.0f}s"
  minutes = round(seconds / 60)
  hours, days = minutes // 60, minutes // 1440
  if not hours:
    return f"{minutes}m"
  if not days:
    return f"{hours}h{minutes % 60:02d}m"
  return f"{days}d{hours % 24:02d}h"
