"""Which sequences and which frames a training batch holds.

Every draw is a function of (seed, step) alone. A run that is resumed, or that
is spread over more processes, therefore draws what an undisturbed run would.

A *view* of a sequence is a clip and an augmentation that depend on (seed,
sequence, view) alone, never on the step, so that it comes again.
"""

from __future__ import annotations

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
VIEWS, VIEW_FRAMES, VIEW_AUGMENTATION = range(4, 7)


@dataclasses.dataclass(frozen=True)
class Clip:
  """How a clip is cut from a sequence.

  OpenGait's `sample_type`. "Ordered" are frames of a window, in order;
  "unordered" are any frames in random order, for models that see a set.

  Attributes:
    kind: "fixed_ordered" or "fixed_unordered" (`frames` frames);
      "unfixed_ordered" or "unfixed_unordered" (a number that is drawn for each
      clip, from `min_frames` to `max_frames`); "all_ordered" (the sequence up
      to its frame `max_frames`).
    frames: frames of a fixed clip.
    skip: ordered clips only: how many frames longer the window is, from which
      the frames are taken. Varies the walking speed.
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
        " frame, and no fewer at most than at least"
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
  seed: int, step: int, stream: int, view: int = 0
) -> np.random.Generator:
  """Returns the random numbers of one purpose in one step.

  Philox is counter-based: seed is its key and (step, stream, view) are the
  upper words of its counter, so streams never overlap and none has to be rolled
  forward. The streams of views have the sequence in the place of the step.
  """
  return np.random.Generator(
    np.random.Philox(key=seed, counter=(0, view, stream, step))
  )


def draw_sequences(
  labels: np.ndarray, identities: int, sequences: int, seed: int, step: int
) -> np.ndarray:
  """Draws P identities and K sequences of each.

  Without replacement, except where there are fewer than asked for. OpenGait's
  TripletSampler.

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
  # Cheap beside a batch even for OUMVLP's 140,000 sequences, as labels ascend.
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

  OpenGait's CommonSampler, for training without triplets: every sequence comes
  once an epoch.

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

  OpenGait's CollateFn. Ordered: a window of `skip` more consecutive frames
  than are asked for, its start uniform, of which the clip is taken, in order; a
  sequence that is too short is first repeated until the window fits. Unordered:
  any frames in random order, repeated only if the sequence has too few.

  Args:
    lengths: int [n], frames of the sequences drawn for the global batch.
    clip: what to draw.
    seed: of the run.
    step: of the run.

  Returns:
    int64 [n, clip.longest], frames, each below its sequence's length; and
    int64 [n], how many of them, from the first on, are the clip.
  """
  return _frames(lengths, clip, generator(seed, step, FRAMES))


def draw_views(n: int, views: int, seed: int, step: int) -> np.ndarray:
  """Draws which of its views each of n sequences shows, int64 [n]."""
  return generator(seed, step, VIEWS).integers(0, views, n)


def draw_view_frames(
  lengths: np.ndarray,
  clip: Clip,
  seed: int,
  sequences: np.ndarray,
  views: np.ndarray,
) -> tuple[np.ndarray, np.ndarray]:
  """Draws the frames of views, each as `draw_frames` does.

  Args:
    lengths: int [n], frames of the sequences.
    clip: what to draw.
    seed: of the views.
    sequences: int [n], positions of the sequences in the split.
    views: int [n], from 0 on.

  Returns:
    int64 [n, clip.longest] and int64 [n], see `draw_frames`.
  """
  drawn = [
    _frames([length], clip, generator(seed, int(i), VIEW_FRAMES, int(v)))
    for length, i, v in zip(lengths, sequences, views, strict=True)
  ]
  return tuple(np.concatenate(column) for column in zip(*drawn, strict=True))


def _frames(
  lengths: np.ndarray, clip: Clip, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
  """Returns what `draw_frames` does."""
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
