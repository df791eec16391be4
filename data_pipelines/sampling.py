"""Which sequences and which frames a training batch holds.

Every draw is a function of (seed, step) alone. A run that is resumed, or that
is spread over more processes, therefore draws what an undisturbed run would.

The cache of teachers keeps what they make of a few clips of each sequence.
These *numbered clips*, frames and augmentation, depend on (seed, sequence,
number) and never on the step, so that training meets the same ones again.
"""

from __future__ import annotations

from collections.abc import Sequence
import dataclasses
import functools

import numpy as np

from gaitkd_jax import errors

KINDS = (
  "fixed_ordered",
  "fixed_unordered",
  "unfixed_ordered",
  "unfixed_unordered",
  "all_ordered",
)
# What a stream of random numbers is for; no two draws of a step share one.
IDENTITIES, FRAMES, AUGMENTATION, EPOCHS = range(4)
CLIP_NUMBERS, CLIP_FRAMES, CLIP_AUGMENTATION = range(4, 7)


@dataclasses.dataclass(frozen=True)
class Clip:
  """How a clip is cut from a sequence.

  OpenGait's `sample_type`. "Ordered" frames are those of a window, in order;
  "unordered" ones are any frames in random order, for networks that see a set.

  Attributes:
    kind: "fixed_ordered" or "fixed_unordered" (`frames` frames);
      "unfixed_ordered" or "unfixed_unordered" (a number that is drawn for each
      clip, from `min_frames` to `max_frames`); "all_ordered" (the first
      `max_frames` frames of the sequence).
    frames: frames of a fixed clip.
    skip: ordered clips only: by how many frames the window is longer than the
      clip that is taken from it. Varies the walking speed.
    min_frames: least frames of an unfixed clip.
    max_frames: most frames of a clip that is not fixed.

  Raises:
    errors.UserError: a value is out of range.
  """

  kind: str = "fixed_ordered"
  frames: int = 30
  skip: int = 4
  min_frames: int = 0
  max_frames: int = 0

  def __post_init__(self):
    if self.kind not in KINDS:
      raise errors.UserError(
        f"clip.kind: there is no {self.kind!r}; choose one of"
        f" {', '.join(KINDS)}"
      )
    if self.frames < 1 or self.skip < 0:
      raise errors.UserError(
        f"clip.frames {self.frames}, clip.skip {self.skip}: take at least 1"
        " frame and skip at least 0"
      )
    least = self.min_frames if self.kind.startswith("unfixed") else 1
    if not self.fixed and not 1 <= least <= self.max_frames:
      raise errors.UserError(
        f"clip.min_frames {self.min_frames}, clip.max_frames"
        f" {self.max_frames}: a clip of kind {self.kind} takes at least 1"
        " frame, and its maximum is not below its minimum"
      )

  @property
  def fixed(self) -> bool:
    """Whether all clips have the same number of frames."""
    return self.kind.startswith("fixed")

  @property
  def longest(self) -> int:
    """Frames to which the clips of a batch are padded."""
    return self.frames if self.fixed else self.max_frames


def generator(
  seed: int, step: int, stream: int, number: int = 0
) -> np.random.Generator:
  """Returns the random numbers of one purpose in one step.

  Philox is counter-based: the seed is its key and (step, stream, number) are
  the upper words of its counter, so streams never overlap and none has to be
  rolled forward. For numbered clips, the sequence takes the place of the step.
  """
  return np.random.Generator(
    np.random.Philox(key=seed, counter=(0, number, stream, step))
  )


def draw_sequences(
  labels: np.ndarray, identities: int, sequences: int, seed: int, step: int
) -> np.ndarray:
  """Draws P identities and K sequences of each.

  Without replacement, except where there are fewer than asked for. This is
  OpenGait's TripletSampler.

  Args:
    labels: int [n], identity of each sequence, 0 to k - 1, never decreasing.
    identities: P.
    sequences: K.
    seed: of the run.
    step: of the run.

  Returns:
    int64 [P * K], indices of sequences; those of one identity are adjacent.
  """
  rng = generator(seed, step, IDENTITIES)
  # Labels ascend, so this is cheap even for OUMVLP's 140,000 sequences.
  first = np.searchsorted(labels, np.arange(labels[-1] + 2))
  k = len(first) - 1
  drawn = []
  for i in rng.choice(k, identities, replace=k < identities):
    count = first[i + 1] - first[i]
    drawn.append(
      first[i] + rng.choice(count, sequences, replace=count < sequences)
    )
  return np.concatenate(drawn)


def draw_shuffled(n: int, batch: int, seed: int, step: int) -> np.ndarray:
  """Draws the next sequences of an endless row of shuffled epochs.

  This is OpenGait's CommonSampler, for training without triplets: every
  sequence comes once in an epoch.

  Args:
    n: sequences of the split.
    batch: sequences of a global batch.
    seed: of the run.
    step: of the run.

  Returns:
    int64 [batch], indices of sequences.
  """
  place = step * batch + np.arange(batch)
  drawn = np.empty(batch, np.int64)
  for epoch in np.unique(place // n):
    now = place // n == epoch
    drawn[now] = _epoch(n, seed, int(epoch))[place[now] % n]
  return drawn


@functools.lru_cache(maxsize=2)
def _epoch(n: int, seed: int, epoch: int) -> np.ndarray:
  """Returns int64 [n], the order of one epoch."""
  return generator(seed, epoch, EPOCHS).permutation(n)


def draw_frames(
  lengths: np.ndarray, clip: Clip, seed: int, step: int
) -> tuple[np.ndarray, np.ndarray]:
  """Draws the frames of each clip of a batch.

  This is OpenGait's CollateFn. Ordered: the clip is taken, in order, from a
  window of consecutive frames that is `skip` frames longer and begins anywhere;
  a sequence that is too short is first repeated until the window fits.
  Unordered: any frames in random order, repeated only if the sequence has too
  few.

  Args:
    lengths: int [n], frames of the sequences drawn for the global batch.
    clip: what to draw.
    seed: of the run.
    step: of the run.

  Returns:
    int64 [n, clip.longest], frames, each below its sequence's length; and
    int64 [n], how many of them make up the clip, counted from the first.
  """
  return _frames(lengths, clip, generator(seed, step, FRAMES))


def draw_clip_numbers(n: int, clips: int, seed: int, step: int) -> np.ndarray:
  """Draws which of its `clips` clips each of n sequences shows, int64 [n]."""
  return generator(seed, step, CLIP_NUMBERS).integers(0, clips, n)


def draw_clip_frames(
  lengths: np.ndarray,
  clip: Clip,
  seed: int,
  sequences: np.ndarray,
  numbers: np.ndarray,
) -> tuple[np.ndarray, np.ndarray]:
  """Draws the frames of numbered clips, each as `draw_frames` does.

  Args:
    lengths: int [n], frames of the sequences.
    clip: what to draw.
    seed: of the clips.
    sequences: int [n], positions of the sequences in the split.
    numbers: int [n], which clip of each sequence, from 0 on.

  Returns:
    int64 [n, clip.longest] and int64 [n], see `draw_frames`.
  """
  drawn = [
    _frames([length], clip, generator(seed, int(i), CLIP_FRAMES, int(v)))
    for length, i, v in zip(lengths, sequences, numbers, strict=True)
  ]
  return tuple(np.concatenate(column) for column in zip(*drawn, strict=True))


def _frames(
  lengths: Sequence[int] | np.ndarray, clip: Clip, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
  """Draws frames and counts, see `draw_frames`."""
  lengths = np.asarray(lengths, np.int64)
  n, place = len(lengths), np.arange(clip.longest)
  if clip.kind == "all_ordered":
    return place % lengths[:, None], np.minimum(lengths, clip.longest)
  counts = np.full(n, clip.frames)
  if not clip.fixed:
    counts = rng.integers(clip.min_frames, clip.max_frames + 1, n)
  draw = _unordered if clip.kind.endswith("unordered") else _ordered
  return draw(lengths[:, None], counts[:, None], clip, rng), counts


def _ordered(
  lengths: np.ndarray, counts: np.ndarray, clip: Clip, rng: np.random.Generator
) -> np.ndarray:
  """Returns int64 [n, longest] for lengths and counts [n, 1]."""
  windows = counts + clip.skip
  repeated = lengths * np.maximum(1, -(-windows // lengths))
  starts = rng.random(lengths.shape) * (repeated - windows + 1)
  keys = rng.random((len(lengths), clip.longest + clip.skip))
  keys[np.arange(keys.shape[1]) >= windows] = 1.0  # random() stays below 1
  kept = np.argsort(keys)[:, : clip.longest]
  kept[np.arange(clip.longest) >= counts] = keys.shape[1]
  return (starts.astype(np.int64) + np.sort(kept)) % lengths


def _unordered(
  lengths: np.ndarray, counts: np.ndarray, clip: Clip, rng: np.random.Generator
) -> np.ndarray:
  """Returns int64 [n, longest] for lengths and counts [n, 1]."""
  repeats = rng.random((len(lengths), clip.longest)) * lengths
  keys = rng.random((len(lengths), max(lengths.max(), clip.longest)))
  keys[np.arange(keys.shape[1]) >= lengths] = 1.0  # random() stays below 1
  once = np.argsort(keys)[:, : clip.longest] % lengths
  return np.where(lengths < counts, repeats.astype(np.int64), once)
