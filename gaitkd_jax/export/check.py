"""Compares a written file with the network in JAX, and times it."""

from collections.abc import Mapping
from collections.abc import Sequence
import dataclasses
import os
import statistics
import time
from typing import Any

import numpy as np

from gaitkd_jax import errors
from gaitkd_jax.export import runners
from gaitkd_jax.runtime import processor

# Of the largest difference to the largest entry, of a float file.
FLOAT_BOUND = 1e-5
# Of the cosine of any part of any sequence, of a file of few bits: an optimised
# graph may round values that lie between two steps to the other one.
COSINE_BOUND = 0.999
# Codes of TensorRT's activations have a sign, so behind a rectifier they have
# half as many steps as the network's.
TENSORRT_BOUND = 0.99
# Of activations in fewer than 8 bits: one code more or less is a larger step,
# and what follows spreads it.
COARSE_BOUND = 0.99
_RUNS = 15
_WARM = 2


@dataclasses.dataclass(frozen=True)
class Result:
  """What was measured.

  Attributes:
    data: name of the data set of the silhouettes.
    lengths: frames of the sequences that were compared.
    cosine: the least of any part of any sequence.
    difference: the largest, as a share of the largest entry.
    bytes: of the file.
    milliseconds: the median of `runs` runs of one clip.
    frames: of that clip.
    runs: how many were timed.
    runtime: that ran it, with its version.
    threads: that computed; 0: unknown.
    processor: its name.
    kernels: see `runners.Runner`.
    note: see there.
  """

  data: str
  lengths: tuple[int, ...]
  cosine: float
  difference: float
  bytes: int
  milliseconds: float
  frames: int
  runs: int
  runtime: str
  threads: int
  processor: str
  kernels: Mapping[str, int]
  note: str

  def lines(self) -> list[str]:
    """What was measured, in words."""
    listed = ", ".join(map(str, self.lengths))
    threads = f", {self.threads} threads" if self.threads else ""
    text = [
      f"{self.runtime} beside JAX, {self.data}, sequences of {listed} frames, "
      "padded and alone: cosine at least "
      f"{self.cosine:.7f}, largest difference {self.difference:.1e} of the "
      "largest entry",
      f"size {self.bytes:,} bytes",
      f"a clip of {self.frames} frames takes {self.milliseconds:.1f} ms "
      f"(median of {self.runs} runs{threads}, {self.processor})",
    ]
    if self.kernels:
      found = (f"{count} {name}" for name, count in self.kernels.items())
      text.append(f"kernels: {', '.join(found)}")
    if self.note:
      text.append(self.note)
    return text


def measure(
  path: str | os.PathLike[str],
  target: str,
  sequences: Sequence[np.ndarray],
  expected: np.ndarray,
  clip: np.ndarray,
  data: str,
) -> Result:
  """Runs a file on sequences of unequal lengths, padded and one by one.

  Args:
    path: of the file.
    target: for which it was written.
    sequences: uint8 `[s, 64, 44]`, or with channels.
    expected: what JAX makes of them, float32 `[n, p, d]`.
    clip: of the same shape; is timed.
    data: name of the data set of both.

  Raises:
    errors.UserError: the file cannot be run.
  """
  try:
    runner = runners.open_file(path, target)
  except errors.UserError as e:
    raise errors.UserError(
      f"what was written cannot be run, and was removed: this is a bug of the "
      f"export, report it with the command ({e})"
    ) from e
  lengths = np.array([len(x) for x in sequences], np.int32)
  padded = np.full(
    (len(sequences), lengths.max(), *sequences[0].shape[1:]), 255, np.uint8
  )  # white: what lies beyond a sequence has no influence
  for row, sequence in zip(padded, sequences, strict=True):
    row[: len(sequence)] = sequence
  found = [runner.run(padded, lengths)] + [
    runner.run(x[None], np.array([len(x)], np.int32)) for x in sequences
  ]
  both = np.concatenate(found)
  if both.shape != (2 * len(sequences), *expected.shape[1:]):
    raise errors.UserError(
      f"the file gives {list(found[0].shape)}, and JAX {list(expected.shape)}; "
      "this is a bug of the export: report it with the command"
    )
  wanted = np.concatenate([expected, expected])
  seconds = []
  one = np.array([len(clip)], np.int32)
  for _ in range(_WARM + _RUNS):
    began = time.perf_counter()
    runner.run(clip[None], one)
    seconds.append(time.perf_counter() - began)
  return Result(
    data=data,
    lengths=tuple(int(x) for x in lengths),
    cosine=least_cosine(both, wanted),
    difference=relative_difference(both, wanted),
    bytes=os.path.getsize(path),
    milliseconds=1e3 * statistics.median(seconds[_WARM:]),
    frames=len(clip),
    runs=_RUNS,
    runtime=runner.name,
    threads=runner.threads,
    processor=processor.name(),
    kernels=runner.kernels,
    note=runner.note,
  )


def check(
  result: Result, quantized: bool, target: str = "", activations: int = 8
) -> None:
  """Raises a UserError for a file that is not what the network is.

  Args:
    result: what was measured.
    quantized: whether the network is.
    target: for which the file was written.
    activations: their bits, if it is quantised.
  """
  if quantized:
    bound = COSINE_BOUND
    if target == "tensorrt":
      bound = TENSORRT_BOUND
    elif activations < 8:
      bound = COARSE_BOUND
    fits = result.cosine > bound
    what = f"the cosine to JAX is {result.cosine:.6f}, not above {bound}"
  else:
    fits = result.difference <= FLOAT_BOUND
    what = (
      f"the difference to JAX is {result.difference:.1e} of the largest entry, "
      f"above {FLOAT_BOUND:.0e}"
    )
  if fits:  # NaN does not
    return
  reason = (
    "this is a bug of the export or of the runtime, report it with the command"
  )
  if quantized and target == "openvino" and processor.saturates():
    # Seen with OpenVINO 2026.4.1 on an AMD EPYC, whatever the weights' codes.
    reason = (
      "OpenVINO computes bytes otherwise on processors without VNNI; export "
      "where there is one, or give --target=ort"
    )
  raise errors.UserError(
    f"{what} ({result.runtime}); the file was removed: {reason}"
  )


def least_cosine(found: Any, wanted: Any) -> float:
  """The least cosine of any part: of `[n, p, d]` and `[n, p, d]`."""
  a, b = (np.asarray(x, np.float64) for x in (found, wanted))
  product = np.sqrt((a * a).sum(-1) * (b * b).sum(-1))
  same = (product == 0) & (a == b).all(-1)  # a part that is 0 in both
  cosine = (a * b).sum(-1) / np.where(product > 0, product, 1.0)
  return float(np.where(same, 1.0, cosine).min())


def relative_difference(found: Any, wanted: Any) -> float:
  """The largest difference, as a share of the largest entry."""
  a, b = (np.asarray(x, np.float64) for x in (found, wanted))
  return float(np.abs(a - b).max() / max(np.abs(b).max(), 1e-30))
