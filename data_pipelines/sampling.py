"""Which sequences and which frames a training batch holds.

Every draw is a function of (seed, step) alone. A run that is resumed, or that
is spread over more processes, therefore draws what an undisturbed run would.
"""

from __future__ import annotations

import dataclasses

import numpy as np

from gaitkd_jax import errors

KINDS = ("fixed_ordered", "fixed_unordered")
# What a stream of random numbers is for; no two draws of a step share one.
IDENTITIES, FRAMES, AUGMENTATION = range(3)


@dataclasses.dataclass(frozen=True)
class Clip:
  """How a clip is cut from a sequence.

  Attributes:
    kind: "fixed_ordered" (frames of a window, in order) or "fixed_unordered"
      (any frames, in random order; for models that see a set).
    frames: frames of a clip.
    skip: ordered clips only: how many frames longer the window is, from which
      the frames are taken. Varies the walking speed.

  Raises:
    errors.UserError: a value is out of range.
  """

  kind: str = "fixed_ordered"
  frames: int = 30
  skip: int = 4

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


def generator(seed: int, step: int, stream: int) -> np.random.Generator:
  """Returns the random numbers of one purpose in one step.

  Philox is counter-based: seed is its key and (step, stream) the upper half
  of its counter, so streams never overlap and none has to be rolled forward.
  """
  return np.random.Generator(
    np.random.Philox(key=seed, counter=(0, 0, stream, step))
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


def draw_frames(
  lengths: np.ndarray, clip: Clip, seed: int, step: int
) -> np.ndarray:
  """Draws the frames of each clip of a batch.

  OpenGait's CollateFn. Ordered: a window of frames + skip consecutive frames,
  its start uniform, of which `frames` are kept, in order; a sequence that is
  too short is first repeated until the window fits. Unordered: any frames in
  random order, repeated only if the sequence has too few.

  Args:
    lengths: int [n], frames of the sequences drawn for the global batch.
    clip: what to draw.
    seed: of the run.
    step: of the run.

  Returns:
    int64 [n, frames], each below its sequence's length.
  """
  rng = generator(seed, step, FRAMES)
  lengths = np.asarray(lengths, np.int64)[:, None]
  if clip.kind == "fixed_ordered":
    window = clip.frames + clip.skip
    repeated = lengths * np.maximum(1, -(-window // lengths))
    starts = rng.random(lengths.shape) * (repeated - window + 1)
    keys = rng.random((len(lengths), window))
    kept = np.sort(np.argsort(keys)[:, : clip.frames])
    return (starts.astype(np.int64) + kept) % lengths
  repeats = rng.random((len(lengths), clip.frames)) * lengths
  keys = rng.random((len(lengths), max(lengths.max(), clip.frames)))
  keys[np.arange(keys.shape[1]) >= lengths] = 1.0  # random() stays below 1
  once = np.argsort(keys)[:, : clip.frames]
  return np.where(lengths < clip.frames, repeats.astype(np.int64), once)
