"""Checks silhouettes, and pads sequences of unequal length."""

from collections.abc import Iterator
from collections.abc import Sequence
from typing import Any

import numpy as np

from gaitkd_jax import errors

# A sequence is padded by less than an eighth.
_DIGITS = 4


def check(silhouettes: Any, frame: Sequence[int], axes: str) -> None:
  """Raises a UserError for what a network cannot read.

  Args:
    silhouettes: an array.
    frame: shape of a frame, such as (64, 44).
    axes: those in front of a frame, such as "n, s".
  """
  wanted = f"uint8 [{axes}, {', '.join(map(str, frame))}]"
  if not isinstance(silhouettes, np.ndarray):
    raise errors.UserError(
      f"silhouettes are a {type(silhouettes).__name__}; give a numpy array, "
      f"{wanted}"
    )
  if silhouettes.dtype != np.uint8:
    raise errors.UserError(
      f"silhouettes are {silhouettes.dtype}; give {wanted}, 0 to 255"
    )
  count = len(axes.split(","))
  shape = silhouettes.shape
  if len(shape) != count + len(frame) or shape[count:] != tuple(frame):
    raise errors.UserError(
      f"silhouettes have shape {list(shape)}; give {wanted}"
    )
  if not shape[count - 1]:
    raise errors.UserError("a sequence has no frames; leave it out")


def check_lengths(lengths: Any, count: int, frames: int) -> np.ndarray:
  """Lengths of sequences as int32 `[n]`.

  Args:
    lengths: whole numbers; None: all frames are valid.
    count: sequences `n`.
    frames: of the padded batch.

  Raises:
    errors.UserError: they are none, too few, or beyond the frames.
  """
  if lengths is None:
    return np.full(count, frames, np.int32)
  found = np.asarray(lengths)
  if found.shape != (count,) or found.dtype.kind not in "iu":
    raise errors.UserError(
      f"lengths are {found.dtype} {list(found.shape)}; give {count} whole "
      "numbers, one a sequence"
    )
  if count and not (found.min() >= 1 and found.max() <= frames):
    raise errors.UserError(
      f"lengths are {found.min()} to {found.max()} of {frames} frames; give 1 "
      f"to {frames}"
    )
  return found.astype(np.int32)


def batches(
  sequences: Sequence[np.ndarray], batch_size: int, least: int = 1
) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
  """Pads sequences to few lengths: those that are alike share a batch.

  Args:
    sequences: uint8 `[s, ...]`, checked.
    batch_size: sequences of a batch, at most.
    least: frames of a batch, at least.

  Yields:
    uint8 `[b, s, ...]`, lengths int32 `[b]`, and positions int `[b]`.
  """
  lengths = np.array([len(x) for x in sequences], np.int32)
  order = np.argsort(lengths, kind="stable")
  equal = lengths.min() == lengths.max()
  for first in range(0, len(order), batch_size):
    rows = order[first : first + batch_size]
    longest = int(lengths[rows[-1]])
    frames = max(least, longest if equal else rounded(longest))
    padded = np.zeros((len(rows), frames, *sequences[0].shape[1:]), np.uint8)
    for i, row in enumerate(rows):
      padded[i, : lengths[row]] = sequences[row]
    yield padded, lengths[rows], rows


def rounded(frames: int) -> int:
  """The next number that has four binary digits and zeros behind them."""
  step = 1 << max(0, frames.bit_length() - _DIGITS)
  return -(-frames // step) * step
