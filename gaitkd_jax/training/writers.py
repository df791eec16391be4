"""Where metrics go: a JSON line, TensorBoard, a line on the console."""

from collections.abc import Mapping
from collections.abc import Sequence
import json
import math
import os
import pathlib
from typing import Protocol
from typing import Self

import tensorboardX
import tqdm


class Writer(Protocol):
  """Takes the metrics of a step."""

  def write(self, step: int, scalars: Mapping[str, float]) -> None:
    """Writes `scalars`, named like "train/loss"."""

  def close(self) -> None:
    """Finishes what is being written."""


class JsonlWriter:
  """One JSON object a line; NaN is written as null."""

  def __init__(
    self,
    path: str | os.PathLike[str],
    last_step: int | None,
    *,
    scores_again: bool = False,
  ):
    """Opens the file.

    Args:
      path: of the file; it is appended to.
      last_step: lines of later steps are dropped: a resumed run writes them
        anew. None drops all.
      scores_again: whether to drop the scores of `last_step` as well.
    """
    path = pathlib.Path(path)
    kept = []
    if last_step is not None and path.exists():
      for line in path.read_text(errors="replace").splitlines():
        try:
          row = json.loads(line)
          step = row["step"]
          scores = not any(key.startswith("train/") for key in row)
          again = scores and scores_again and step == last_step
          if step <= last_step and not again:
            kept.append(line + "\n")
        except (ValueError, KeyError, TypeError):
          continue  # no line of ours, or cut off when the program was killed
    # A new file takes the old one's place at once: no line is ever lost.
    new = path.with_suffix(".tmp")
    new.write_text("".join(kept))
    new.replace(path)
    self._file = path.open("a")

  def write(self, step: int, scalars: Mapping[str, float]) -> None:
    """Appends a line."""
    values = {k: v if math.isfinite(v) else None for k, v in scalars.items()}
    self._file.write(json.dumps({"step": step, **values}) + "\n")
    self._file.flush()

  def close(self) -> None:
    """Closes the file."""
    self._file.close()


class TensorBoardWriter:
  """Event files."""

  def __init__(self, folder: str | os.PathLike[str], last_step: int | None):
    """Opens a file; points of steps after `last_step` are hidden."""
    self._writer = tensorboardX.SummaryWriter(
      str(folder), purge_step=None if last_step is None else last_step + 1
    )

  def write(self, step: int, scalars: Mapping[str, float]) -> None:
    """Adds a point to every curve."""
    for name, value in scalars.items():
      self._writer.add_scalar(name, value, step)

  def close(self) -> None:
    """Flushes and closes the file."""
    self._writer.close()


class ConsoleWriter:
  """One line a step, above any progress bar."""

  def write(self, step: int, scalars: Mapping[str, float]) -> None:
    """Prints the metrics without the first part of their names."""
    metrics = " ".join(
      f"{name.partition('/')[2]}={value:.4g}" for name, value in scalars.items()
    )
    tqdm.tqdm.write(f"step {step}: {metrics}")

  def close(self) -> None:
    """Nothing to finish."""


class MultiWriter:
  """Passes everything on to several writers."""

  def __init__(self, writers: Sequence[Writer]):
    self._writers = tuple(writers)

  def __enter__(self) -> Self:
    return self

  def __exit__(self, *unused: object) -> None:
    self.close()

  def write(self, step: int, scalars: Mapping[str, float]) -> None:
    """Writes to all."""
    for writer in self._writers:
      writer.write(step, scalars)

  def close(self) -> None:
    """Closes all."""
    for writer in self._writers:
      writer.close()
