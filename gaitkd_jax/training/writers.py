"""Where metrics go: a JSON line, TensorBoard, a line on the console."""

from collections.abc import Iterator
from collections.abc import Mapping
from collections.abc import Sequence
import contextlib
import json
import math
import os
import pathlib
import sys
import time
from typing import Any
from typing import Protocol
from typing import Self

from tensorboardX import event_file_writer
from tensorboardX import summary
from tensorboardX.proto import event_pb2
import tqdm

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


class JsonlWriter:
  """One JSON object a line; NaN is written as null.

  What a full disk did not take is written with a later line, if there is room
  again.
  """

  name = "metrics.jsonl"

  def __init__(self, path: str | os.PathLike[str], last_step: int | None):
    """Opens the file.

    Args:
      path: of the file; it is appended to.
      last_step: lines of later steps are dropped: a resumed run writes them
        anew. None drops all.
    """
    path = pathlib.Path(path)
    kept = []
    if last_step is not None and path.exists():
      for line in path.read_text(errors="replace").splitlines():
        try:
          if json.loads(line)["step"] <= last_step:
            kept.append(line + "\n")
        except (ValueError, KeyError, TypeError):
          continue  # no line of ours, or cut off when the program was killed
    # A new file takes the old one's place at once: no line is ever lost.
    new = path.with_suffix(".tmp")
    new.write_text("".join(kept))
    new.replace(path)
    self._file = path.open("ab", buffering=0)
    self._unwritten = b""

  def write(self, step: int, scalars: Mapping[str, float]) -> None:
    """Appends a line."""
    values = {k: v if math.isfinite(v) else None for k, v in scalars.items()}
    self._unwritten += (json.dumps({"step": step, **values}) + "\n").encode()
    while self._unwritten:
      written = self._file.write(self._unwritten)
      self._unwritten = self._unwritten[written:]

  def close(self) -> None:
    """Closes the file."""
    self._file.close()


class TensorBoardWriter:
  """Event files.

  Not tensorboardX's `SummaryWriter`: its thread dies of a full disk, and the
  program then waits for it for ever.
  """

  name = "TensorBoard's events"

  def __init__(self, folder: str | os.PathLike[str], last_step: int | None):
    """Opens a file; points of steps after `last_step` are hidden."""
    self._folder = folder
    self._file: event_file_writer.EventsWriter | None = None
    self._open(None if last_step is None else last_step + 1)

  def _open(self, purged: int | None = None) -> None:
    """Opens a file; of earlier ones, steps from `purged` on are hidden."""
    prefix = os.path.join(self._folder, "events")
    self._file = event_file_writer.EventsWriter(prefix)
    if purged is not None:
      start = event_pb2.SessionLog(status=event_pb2.SessionLog.START)
      self._add(step=purged, session_log=start)
    self._file.flush()

  def _add(self, step: int, **content: Any) -> None:
    self._file.write_event(
      event_pb2.Event(wall_time=time.time(), step=step, **content)
    )

  def write(self, step: int, scalars: Mapping[str, float]) -> None:
    """Adds a point to every curve."""
    if self._file is None:
      self._open()
    try:
      for name, value in scalars.items():
        self._add(step, summary=summary.scalar(name, value))
      self._file.flush()
    except OSError:
      self._file = None  # what follows half an event would not be read
      raise

  def close(self) -> None:
    """Closes the file."""
    if self._file is not None:
      self._file.close()


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

  def __exit__(self, *unused: object) -> None:
    self.close()

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
